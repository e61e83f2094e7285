// Unpacking into panels with AVX2: every row by itself into bytes and scales, then both transposed.
#include "kernels/quant_linear/panel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "kernels/target.h"
#include "tensor/dtype.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

#include "kernels/quant_linear/block_rows.h"
#include "kernels/quant_linear/decode_avx2.h"

namespace quern::panels::avx2 {
namespace {

// 16 rows of a chunk; scales and offsets of 16 or 32 columns each, as the format has them.
struct Rows {
  alignas(32) uint8_t codes[kRows][kChunk];
  alignas(32) float scales[kRows][kGroups], offsets[kRows][kGroups];
};

// 8 x 8 lanes of 32 bits: from[r] is where row r begins, to + 16 j gets lane j of every row.
void transpose8(const void* const (&from)[8], uint32_t* to) {
  __m256i r[8], a[8];
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_si256(static_cast<const __m256i*>(from[i]));
  for (int i = 0; i < 8; i += 2) a[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]), a[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
  for (int i = 0; i < 8; i += 4)
    for (int k = 0; k < 2; ++k) {
      r[i + 2 * k] = _mm256_unpacklo_epi64(a[i + k], a[i + k + 2]);
      r[i + 2 * k + 1] = _mm256_unpackhi_epi64(a[i + k], a[i + k + 2]);
    }
  for (int j = 0; j < 4; ++j) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + j * kRows), _mm256_permute2x128_si256(r[j], r[j + 4], 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + (j + 4) * kRows), _mm256_permute2x128_si256(r[j], r[j + 4], 0x31));
  }
}

// `lanes` columns of 32 bits of 16 rows; those up to the next eight are written too.
template <class RowAt>
void transpose_rows(int lanes, void* to, RowAt row_at) {
  for (int at = 0; at < lanes; at += 8)
    for (int half = 0; half < 2; ++half) {
      const void* from[8];
      for (int r = 0; r < 8; ++r) from[r] = static_cast<const uint32_t*>(row_at(8 * half + r)) + at;
      transpose8(from, static_cast<uint32_t*>(to) + at * kRows + 8 * half);
    }
}

// unpack_row(rows, r): codes and scales of row r into rows.
template <int group, bool offsets, class UnpackRow>
void unpack(const PanelSource& s, Panel& panel, UnpackRow unpack_row) {
  Rows rows;
  for (int r = 0; r < kRows; ++r) {
    const uint8_t* codes = bytes_at(s.rows[r].codes) + s.column * s.chunk_bytes / s.count;
    for (int64_t i = 0; i < s.chunk_bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(codes + s.ahead + i), _MM_HINT_T1);
    unpack_row(rows, r);
  }
  transpose_rows(s.count / 4, panel.codes, [&](int r) -> const void* { return rows.codes[r]; });
  transpose_rows(s.count / group, panel.scales, [&](int r) -> const void* { return rows.scales[r]; });
  if constexpr (offsets) transpose_rows(s.count / group, panel.offsets, [&](int r) -> const void* { return rows.offsets[r]; });
}

// 16 bytes of nibbles to 32 codes. MLX's are neighbours: in even_odd order the low ones of four bytes come before the high ones.
inline __m256i neighbours(const uint8_t* at) {
  const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)), four = _mm_set1_epi8(15);
  const __m128i low = _mm_and_si128(both, four), high = _mm_and_si128(_mm_srli_epi16(both, 4), four);
  return _mm256_set_m128i(_mm_unpackhi_epi32(low, high), _mm_unpacklo_epi32(low, high));
}
inline __m256i half_block(const uint8_t* at) {
  const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)), four = _mm_set1_epi8(15);
  return _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(both, 4), four), _mm_and_si128(both, four));
}
void mlx_mxfp4(const PanelSource& s, Panel& panel) {
  unpack<32, false>(s, panel, [&](Rows& rows, int r) {
    const uint8_t *codes = bytes_at(s.rows[r].codes) + s.column / 2, *scales = bytes_at(s.rows[r].scales) + s.column / 32;
    for (int b = 0; b < s.count / 32; ++b) {
      store32(rows.codes[r] + 32 * b, e2m1(neighbours(codes + 16 * b)));
      rows.scales[r][b] = half_e8m0(scales[b]);
    }
  });
}

