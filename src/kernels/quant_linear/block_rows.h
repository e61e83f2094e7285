// ggml's super-blocks taken apart into unsigned codes, a byte each, and scales (layouts: quant/k_quants.cpp). Included inside the brackets of
// an instruction set (kernels/target.h), AVX2 at least, so that each has a copy of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace quern::panels {
namespace {

inline float f16_at(const uint8_t* at) { return _cvtsh_ss(static_cast<uint16_t>(at[0] | at[1] << 8)); }

inline __m256i load32(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
inline void store32(uint8_t* at, __m256i bytes) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), bytes); }
inline __m256i low_nibbles(__m256i bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }
inline __m256i high_nibbles(__m256i bytes) { return low_nibbles(_mm256_srli_epi16(bytes, 4)); }

// The eight scales and mins of q4_k and q5_k, times d and -dmin.
inline void super_scales(const uint8_t* at, float* scales, float* offsets) {
  const float d = f16_at(at), dmin = f16_at(at + 2);
  const uint8_t* packed = at + 4;
  for (int g = 0; g < 4; ++g) {
    const int low = packed[g], mid = packed[g + 4], both = packed[g + 8];
    scales[g] = d * static_cast<float>(low & 63), scales[g + 4] = d * static_cast<float>((both & 15) | low >> 6 << 4);
    offsets[g] = -(dmin * static_cast<float>(mid & 63)), offsets[g + 4] = -(dmin * static_cast<float>(both >> 4 | mid >> 6 << 4));
  }
}

inline void q5_k_codes(const uint8_t* at, uint8_t* codes) {
  const __m256i high = load32(at + 16), one = _mm256_set1_epi8(1);
  for (int group = 0; group < 8; ++group) {
    const __m256i nibbles = load32(at + 48 + group / 2 * 32);
    const __m256i bit = _mm256_slli_epi16(_mm256_and_si256(_mm256_srl_epi16(high, _mm_cvtsi32_si128(group)), one), 4);
    store32(codes + 32 * group, _mm256_or_si256(group % 2 == 0 ? low_nibbles(nibbles) : high_nibbles(nibbles), bit));
  }
}

inline void q6_k_scales(const uint8_t* at, float* scales) {
  const float d = f16_at(at + 208);
  for (int g = 0; g < 16; ++g) scales[g] = d * static_cast<float>(static_cast<int8_t>(at[192 + g]));
}

inline void q6_k_codes(const uint8_t* at, uint8_t* codes) {
  for (int half = 0; half < 2; ++half) {
    const __m256i high = load32(at + 128 + 32 * half);
    for (int j = 0; j < 4; ++j) {
      const __m256i nibbles = load32(at + 64 * half + 32 * (j % 2));
      const __m256i top = _mm256_and_si256(_mm256_srl_epi16(high, _mm_cvtsi32_si128(2 * j)), _mm256_set1_epi8(3));
      store32(codes + 128 * half + 32 * j,
              _mm256_or_si256(j < 2 ? low_nibbles(nibbles) : high_nibbles(nibbles), _mm256_slli_epi16(top, 4)));
    }
  }
}

}  // namespace
}  // namespace quern::panels
