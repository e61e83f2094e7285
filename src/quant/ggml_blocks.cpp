// ggml's blocks of 32 with f16 scales (spec "Quantisation formats", 4.1). Multi-byte values are little-endian.
//   q8_0  d f16, q i8[32]                   d q
//   q4_0  d f16, nibbles[16]                d (q - 8)
//   q4_1  d f16, m f16, nibbles[16]         d q + m
//   q5_0  d f16, high u32, nibbles[16]      d (q - 16), q = nibble | bit e of high << 4
//   q5_1  d f16, m f16, high u32, nibbles   d q + m
// Nibbles: the low one of byte j is weight j, the high one weight j + 16.
#include <array>

#include "quant/families.h"
#include "quant/group.h"

namespace quern::quant {
namespace {

struct Q8_0 : LevelCodes<Q8_0> {
  static constexpr int64_t kElements = 32, kGroup = 32, kBytes = 34;
  static constexpr bool kOffsets = false;
  using Code = int16_t;

  static void unpack(const QuantRow& row, int64_t block, Block<Q8_0>& out) {
    const std::byte* at = row.codes + block * kBytes;
    out.scales[0] = load_f16(at);
    for (int i = 0; i < kElements; ++i) out.codes[i] = static_cast<int8_t>(load_u8(at + 2 + i));
  }
  // -128 is left out: kernels may then negate codes in eight bits. The levels being symmetric, d may as well be positive.
  static constexpr IntegerLevels levels() { return {-127, 127}; }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    for (int i = 0; i < kElements; ++i) store_u8(row.codes + block * kBytes + 2 + i, (codes[i] - 127U) & 255);
  }
  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    uint16_t d = choose_f16_scale(levels(), {{x, kElements}, {importance, kElements}}, search);
    d &= 0x7FFF;
    store_u16(row.codes + block * kBytes, d);
    uint8_t codes[kElements];
    assign_codes(levels(), {x, kElements}, f16_to_f32(d), 0, codes);
    store(codes, row, block);
  }
};

// Nibbles; of five bits the high ones before them.
template <int bits>
void load_codes(const std::byte* at, uint8_t* codes) {
  if constexpr (bits == 4) return load_nibbles(at, codes);
  uint32_t high = 0;
  std::memcpy(&high, at, sizeof high);
  load_nibbles(at + sizeof high, codes);
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(codes[i] | (high >> i & 1) << 4);
}

template <int bits>
void store_codes(std::byte* at, const uint8_t* codes) {
  if constexpr (bits == 4) return store_nibbles(at, codes);
  uint32_t high = 0;
  for (int i = 0; i < 32; ++i) high |= static_cast<uint32_t>(codes[i] >> 4) << i;
  std::memcpy(at, &high, sizeof high);
  store_nibbles(at + sizeof high, codes);
}

// q4_0, q5_0
template <int bits>
struct Centred : LevelCodes<Centred<bits>> {
  static constexpr int64_t kElements = 32, kGroup = 32, kBytes = bits == 4 ? 18 : 22;
  static constexpr bool kOffsets = false;
  static constexpr int kZero = 1 << (bits - 1);  // the code of zero
  static constexpr IntegerLevels kLevels{-kZero, kZero - 1};
  using Code = int16_t;

  static void unpack(const QuantRow& row, int64_t block, Block<Centred>& out) {
    const std::byte* at = row.codes + block * kBytes;
    uint8_t codes[kElements];
    load_codes<bits>(at + 2, codes);
    out.scales[0] = load_f16(at);
    for (int i = 0; i < kElements; ++i) out.codes[i] = static_cast<int16_t>(codes[i] - kZero);
  }
  static constexpr IntegerLevels levels() { return kLevels; }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    store_codes<bits>(row.codes + block * kBytes + 2, codes);
  }
  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    std::byte* at = row.codes + block * kBytes;
    const uint16_t d = choose_f16_scale(kLevels, {{x, kElements}, {importance, kElements}}, search);
    store_u16(at, d);
    uint8_t codes[kElements];
    assign_codes(kLevels, {x, kElements}, f16_to_f32(d), 0, codes);
    store(codes, row, block);
  }
};

// q4_1, q5_1
template <int bits>
struct WithMinimum : LevelCodes<WithMinimum<bits>> {
  static constexpr int64_t kElements = 32, kGroup = 32, kBytes = bits == 4 ? 20 : 24;
  static constexpr bool kOffsets = true;
  static constexpr IntegerLevels kLevels{0, (1 << bits) - 1};
  using Code = int16_t;

  static void unpack(const QuantRow& row, int64_t block, Block<WithMinimum>& out) {
    const std::byte* at = row.codes + block * kBytes;
    uint8_t codes[kElements];
    load_codes<bits>(at + 4, codes);
    out.scales[0] = load_f16(at), out.offsets[0] = load_f16(at + 2);
    std::copy_n(codes, kElements, out.codes);
  }
  static constexpr IntegerLevels levels() { return kLevels; }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    store_codes<bits>(row.codes + block * kBytes + 4, codes);
  }
  struct Scales {
    uint16_t d, m;
  };
  static Scales choose(const Group& group, ScaleSearch search) {
    const auto [low, high] = std::minmax_element(group.x.begin(), group.x.end());
    const Scales usual{f16_scale((static_cast<double>(*high) - static_cast<double>(*low)) / static_cast<double>(kLevels.hi)),
                       f16_saturated(static_cast<double>(*low))};
    if (search == ScaleSearch::none) return usual;
    const ScaleWalk::Affine fit = ScaleWalk().fit_affine(kLevels.hi, group.x, group.w, false);
    const Scales found{f16_scale(fit.scale), f16_saturated(fit.offset)};
    const auto error = [&](const Scales& s) { return group_error(kLevels, group, f16_to_f32(s.d), f16_to_f32(s.m)); };
    return error(found) < error(usual) ? found : usual;
  }
  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    std::byte* at = row.codes + block * kBytes;
    const Scales scales = choose({{x, kElements}, {importance, kElements}}, search);
    store_u16(at, scales.d), store_u16(at + 2, scales.m);
    uint8_t codes[kElements];
    assign_codes(kLevels, {x, kElements}, f16_to_f32(scales.d), f16_to_f32(scales.m), codes);
    store(codes, row, block);
  }
};

}  // namespace

FormatOps ggml_block_ops(QuantFormat format) {
  switch (format) {
    case QuantFormat::q4_0:
      return block_ops<Centred<4>>();
    case QuantFormat::q4_1:
      return block_ops<WithMinimum<4>>();
    case QuantFormat::q5_0:
      return block_ops<Centred<5>>();
    case QuantFormat::q5_1:
      return block_ops<WithMinimum<5>>();
    default:
      return block_ops<Q8_0>();
  }
}

}  // namespace quern::quant
