// MLX's "affine" mode (spec "Quantisation formats", 3.1): groups of 32, 64 or 128 along a row, b = 2, 3, 4, 5, 6 or 8 bits a code,
//   weight = scale * code + bias     scale (of either sign) and bias in tensors of their own, bf16 or what the model's type is.
// Codes of a row are one little-endian bit stream, code i in bits b i to b (i + 1); a group fills whole bytes. MLX itself rounds the product
// and then the sum to its output type; here both are f32. Without a search the encoder writes the bytes that MLX's CPU back end writes.
#include "quant/bit_stream.h"
#include "quant/families.h"
#include "quant/group.h"

namespace quern::quant {
namespace {

template <int bits, int64_t group>
struct MlxAffine : LevelCodes<MlxAffine<bits, group>> {
  static constexpr int64_t kElements = group, kGroup = group, kBytes = group * bits / 8;
  static constexpr bool kOffsets = true;
  static constexpr IntegerLevels kLevels{0, (1 << bits) - 1};
  using Code = int16_t;

  static void unpack(const QuantRow& row, int64_t block, Block<MlxAffine>& out) {
    out.scales[0] = load_scale(row.scale_type, row.scales, block);
    out.offsets[0] = load_scale(row.scale_type, row.biases, block);
    const std::byte* at = row.codes + block * kBytes;
    for (int64_t i = 0; i < group; ++i) out.codes[i] = static_cast<int16_t>(bits_at(at, i * bits, bits));
  }

  static constexpr IntegerLevels levels() { return kLevels; }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    std::byte* at = row.codes + block * kBytes;
    std::fill_n(at, kBytes, std::byte{0});
    for (int64_t i = 0; i < group; ++i) put_bits(at, i * bits, codes[i]);
  }

  struct Line {
    float scale, bias;
  };
  // MLX's choice: the edge of larger magnitude is a code's exact value, and zero nearly is. In f32, operation by operation.
  static Line mlx_line(std::span<const float> x) {
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    Line line{std::max((*high - *low) / kLevels.hi, 1e-7f), 0};
    const bool low_is_larger = std::abs(*low) > std::abs(*high);
    const float edge = low_is_larger ? *low : *high;
    if (!low_is_larger) line.scale = -line.scale;
    const float code = std::nearbyint(edge / line.scale);
    if (code != 0) line.scale = edge / code, line.bias = edge;
    return line;
  }

  // The least-squares line, rounded to what can be stored; its neighbours on either side, as rounding may move the far end by half a code.
  static Line best_line(const Group& source, ScaleType type) {
    const auto stored = [type](Line line) {
      return Line{rounded_scale(type, static_cast<double>(line.scale)), rounded_scale(type, static_cast<double>(line.bias))};
    };
    Line best = stored(mlx_line(source.x));
    double least = group_error(kLevels, source, best.scale, best.bias);
    const ScaleWalk::Affine fit = ScaleWalk().fit_affine(kLevels.hi, source.x, source.w, false);
    const double ulp = type == ScaleType::bf16 ? 0x1p-8 : type == ScaleType::f16 ? 0x1p-11 : 0;
    for (int s = -1; s <= 1; ++s)
      for (int b = -1; b <= 1; ++b) {
        const Line line{rounded_scale(type, fit.scale * (1 + s * ulp)), rounded_scale(type, fit.offset * (1 + b * ulp))};
        const double error = group_error(kLevels, source, line.scale, line.bias);
        if (error < least) least = error, best = line;
      }
    return best;
  }

  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    const Group source{{x, group}, {importance, group}};
    const Line line = search == ScaleSearch::full ? best_line(source, row.scale_type) : mlx_line(source.x);
    uint8_t codes[group];
    assign_codes(kLevels, source.x, line.scale, line.bias, codes);
    store(codes, row, block);
    store_scale(row.scale_type, row.scales, block, rounded_scale(row.scale_type, static_cast<double>(line.scale)));
    store_scale(row.scale_type, row.biases, block, rounded_scale(row.scale_type, static_cast<double>(line.bias)));
  }
};

template <int bits>
FormatOps ops_with_bits(int64_t group_size) {
  switch (group_size) {
    case 32:
      return block_ops<MlxAffine<bits, 32>>();
    case 64:
      return block_ops<MlxAffine<bits, 64>>();
    default:
      return block_ops<MlxAffine<bits, 128>>();
  }
}

}  // namespace

FormatOps mlx_affine_ops(int64_t bits, int64_t group_size) {
  switch (bits) {
    case 2:
      return ops_with_bits<2>(group_size);
    case 3:
      return ops_with_bits<3>(group_size);
    case 4:
      return ops_with_bits<4>(group_size);
    case 5:
      return ops_with_bits<5>(group_size);
    case 6:
      return ops_with_bits<6>(group_size);
    default:
      return ops_with_bits<8>(group_size);
  }
}

}  // namespace quern::quant
