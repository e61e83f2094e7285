// MLX's modes with small floats (spec "Quantisation formats", 2.2, 3.2, 3.3). Codes U32, scales U8 in a tensor of their own, no biases:
//   mxfp4  groups of 32, E2M1, 8 codes a word    scale E8M0
//   mxfp8  groups of 32, E4M3, 4 codes a word    scale E8M0
//   nvfp4  groups of 16, E2M1, 8 codes a word    scale E4M3
// Code i of a row is in its little-endian bit stream at 4 i (or 8 i): the low nibble of byte k is weight 2k. Without a search the encoder
// writes the bytes that MLX's CPU back end writes.
#include "quant/families.h"
#include "quant/power_scale.h"

namespace quern::quant {
namespace {

float round_e2m1(float v) { return kE2m1[f32_to_e2m1(v)]; }
float round_e4m3(float v) { return e4m3_to_f32(f32_to_e4m3(v)); }

// MLX's E8M0 scale: log2(largest / top) to the nearest integer, so that the largest may be clipped by up to 2^0.5. MLX computes both steps
// in the model's type, which is bf16: 2^-6.504 counts as 2^-6.5 and rounds to 2^-6. A group of zeros gets the scale 1.
int mlx_exponent(float largest, float top) {
  const auto as_bf16 = [](float value) { return bf16_to_f32(f32_to_bf16(value)); };
  if (!(largest > 0)) return 0;
  return static_cast<int>(round_within(as_bf16(std::log2(as_bf16(largest / top))), -127, 127));
}

template <int64_t group>
void unpack_e2m1(const QuantRow& row, int64_t block, float* codes) {
  const std::byte* at = row.codes + block * group / 2;
  for (int64_t k = 0; k < group / 2; ++k) {
    const uint8_t pair = load_u8(at + k);
    codes[2 * k] = kE2m1[pair & 15], codes[2 * k + 1] = kE2m1[pair >> 4];
  }
}

// What mxfp4 and nvfp4 do with their codes.
template <int64_t group>
struct E2m1Codes {
  static uint8_t code(float v, float scale, float /*offset*/) { return scale > 0 ? f32_to_e2m1(v / scale) : uint8_t{0}; }
  static float value(uint8_t code) { return kE2m1[code]; }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    std::byte* at = row.codes + block * group / 2;
    for (int64_t k = 0; k < group / 2; ++k) store_u8(at + k, codes[2 * k] | codes[2 * k + 1] << 4);
  }
  static void round(const float* x, float scale, const MutableQuantRow& row, int64_t block) {
    uint8_t codes[group];
    for (int64_t i = 0; i < group; ++i) codes[i] = code(x[i], scale, 0);
    store(codes, row, block);
  }
};

struct MlxMxfp4 : E2m1Codes<32> {
  static constexpr int64_t kElements = 32, kGroup = 32;
  static constexpr bool kOffsets = false;
  using Code = float;

  static void unpack(const QuantRow& row, int64_t block, Block<MlxMxfp4>& out) {
    out.scales[0] = load_scale(ScaleType::e8m0, row.scales, block);
    unpack_e2m1<kElements>(row, block, out.codes);
  }
  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    const float largest = std::abs(largest_magnitude({x, kElements}));
    int exponent = mlx_exponent(largest, 6);
    if (search == ScaleSearch::full && largest > 0)
      exponent = best_exponent({x, kElements}, importance, exponent - 1, exponent + 1, exponent, round_e2m1);
    store_u8(row.scales + block, static_cast<unsigned>(exponent + 127));
    round(x, std::ldexp(1.0f, exponent), row, block);
  }
};

struct MlxMxfp8 {
  static constexpr int64_t kElements = 32, kGroup = 32;
  static constexpr bool kOffsets = false;
  using Code = float;

  static void unpack(const QuantRow& row, int64_t block, Block<MlxMxfp8>& out) {
    out.scales[0] = load_scale(ScaleType::e8m0, row.scales, block);
    for (int64_t i = 0; i < kElements; ++i) out.codes[i] = e4m3_to_f32(load_u8(row.codes + block * kElements + i));
  }
  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    const float largest = std::abs(largest_magnitude({x, kElements}));
    int exponent = mlx_exponent(largest, 448);
    if (search == ScaleSearch::full && largest > 0)
      exponent = best_exponent({x, kElements}, importance, exponent - 1, exponent + 2, exponent, round_e4m3);
    store_u8(row.scales + block, static_cast<unsigned>(exponent + 127));
    uint8_t codes[kElements];
    for (int64_t i = 0; i < kElements; ++i) codes[i] = code(x[i], std::ldexp(1.0f, exponent), 0);
    store(codes, row, block);
  }
  static uint8_t code(float v, float scale, float /*offset*/) { return f32_to_e4m3(v / scale); }
  static float value(uint8_t code) { return e4m3_to_f32(code); }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    for (int64_t i = 0; i < kElements; ++i) store_u8(row.codes + block * kElements + i, codes[i]);
  }
};

struct MlxNvfp4 : E2m1Codes<16> {
  static constexpr int64_t kElements = 16, kGroup = 16;
  static constexpr bool kOffsets = false;
  using Code = float;

  static void unpack(const QuantRow& row, int64_t block, Block<MlxNvfp4>& out) {
    out.scales[0] = load_scale(ScaleType::e4m3, row.scales, block);
    unpack_e2m1<kElements>(row, block, out.codes);
  }
  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    const float largest = std::abs(largest_magnitude({x, kElements}));
    uint8_t scale = f32_to_e4m3(largest / 6);
    if (search == ScaleSearch::full) scale = best_scale({x, kElements}, importance, scale);
    store_u8(row.scales + block, scale);
    round(x, e4m3_to_f32(scale), row, block);
  }
  // Positive E4M3 values ascend with their codes, eight an octave: from half of what maps the largest onto 6 to twice that.
  static uint8_t best_scale(std::span<const float> x, const float* importance, uint8_t usual) {
    const auto error_of = [&](int code) {
      const double scale = static_cast<double>(e4m3_to_f32(static_cast<uint8_t>(code)));
      return scaled_error(x, importance, scale > 0 ? scale : 1, [&](float v) { return scale > 0 ? round_e2m1(v) : 0.0f; });
    };
    int best = usual;
    double least = error_of(best);
    for (int code = std::max(1, usual - 8); code <= std::min(0x7E, usual + 8); ++code) {
      const double error = error_of(code);
      if (error < least) least = error, best = code;
    }
    return static_cast<uint8_t>(best);
  }
};

}  // namespace

FormatOps mlx_float_ops(QuantFormat format) {
  switch (format) {
    case QuantFormat::mlx_mxfp8:
      return block_ops<MlxMxfp8>();
    case QuantFormat::mlx_nvfp4:
      return block_ops<MlxNvfp4>();
    default:
      return block_ops<MlxMxfp4>();
  }
}

}  // namespace quern::quant
