// Super-blocks of 256 weights in groups of 16 or 32: f16 scales d (and dmin) for the whole, a small integer scale (and min) for each group.
//   without mins   weight = d * scale[g] * level(code)
//   with mins      weight = d * scale[g] * code - dmin * min[g]
// Here as numbers, whatever bits a format keeps them in, and how they are chosen: the best real scale of every group first (search.h), then
// d from the largest of them, then turns of (integer scales and mins of each group, next to what rounding gives, with the codes that follow)
// and (d and dmin by least squares for those), as long as the weighted squared error becomes less.
#pragma once

#include <array>
#include <cstdint>

#include "quant/group.h"

namespace quern::quant {

inline constexpr int kSuperBlock = 256;

struct SuperBlock {
  uint16_t d = 0, dmin = 0;          // f16 bits
  std::array<int16_t, 16> scales{};  // of the groups there are
  std::array<int16_t, 16> mins{};
  std::array<uint8_t, 256> codes{};  // indices of levels
};

// What a format can store of a group.
struct GroupLimits {
  int group = 32;                   // weights
  int scale_lo = 0, scale_hi = 63;  // integer scales; mins are 0..scale_hi
};

// x, w [256]. Levels: IntegerLevels or TableLevels.
template <class Levels>
SuperBlock encode_scaled(const Levels& levels, const GroupLimits& limits, const float* x, const float* w, ScaleSearch search);
SuperBlock encode_with_mins(const IntegerLevels& levels, const GroupLimits& limits, const float* x, const float* w,
                            ScaleSearch search);

// F: a format with kGroup, kOffsets, levels() and read(const std::byte*) -> SuperBlock.
template <class F>
void unpack_super_block(const SuperBlock& in, Block<F>& out) {
  const auto levels = F::levels();
  const float d = f16_to_f32(in.d), dmin = f16_to_f32(in.dmin);
  for (size_t g = 0; g < kSuperBlock / F::kGroup; ++g) {
    out.scales[g] = d * static_cast<float>(in.scales[g]);
    if constexpr (F::kOffsets) out.offsets[g] = -(dmin * static_cast<float>(in.mins[g]));
  }
  for (size_t i = 0; i < kSuperBlock; ++i) out.codes[i] = static_cast<int16_t>(levels.value(in.codes[i]));
}

// Other codes in a block that is there. F: with write(SuperBlock, std::byte*) too.
template <class F>
void store_super_block_codes(const uint8_t* codes, std::byte* at) {
  SuperBlock block = F::read(at);
  std::copy_n(codes, kSuperBlock, block.codes.begin());
  F::write(block, at);
}

}  // namespace quern::quant
