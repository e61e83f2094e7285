// What this processor can do, and the instruction set that kernels use.
#pragma once

#include <string_view>

namespace quern {

enum class Isa { scalar, avx2, avx512, amx };

std::string_view isa_name(Isa isa);

// AVX2 means AVX2 + FMA + F16C; AVX-512 means F + BW + VL + DQ + VNNI + VBMI on top (Ice Lake, Zen 4 and later). The
// operating system must save the registers too. AMX means tiles of bf16 and int8 and AVX-512's bf16 products on top (Sapphire
// Rapids and later), and that the system lets this process use tiles: the first call asks it to.
bool cpu_supports(Isa isa);
Isa best_isa();
// Whether AVX-512 has products of bf16 here (Cooper Lake, Zen 4 and later).
bool cpu_multiplies_bf16();

}  // namespace quern
