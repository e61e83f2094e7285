// Unpacking into panels with AVX-512. A format brings the codes of each row into one of two forms, where it must by a copy of the chunk:
//   bytes     a code a byte, in the order of the columns
//   nibbles   two codes a byte, as a NibbleOrder says
// and a transposition of 16 x 16 lanes of 32 bits makes rows lanes. Nibbles are taken apart after it, which halves its cost.
#include "kernels/quant_linear/panel.h"

#if defined(__x86_64__)
#include <algorithm>
#include <cstring>

#include "kernels/avx512.h"
#include "kernels/target.h"
#include "tensor/dtype.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")

#include "kernels/quant_linear/block_rows.h"
#include "kernels/quant_linear/decode_avx512.h"

namespace quern::panels::avx512 {
namespace {

// 16 x 16 lanes of 32 bits transposed: load(r) is row r, store(j, column) gets lane j of every row. Four rows at a time on the way in and four
// columns on the way out, so that no more than twenty registers are alive.
template <class Load, class Store>
inline __attribute__((always_inline)) void transpose(Load load, Store store) {
  __m512i v[16];
  for (int q = 0; q < 16; q += 4) {
    const __m512i r0 = load(q), r1 = load(q + 1), r2 = load(q + 2), r3 = load(q + 3);
    const __m512i low01 = _mm512_unpacklo_epi32(r0, r1), high01 = _mm512_unpackhi_epi32(r0, r1),
                  low23 = _mm512_unpacklo_epi32(r2, r3), high23 = _mm512_unpackhi_epi32(r2, r3);
    v[q] = _mm512_unpacklo_epi64(low01, low23), v[q + 1] = _mm512_unpackhi_epi64(low01, low23);
    v[q + 2] = _mm512_unpacklo_epi64(high01, high23), v[q + 3] = _mm512_unpackhi_epi64(high01, high23);
  }
  // v[q + c] has, in its 128-bit part p, column 4p + c of rows q .. q + 3.
  for (int c = 0; c < 4; ++c) {
    const __m512i even_0 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x88), odd_0 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xDD),
                  even_8 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x88), odd_8 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xDD);
    store(c, _mm512_shuffle_i32x4(even_0, even_8, 0x88));
    store(c + 4, _mm512_shuffle_i32x4(odd_0, odd_8, 0x88));
    store(c + 8, _mm512_shuffle_i32x4(even_0, even_8, 0xDD));
    store(c + 12, _mm512_shuffle_i32x4(odd_0, odd_8, 0xDD));
  }
}

// Where each row's codes of the chunk begin, without gaps; `ahead` as in PanelSource, 0: nothing to prefetch.
struct RowBytes {
  const uint8_t* rows[kRows] = {};
  int64_t ahead = 0;
};

inline __m512i load_row(const RowBytes& from, int r, int64_t at, __mmask64 mask) {
  if (from.ahead != 0) _mm_prefetch(reinterpret_cast<const char*>(from.rows[r] + at + from.ahead), _MM_HINT_T1);
  return _mm512_maskz_loadu_epi8(mask, from.rows[r] + at);
}

inline __mmask64 byte_mask(int64_t count) { return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1; }

// load(r, piece) are the 64 codes of row r from column 64 * piece on; those past the end may be anything.
template <class Load>
void store_bytes(int count, Panel& panel, Load load) {
  for (int piece = 0; 64 * piece < count; ++piece) {
    uint8_t* to = panel.codes + 64 * piece * kRows;
    transpose([&](int r) { return load(r, piece); },
              [&](int j, __m512i column) { _mm512_store_si512(to + j * 4 * kRows, column); });
  }
}

// Which columns the nibbles of one 32-bit word are, and so where in the panel the two go.
enum class NibbleOrder {
  neighbours,   // byte k: columns 2k and 2k + 1 (MLX); the panel's order is even_odd
  half_blocks,  // of 16 bytes byte k: columns k and k + 16
  half_pairs,   // of 32 bytes byte k: columns k and k + 32
};

// `value` of a nibble is what the panel gets; identity where there is no table.
template <NibbleOrder order, class Value>
void store_nibbles(const RowBytes& from, int count, Panel& panel, Value value) {
  const __m512i low_four = _mm512_set1_epi8(15);
  for (int piece = 0; 128 * piece < count; ++piece) {
    const __mmask64 mask = byte_mask((count - 128 * piece) / 2);
    uint8_t* to = panel.codes + 128 * piece * kRows;
    transpose([&](int r) { return load_row(from, r, 64 * piece, mask); },
              [&](int j, __m512i words) {
                constexpr int kSpan = order == NibbleOrder::neighbours ? 1 : order == NibbleOrder::half_blocks ? 4 : 8;
                const int at = j / kSpan * 2 * kSpan + j % kSpan;
                _mm512_store_si512(to + at * 4 * kRows, value(_mm512_and_si512(words, low_four)));
                _mm512_store_si512(to + (at + kSpan) * 4 * kRows, value(_mm512_and_si512(_mm512_srli_epi16(words, 4), low_four)));
              });
  }
}

