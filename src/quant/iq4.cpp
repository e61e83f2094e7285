// ggml's four-bit formats with a table of unevenly spaced levels, denser around zero (spec "Quantisation formats", 4.1 and 4.2).
//   iq4_nl  32 weights: d f16, nibbles[16]                                 d level(nibble)
//   iq4_xs  256 weights in groups of 32: d f16, high u16, low[4], nibbles[8][16]
//           scale of group g: 6 bits, (low nibble g | bits 2g, 2g + 1 of high << 4) - 32      d scale level(nibble)
// Nibbles: in each 16 bytes the low one of byte j is weight j, the high one weight j + 16.
#include "quant/families.h"
#include "quant/super_block.h"

namespace quern::quant {
namespace {

constexpr int8_t kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct Iq4Nl : LevelCodes<Iq4Nl> {
  static constexpr int64_t kElements = 32, kGroup = 32, kBytes = 18;
  static constexpr bool kOffsets = false;
  using Code = int16_t;

  static void unpack(const QuantRow& row, int64_t block, Block<Iq4Nl>& out) {
    const std::byte* at = row.codes + block * kBytes;
    out.scales[0] = load_f16(at);
    uint8_t codes[kElements];
    load_nibbles(at + 2, codes);
    for (int i = 0; i < kElements; ++i) out.codes[i] = kIq4[codes[i]];
  }
  static TableLevels levels() { return {kIq4}; }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    store_nibbles(row.codes + block * kBytes + 2, codes);
  }
  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    const uint16_t d = choose_f16_scale(levels(), {{x, kElements}, {importance, kElements}}, search);
    store_u16(row.codes + block * kBytes, d);
    uint8_t codes[kElements];
    assign_codes(levels(), {x, kElements}, f16_to_f32(d), 0, codes);
    store(codes, row, block);
  }
};

struct Iq4Xs : LevelCodes<Iq4Xs> {
  static constexpr int64_t kElements = 256, kGroup = 32, kBytes = 136;
  static constexpr bool kOffsets = false;
  using Code = int16_t;
  static TableLevels levels() { return {kIq4}; }

  static SuperBlock read(const std::byte* at) {
    SuperBlock block{.d = load_u16(at)};
    const uint16_t high = load_u16(at + 2);
    for (int g = 0; g < 8; ++g) {
      const int low = load_u8(at + 4 + g / 2) >> 4 * (g % 2) & 15;
      block.scales[static_cast<size_t>(g)] = static_cast<int16_t>((low | (high >> 2 * g & 3) << 4) - 32);
      load_nibbles(at + 8 + 16 * g, block.codes.data() + 32 * g);
    }
    return block;
  }
  static void write(const SuperBlock& block, std::byte* at) {
    uint16_t high = 0;
    uint8_t low[4] = {};
    for (int g = 0; g < 8; ++g) {
      const int scale = block.scales[static_cast<size_t>(g)] + 32;
      low[g / 2] = static_cast<uint8_t>(low[g / 2] | (scale & 15) << 4 * (g % 2));
      high = static_cast<uint16_t>(high | scale >> 4 << 2 * g);
      store_nibbles(at + 8 + 16 * g, block.codes.data() + 32 * g);
    }
    store_u16(at, block.d), store_u16(at + 2, high);
    for (int i = 0; i < 4; ++i) store_u8(at + 4 + i, low[i]);
  }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    store_super_block_codes<Iq4Xs>(codes, row.codes + block * kBytes);
  }
  static void unpack(const QuantRow& row, int64_t block, Block<Iq4Xs>& out) {
    unpack_super_block<Iq4Xs>(read(row.codes + block * kBytes), out);
  }
  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    write(encode_scaled(levels(), {.group = kGroup, .scale_lo = -32, .scale_hi = 31}, x, importance, search),
          row.codes + block * kBytes);
  }
};

}  // namespace

FormatOps iq4_ops(QuantFormat format) { return format == QuantFormat::iq4_xs ? block_ops<Iq4Xs>() : block_ops<Iq4Nl>(); }

}  // namespace quern::quant
