// ggml's K-quants: super-blocks of 256 weights (spec "Quantisation formats", 4.2). E: weight in the super-block, n = E / 128, j = E % 128 / 32,
// l = E % 32; d and dmin are f16, integers little-endian.
//   q2_k  groups of 16: scales[16] (scale low nibble, min high nibble), codes[64], d, dmin
//         code: bits 2j of codes[32 n + l]                                               d scale code - dmin min
//   q3_k  groups of 16: high[32], codes[64], scales[12], d
//         code: bits 2j of codes[32 n + l] | bit 4n + j of high[l] << 2                  d scale (code - 4)
//         scale g, 6 bits minus 32: low four in nibble g / 8 of scales[g % 8], high two in bits 2 (g / 4) of scales[8 + g % 4]
//   q4_k  groups of 32: d, dmin, scales[12], codes[128]
//         code of group g: nibble g % 2 of codes[32 (g / 2) + l]                         d scale code - dmin min
//         scale and min, 6 bits each: g < 4: low six bits of scales[g] and scales[g + 4];
//         g >= 4: nibbles of scales[g + 4], with the top two bits of scales[g - 4] and scales[g] above them
//   q5_k  as q4_k with high[32] before the codes: bit g of high[l] << 4
//   q6_k  groups of 16: low[128], high[64], scales i8[16], d (last)
//         code: nibble j / 2 of low[64 n + l + 32 (j % 2)] | bits 2j of high[32 n + l] << 4   d scale (code - 32)
#include "quant/families.h"
#include "quant/super_block.h"

namespace quern::quant {
namespace {

// What the five have in common; F has kBytes, levels(), kLimits, read, write.
template <class F, int64_t group, bool mins>
struct KQuant : LevelCodes<F> {
  static constexpr int64_t kElements = kSuperBlock, kGroup = group;
  static constexpr bool kOffsets = mins;
  using Code = int16_t;

  static void unpack(const QuantRow& row, int64_t block, Block<F>& out) {
    unpack_super_block<F>(F::read(row.codes + block * F::kBytes), out);
  }
  static void store(const uint8_t* codes, const MutableQuantRow& row, int64_t block) {
    store_super_block_codes<F>(codes, row.codes + block * F::kBytes);
  }
  static void encode(const float* x, const float* importance, ScaleSearch search, const MutableQuantRow& row, int64_t block) {
    std::byte* at = row.codes + block * F::kBytes;
    if constexpr (mins)
      F::write(encode_with_mins(F::levels(), F::kLimits, x, importance, search), at);
    else
      F::write(encode_scaled(F::levels(), F::kLimits, x, importance, search), at);
  }
};

// Two bits a weight in 64 bytes.
void load_pairs(const std::byte* at, std::array<uint8_t, 256>& codes) {
  for (size_t e = 0; e < 256; ++e) codes[e] = load_u8(at + e / 128 * 32 + e % 32) >> 2 * (e % 128 / 32) & 3;
}

void store_pairs(std::byte* at, const std::array<uint8_t, 256>& codes, int shift) {
  std::fill_n(at, 64, std::byte{0});
  for (size_t e = 0; e < 256; ++e)
    at[e / 128 * 32 + e % 32] |= static_cast<std::byte>((codes[e] >> shift & 3) << 2 * (e % 128 / 32));
}

struct Q2K : KQuant<Q2K, 16, true> {
  static constexpr int64_t kBytes = 84;
  static constexpr GroupLimits kLimits{.group = 16, .scale_lo = 0, .scale_hi = 15};
  static IntegerLevels levels() { return {0, 3}; }

