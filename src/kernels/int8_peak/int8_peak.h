// What a machine's int8 multipliers give when nothing has to be loaded: the roof of a matrix product, and of prefill with it.
#pragma once

#include "base/cpu_features.h"
#include "base/thread_pool.h"

namespace quern {

// Multiplications with their additions, per second, of all threads together, by the instructions that quant_linear multiplies with: a loop
// over registers, the best of five. With Isa::scalar, f32 multiplications as the compiler makes them.
double int8_peak(ThreadPool& pool, Isa isa);

// `rounds` times kInt8PeakProducts multiplications; what comes of them, so that they are made.
constexpr int64_t kInt8PeakProducts = 16 * 64;
namespace avx2 {
int32_t multiply_int8(int64_t rounds);
}
namespace avx512 {
int32_t multiply_int8(int64_t rounds);
}

}  // namespace quern
