// Codes and scales as they are stored to those of a panel, sixteen lanes at a time. Included inside the brackets of an instruction set
// (kernels/target.h), AVX-512 with VBMI, so that each file has a copy of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "quant/format.h"

namespace quern::panels::avx512 {
namespace {

// What the panel gets for a code.
struct AsIs {
  __m512i operator()(__m512i nibbles) const { return nibbles; }
};
// E2M1 doubled, plus 12.
struct E2m1 {
  __m512i operator()(__m512i nibbles) const {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0)),
                               nibbles);
  }
};

// Half of a scale in E8M0, because E2m1 doubles the codes.
inline __m512 half_e8m0(__m128i bytes) {
  const __m512i bits = _mm512_cvtepu8_epi32(bytes);
  __m512i value = _mm512_slli_epi32(bits, 23);
  value = _mm512_mask_mov_epi32(value, _mm512_cmpeq_epi32_mask(bits, _mm512_setzero_si512()), _mm512_set1_epi32(0x00400000));
  value = _mm512_mask_mov_epi32(value, _mm512_cmpeq_epi32_mask(bits, _mm512_set1_epi32(255)), _mm512_set1_epi32(0x7FC00000));
  return _mm512_mul_ps(_mm512_castsi512_ps(value), _mm512_set1_ps(0.5f));
}

// `count` numbers of `type` from index `first` on.
inline __m512 load_scales(ScaleType type, const std::byte* scales, int64_t first, int count) {
  const auto mask = static_cast<__mmask16>((1U << count) - 1);
  if (type == ScaleType::f32) return _mm512_maskz_loadu_ps(mask, scales + 4 * first);
  const __m256i halves = _mm256_maskz_loadu_epi16(mask, scales + 2 * first);
  if (type == ScaleType::f16) return _mm512_cvtph_ps(halves);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

inline const uint8_t* bytes_at(const std::byte* at) { return reinterpret_cast<const uint8_t*>(at); }

}  // namespace
}  // namespace quern::panels::avx512