  static SuperBlock read(const std::byte* at) {
    SuperBlock block{.d = load_u16(at + 80), .dmin = load_u16(at + 82)};
    for (size_t g = 0; g < 16; ++g) block.scales[g] = load_u8(at + g) & 15, block.mins[g] = load_u8(at + g) >> 4;
    load_pairs(at + 16, block.codes);
    return block;
  }
  static void write(const SuperBlock& block, std::byte* at) {
    for (size_t g = 0; g < 16; ++g) store_u8(at + g, static_cast<unsigned>(block.scales[g] | block.mins[g] << 4));
    store_pairs(at + 16, block.codes, 0);
    store_u16(at + 80, block.d), store_u16(at + 82, block.dmin);
  }
};

struct Q3K : KQuant<Q3K, 16, false> {
  static constexpr int64_t kBytes = 110;
  static constexpr GroupLimits kLimits{.group = 16, .scale_lo = -32, .scale_hi = 31};
  static IntegerLevels levels() { return {-4, 3}; }

  static SuperBlock read(const std::byte* at) {
    SuperBlock block{.d = load_u16(at + 108)};
    for (size_t g = 0; g < 16; ++g) {
      const int low = load_u8(at + 96 + g % 8) >> 4 * (g / 8) & 15, high = load_u8(at + 104 + g % 4) >> 2 * (g / 4) & 3;
      block.scales[g] = static_cast<int16_t>((low | high << 4) - 32);
    }
    load_pairs(at + 32, block.codes);
    for (size_t e = 0; e < 256; ++e)
      block.codes[e] = static_cast<uint8_t>(block.codes[e] | (load_u8(at + e % 32) >> e / 32 & 1) << 2);
    return block;
  }
  static void write(const SuperBlock& block, std::byte* at) {
    std::fill_n(at, 32, std::byte{0});
    for (size_t e = 0; e < 256; ++e) at[e % 32] |= static_cast<std::byte>(block.codes[e] >> 2 << e / 32);
    store_pairs(at + 32, block.codes, 0);
    std::fill_n(at + 96, 12, std::byte{0});
    for (size_t g = 0; g < 16; ++g) {
      const int scale = block.scales[g] + 32;
      at[96 + g % 8] |= static_cast<std::byte>((scale & 15) << 4 * (g / 8));
      at[104 + g % 4] |= static_cast<std::byte>(scale >> 4 << 2 * (g / 4));
    }
    store_u16(at + 108, block.d);
  }
};

// The 6-bit scales and mins of q4_k and q5_k.
void load_scales_mins(const std::byte* at, SuperBlock& block) {
  for (size_t g = 0; g < 4; ++g) {
    block.scales[g] = load_u8(at + g) & 63, block.mins[g] = load_u8(at + g + 4) & 63;
    const int both = load_u8(at + g + 8);
    block.scales[g + 4] = static_cast<int16_t>((both & 15) | load_u8(at + g) >> 6 << 4);
    block.mins[g + 4] = static_cast<int16_t>(both >> 4 | load_u8(at + g + 4) >> 6 << 4);
  }
}

void store_scales_mins(const SuperBlock& block, std::byte* at) {
  for (size_t g = 0; g < 4; ++g) {
    const auto scale = static_cast<unsigned>(block.scales[g + 4]), min = static_cast<unsigned>(block.mins[g + 4]);
    store_u8(at + g, static_cast<unsigned>(block.scales[g]) | scale >> 4 << 6);
    store_u8(at + g + 4, static_cast<unsigned>(block.mins[g]) | min >> 4 << 6);
    store_u8(at + g + 8, (scale & 15) | (min & 15) << 4);
  }
}

// Groups 2i and 2i + 1 are the low and the high nibbles of the same 32 bytes.
void load_group_nibbles(const std::byte* at, std::array<uint8_t, 256>& codes) {
  for (size_t e = 0; e < 256; ++e) codes[e] = load_u8(at + e / 64 * 32 + e % 32) >> 4 * (e / 32 % 2) & 15;
}

void store_group_nibbles(std::byte* at, const std::array<uint8_t, 256>& codes) {
  for (size_t i = 0; i < 128; ++i)
    store_u8(at + i, (codes[i / 32 * 64 + i % 32] & 15U) | (codes[i / 32 * 64 + 32 + i % 32] & 15U) << 4);
}

struct Q4K : KQuant<Q4K, 32, true> {
  static constexpr int64_t kBytes = 144;
  static constexpr GroupLimits kLimits{.group = 32, .scale_lo = 0, .scale_hi = 63};
  static IntegerLevels levels() { return {0, 15}; }