// rows(r) are 16 groups' scales of row r, as many as there are.
template <class Rows>
void store_scales(float (*to)[kRows], int groups, Rows rows) {
  transpose([&](int r) { return _mm512_castps_si512(rows(r)); },
            [&](int g, __m512i scales) {
              if (g < groups) _mm512_store_ps(to[g], _mm512_castsi512_ps(scales));
            });
}

RowBytes rows_in_place(const PanelSource& s, int64_t bits) {
  RowBytes bytes;
  bytes.ahead = s.ahead;
  for (int r = 0; r < kRows; ++r) bytes.rows[r] = bytes_at(s.rows[r].codes) + s.column * bits / 8;
  return bytes;
}

// MLX

void mlx_mxfp4(const PanelSource& s, Panel& panel) {
  store_nibbles<NibbleOrder::neighbours>(rows_in_place(s, 4), s.count, panel, E2m1());
  const int groups = s.count / 32;
  const auto mask = static_cast<__mmask16>((1U << groups) - 1);
  store_scales(panel.scales, groups,
               [&](int r) { return half_e8m0(_mm_maskz_loadu_epi8(mask, s.rows[r].scales + s.column / 32)); });
}

// Groups of 32: sixteen to a chunk. Of larger ones scales and biases go through one transposition together, and are repeated.
template <int group>
void mlx_scales(const PanelSource& s, Panel& panel) {
  const int groups = s.count / group;
  const auto load = [&](int r, const std::byte* part) { return load_scales(s.rows[r].scale_type, part, s.column / group, groups); };
  if constexpr (group == 32) {
    store_scales(panel.scales, groups, [&](int r) { return load(r, s.rows[r].scales); });
    store_scales(panel.offsets, groups, [&](int r) { return load(r, s.rows[r].biases); });
  } else {
    transpose(
        [&](int r) {
          const __m256 biases = _mm512_castps512_ps256(load(r, s.rows[r].biases));
          return _mm512_castps_si512(_mm512_insertf32x8(load(r, s.rows[r].scales), biases, 1));
        },
        [&](int g, __m512i values) {
          float(*to)[kRows] = g < 8 ? panel.scales : panel.offsets;
          for (int i = 0; i < group / 32 && g % 8 < groups; ++i)
            _mm512_store_ps(to[g % 8 * (group / 32) + i], _mm512_castsi512_ps(values));
        });
  }
}

// 64 codes of `bits` bits from as many bits: the bytes of each eight codes to a lane of 64 bits, then eight fields of it.
template <int bits>
inline __m512i spread_bits(__m512i packed) {
  alignas(64) uint8_t places[64];
  alignas(8) uint8_t shifts[8];
  for (int i = 0; i < 64; ++i) places[i] = static_cast<uint8_t>(std::min(i / 8 * bits + i % 8, 63));
  for (int i = 0; i < 8; ++i) shifts[i] = static_cast<uint8_t>(i * bits);
  int64_t fields;
  std::memcpy(&fields, shifts, sizeof fields);
  const __m512i lanes = _mm512_permutexvar_epi8(_mm512_load_si512(places), packed);
  return _mm512_and_si512(_mm512_multishift_epi64_epi8(_mm512_set1_epi64(fields), lanes), _mm512_set1_epi8((1 << bits) - 1));
}

template <int bits, int group>
void mlx_affine(const PanelSource& s, Panel& panel) {
  const RowBytes from = rows_in_place(s, bits);
  if constexpr (bits == 4) {
    store_nibbles<NibbleOrder::neighbours>(from, s.count, panel, AsIs());
  } else {
    store_bytes(s.count, panel, [&](int r, int piece) {
      const __m512i packed = load_row(from, r, 8 * bits * piece, byte_mask(std::min(64, s.count - 64 * piece) * bits / 8));
      if constexpr (bits == 8)
        return packed;
      else
        return spread_bits<bits>(packed);
    });
  }
  mlx_scales<group>(s, panel);
}

// ggml: blocks with their scales inside are copied to rows of codes and rows of scales.

template <int row_bytes>
struct Copies {
  alignas(64) uint8_t codes[kRows][row_bytes];
  alignas(64) float scales[kRows][kGroups], offsets[kRows][kGroups];

  RowBytes rows() const {
    RowBytes bytes;
    for (int r = 0; r < kRows; ++r) bytes.rows[r] = codes[r];
    return bytes;
  }
  void store(float (*to)[kRows], const float (&from)[kRows][kGroups], int groups) const {
    for (int g = 0; g < groups; g += 16)
      store_scales(to + g, std::min(16, groups - g), [&](int r) { return _mm512_load_ps(from[r] + g); });
  }
};