// 32 codes of `bits` bits each, a little-endian stream.
template <int bits>
inline void stream_codes(const uint8_t* from, uint8_t* to) {
  if constexpr (bits == 8) {
    store32(to, load32(from));
  } else if constexpr (bits == 4) {
    store32(to, neighbours(from));
  } else {
    for (int eight = 0; eight < 4; ++eight) {
      uint64_t word = 0;
      std::memcpy(&word, from + eight * bits, bits);
      for (int i = 0; i < 8; ++i) to[8 * eight + i] = static_cast<uint8_t>(word >> i * bits & ((1U << bits) - 1));
    }
  }
}

template <int bits, int group>
void mlx_affine(const PanelSource& s, Panel& panel) {
  unpack<32, true>(s, panel, [&](Rows& rows, int r) {
    const QuantRow& row = s.rows[r];
    const uint8_t* codes = bytes_at(row.codes) + s.column * bits / 8;
    for (int b = 0; b < s.count / 32; ++b) {
      stream_codes<bits>(codes + 4 * bits * b, rows.codes[r] + 32 * b);
      const int64_t at = (s.column + 32 * b) / group;
      rows.scales[r][b] = scale_at(row.scale_type, row.scales, at), rows.offsets[r][b] = scale_at(row.scale_type, row.biases, at);
    }
  });
}

// each(rows, r, block, at): block `block` of the chunk in row r, `bytes` long.
template <int elements, int bytes, int group, bool offsets, class Each>
void unpack_blocks(const PanelSource& s, Panel& panel, Each each) {
  unpack<group, offsets>(s, panel, [&](Rows& rows, int r) {
    const uint8_t* at = bytes_at(s.rows[r].codes) + s.column / elements * bytes;
    for (int b = 0; b < s.count / elements; ++b, at += bytes) each(rows, r, b, at);
  });
}

void ggml_mxfp4(const PanelSource& s, Panel& panel) {
  unpack_blocks<32, 17, 32, false>(s, panel, [](Rows& rows, int r, int b, const uint8_t* at) {
    rows.scales[r][b] = half_e8m0(at[0]);
    store32(rows.codes[r] + 32 * b, e2m1(half_block(at + 1)));
  });
}

void ggml_q4_0(const PanelSource& s, Panel& panel) {
  unpack_blocks<32, 18, 32, false>(s, panel, [](Rows& rows, int r, int b, const uint8_t* at) {
    rows.scales[r][b] = f16_at(at);
    store32(rows.codes[r] + 32 * b, half_block(at + 2));
  });
}

void ggml_q8_0(const PanelSource& s, Panel& panel) {
  unpack_blocks<32, 34, 32, false>(s, panel, [](Rows& rows, int r, int b, const uint8_t* at) {
    rows.scales[r][b] = f16_at(at);
    store32(rows.codes[r] + 32 * b, _mm256_xor_si256(load32(at + 2), _mm256_set1_epi8(-128)));
  });
}

void ggml_q4_k(const PanelSource& s, Panel& panel) {
  unpack_blocks<256, 144, 32, true>(s, panel, [](Rows& rows, int r, int b, const uint8_t* at) {
    super_scales(at, rows.scales[r] + 8 * b, rows.offsets[r] + 8 * b);
    for (int pair = 0; pair < 4; ++pair) {
      const __m256i both = load32(at + 16 + 32 * pair);
      store32(rows.codes[r] + 256 * b + 64 * pair, low_nibbles(both));
      store32(rows.codes[r] + 256 * b + 64 * pair + 32, high_nibbles(both));
    }
  });
}

void ggml_q5_k(const PanelSource& s, Panel& panel) {
  unpack_blocks<256, 176, 32, true>(s, panel, [](Rows& rows, int r, int b, const uint8_t* at) {
    super_scales(at, rows.scales[r] + 8 * b, rows.offsets[r] + 8 * b);
    q5_k_codes(at, rows.codes[r] + 256 * b);
  });
}

void ggml_q6_k(const PanelSource& s, Panel& panel) {
  unpack_blocks<256, 210, 16, false>(s, panel, [](Rows& rows, int r, int b, const uint8_t* at) {
    q6_k_scales(at, rows.scales[r] + 16 * b);
    q6_k_codes(at, rows.codes[r] + 256 * b);
  });
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

}  // namespace quern::panels::avx2

QUERN_TARGET_END

#endif