  static SuperBlock read(const std::byte* at) {
    SuperBlock block{.d = load_u16(at), .dmin = load_u16(at + 2)};
    load_scales_mins(at + 4, block);
    load_group_nibbles(at + 16, block.codes);
    return block;
  }
  static void write(const SuperBlock& block, std::byte* at) {
    store_u16(at, block.d), store_u16(at + 2, block.dmin);
    store_scales_mins(block, at + 4);
    store_group_nibbles(at + 16, block.codes);
  }
};

struct Q5K : KQuant<Q5K, 32, true> {
  static constexpr int64_t kBytes = 176;
  static constexpr GroupLimits kLimits{.group = 32, .scale_lo = 0, .scale_hi = 63};
  static IntegerLevels levels() { return {0, 31}; }

  static SuperBlock read(const std::byte* at) {
    SuperBlock block{.d = load_u16(at), .dmin = load_u16(at + 2)};
    load_scales_mins(at + 4, block);
    load_group_nibbles(at + 48, block.codes);
    for (size_t e = 0; e < 256; ++e)
      block.codes[e] = static_cast<uint8_t>(block.codes[e] | (load_u8(at + 16 + e % 32) >> e / 32 & 1) << 4);
    return block;
  }
  static void write(const SuperBlock& block, std::byte* at) {
    store_u16(at, block.d), store_u16(at + 2, block.dmin);
    store_scales_mins(block, at + 4);
    std::fill_n(at + 16, 32, std::byte{0});
    for (size_t e = 0; e < 256; ++e) at[16 + e % 32] |= static_cast<std::byte>(block.codes[e] >> 4 << e / 32);
    store_group_nibbles(at + 48, block.codes);
  }
};

struct Q6K : KQuant<Q6K, 16, false> {
  static constexpr int64_t kBytes = 210;
  static constexpr GroupLimits kLimits{.group = 16, .scale_lo = -128, .scale_hi = 127};
  static IntegerLevels levels() { return {-32, 31}; }

  static size_t low_byte(size_t e) { return e / 128 * 64 + e % 64; }
  static size_t low_shift(size_t e) { return e % 128 / 64 * 4; }

  static SuperBlock read(const std::byte* at) {
    SuperBlock block{.d = load_u16(at + 208)};
    for (size_t g = 0; g < 16; ++g) block.scales[g] = static_cast<int8_t>(load_u8(at + 192 + g));
    load_pairs(at + 128, block.codes);
    for (size_t e = 0; e < 256; ++e)
      block.codes[e] = static_cast<uint8_t>(block.codes[e] << 4 | (load_u8(at + low_byte(e)) >> low_shift(e) & 15));
    return block;
  }
  static void write(const SuperBlock& block, std::byte* at) {
    std::fill_n(at, 128, std::byte{0});
    for (size_t e = 0; e < 256; ++e) at[low_byte(e)] |= static_cast<std::byte>((block.codes[e] & 15) << low_shift(e));
    store_pairs(at + 128, block.codes, 4);
    for (size_t g = 0; g < 16; ++g) store_u8(at + 192 + g, static_cast<unsigned>(block.scales[g]) & 255);
    store_u16(at + 208, block.d);
  }
};

}  // namespace

FormatOps k_quant_ops(QuantFormat format) {
  switch (format) {
    case QuantFormat::q2_k:
      return block_ops<Q2K>();
    case QuantFormat::q3_k:
      return block_ops<Q3K>();
    case QuantFormat::q5_k:
      return block_ops<Q5K>();
    case QuantFormat::q6_k:
      return block_ops<Q6K>();
    default:
      return block_ops<Q4K>();
  }
}

}  // namespace quern::quant