// each(r, block, at): block `block` of the chunk in row r, `bytes` long.
template <class Each>
void for_blocks(const PanelSource& s, int elements, int bytes, Each each) {
  for (int r = 0; r < kRows; ++r) {
    const uint8_t* at = bytes_at(s.rows[r].codes) + s.column / elements * bytes;
    for (int i = 0; i < s.count / elements * bytes; i += 64)
      _mm_prefetch(reinterpret_cast<const char*>(at + s.ahead + i), _MM_HINT_T1);
    for (int b = 0; b < s.count / elements; ++b, at += bytes) each(r, b, at);
  }
}

template <int bytes>
inline void copy(const uint8_t* from, uint8_t* to) {
  std::memcpy(to, from, bytes);
}

void ggml_mxfp4(const PanelSource& s, Panel& panel) {
  Copies<kChunk / 2> rows;
  alignas(16) uint8_t exponents[kRows][16];
  for_blocks(s, 32, 17,
             [&](int r, int b, const uint8_t* at) { exponents[r][b] = at[0], copy<16>(at + 1, rows.codes[r] + 16 * b); });
  store_nibbles<NibbleOrder::half_blocks>(rows.rows(), s.count, panel, E2m1());
  store_scales(panel.scales, s.count / 32,
               [&](int r) { return half_e8m0(_mm_load_si128(reinterpret_cast<const __m128i*>(exponents[r]))); });
}

void ggml_q4_0(const PanelSource& s, Panel& panel) {
  Copies<kChunk / 2> rows;
  for_blocks(s, 32, 18,
             [&](int r, int b, const uint8_t* at) { rows.scales[r][b] = f16_at(at), copy<16>(at + 2, rows.codes[r] + 16 * b); });
  store_nibbles<NibbleOrder::half_blocks>(rows.rows(), s.count, panel, AsIs());
  rows.store(panel.scales, rows.scales, s.count / 32);
}

void ggml_q8_0(const PanelSource& s, Panel& panel) {
  Copies<kChunk> rows;
  for_blocks(s, 32, 34,
             [&](int r, int b, const uint8_t* at) { rows.scales[r][b] = f16_at(at), copy<32>(at + 2, rows.codes[r] + 32 * b); });
  const RowBytes from = rows.rows();
  const __m512i flip = _mm512_set1_epi8(-128);
  store_bytes(s.count, panel,
              [&](int r, int piece) { return _mm512_xor_si512(load_row(from, r, 64 * piece, ~__mmask64{0}), flip); });
  rows.store(panel.scales, rows.scales, s.count / 32);
}

void ggml_q4_k(const PanelSource& s, Panel& panel) {
  Copies<kChunk / 2> rows;
  for_blocks(s, 256, 144, [&](int r, int b, const uint8_t* at) {
    super_scales(at, rows.scales[r] + 8 * b, rows.offsets[r] + 8 * b);
    copy<128>(at + 16, rows.codes[r] + 128 * b);
  });
  store_nibbles<NibbleOrder::half_pairs>(rows.rows(), s.count, panel, AsIs());
  rows.store(panel.scales, rows.scales, s.count / 32);
  rows.store(panel.offsets, rows.offsets, s.count / 32);
}

void ggml_q5_k(const PanelSource& s, Panel& panel) {
  Copies<kChunk> rows;
  for_blocks(s, 256, 176, [&](int r, int b, const uint8_t* at) {
    super_scales(at, rows.scales[r] + 8 * b, rows.offsets[r] + 8 * b);
    q5_k_codes(at, rows.codes[r] + 256 * b);
  });
  const RowBytes from = rows.rows();
  store_bytes(s.count, panel, [&](int r, int piece) { return load_row(from, r, 64 * piece, ~__mmask64{0}); });
  rows.store(panel.scales, rows.scales, s.count / 32);
  rows.store(panel.offsets, rows.offsets, s.count / 32);
}

void ggml_q6_k(const PanelSource& s, Panel& panel) {
  Copies<kChunk> rows;
  for_blocks(s, 256, 210, [&](int r, int b, const uint8_t* at) {
    q6_k_scales(at, rows.scales[r] + 16 * b);
    q6_k_codes(at, rows.codes[r] + 256 * b);
  });
  const RowBytes from = rows.rows();
  store_bytes(s.count, panel, [&](int r, int piece) { return load_row(from, r, 64 * piece, ~__mmask64{0}); });
  rows.store(panel.scales, rows.scales, s.count / 16);
}

}  // namespace

extern const PanelKernel::Unpackers unpackers;
constexpr PanelKernel::Unpackers unpackers = {
    .mlx_mxfp4 = mlx_mxfp4,
    .mxfp4 = ggml_mxfp4,
    .q4_0 = ggml_q4_0,
    .q8_0 = ggml_q8_0,
    .q4_k = ggml_q4_k,
    .q5_k = ggml_q5_k,
    .q6_k = ggml_q6_k,
    .mlx_affine = for_affine<PanelKernel::Unpack>([]<int bits, int group>() { return mlx_affine<bits, group>; })};

}  // namespace quern::panels::avx512

QUERN_TARGET_END

#endif
