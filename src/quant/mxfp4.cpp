// ggml's MXFP4 (type 39; OCP Microscaling; spec "Quantisation formats", 2.1): 32 weights in 17 bytes.
//   byte 0       E8M0 scale; 255 is NaN here as OCP says (ggml's own code has 2^128 there, which no encoder writes)
//   byte 1 + j   low nibble: E2M1 code of weight j; high nibble: of weight j + 16
// MLX's mxfp4 is the same values in another order (mlx_float.cpp).
#include "quant/families.h"
#include "quant/power_scale.h"

namespace quern::quant {
namespace {

struct Mxfp4 {
  static constexpr int64_t kElements = 32, kGroup = 32, kBytes = 17;
  static constexpr bool kOffsets = false;
  using Code = float;

  static void unpack(const QuantRow& row, int64_t block, Block<Mxfp4>& out) {
    const std::byte* at = row.codes + block * kBytes;
    out.scales[0] = e8m0_to_f32(load_u8(at));
    uint8_t codes[kElements];
    load_nibbles(at + 1, codes);
    for (int i = 0; i < kElements; ++i) out.codes[i] = kE2m1[codes[i]] + 0.0f;  // ggml has one zero: code 8 is +0
  }

  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    std::byte* at = row.codes + block * kBytes;
    // The reference: floor(log2(largest)) - 2, so that the largest falls into 4..8, and 6 upwards is clipped.
    const float largest = std::abs(largest_magnitude({x, kElements}));
    int exponent = largest > 0 ? std::ilogb(largest) - 2 : -127;
    if (search == ScaleSearch::full && largest > 0)
      exponent = best_exponent({x, kElements}, importance, exponent - 1, exponent + 2, exponent,
                               [](float v) { return kE2m1[f32_to_e2m1(v)]; });
    exponent = std::clamp(exponent, -127, 127);
    store_u8(at, static_cast<unsigned>(exponent + 127));
    uint8_t codes[kElements];
    for (int i = 0; i < kElements; ++i) codes[i] = code(x[i], std::ldexp(1.0f, exponent), 0);
    store(codes, row, block);
  }
  static uint8_t code(float v, float scale, float /*offset*/) { return f32_to_e2m1(v / scale); }
  static float value(uint8_t code) { return kE2m1[code]; }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    store_nibbles(row.codes + block * kBytes + 1, codes);
  }
};

}  // namespace

FormatOps mxfp4_ops() { return block_ops<Mxfp4>(); }

}  // namespace quern::quant
