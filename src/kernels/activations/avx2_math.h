// e^x and what is made of it, eight at a time. Included inside the brackets of an instruction set (kernels/target.h), AVX2 and FMA at least,
// so that each file has a copy of its own.
#pragma once

#include <immintrin.h>

namespace quern::avx2 {
namespace {

// 2^e, |e| <= 126.
inline __m256 power_of_two(__m256i e) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
}

// Within two units in the last place; subnormal below -87.3, 0 below -104, infinite above 88.72; NaN stays NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2, and e^r by its series: the first term left out is below 2^-24 / 8.
inline __m256 exp8(__m256 x) {
  x = _mm256_min_ps(_mm256_set1_ps(89.0f), _mm256_max_ps(_mm256_set1_ps(-105.0f), x));  // a NaN comes second, and is returned
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // ln 2 in two parts, of which the first has so few bits that n times it is exact.
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
  __m256 sum = _mm256_set1_ps(1.0f / 5040);
  for (const float term : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(term));
  // Times 2^n in two steps, so that neither overflows before the result does.
  const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), rest = _mm256_sub_epi32(whole, half);
  return _mm256_mul_ps(_mm256_mul_ps(sum, power_of_two(half)), power_of_two(rest));
}

// 1 + e^-x, what sigmoid and silu divide by.
inline __m256 one_plus_exp_minus(__m256 x) {
  const __m256 minus = _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
  return _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(minus));
}
inline __m256 silu8(__m256 x) { return _mm256_div_ps(x, one_plus_exp_minus(x)); }

// Eight lanes of a row, and the fewer ones at its end. (Masked stores are slow on some processors: they are for ends alone.)
struct AllLanes {
  __m256 load(const float* at) const { return _mm256_loadu_ps(at); }
  void store(float* at, __m256 values) const { _mm256_storeu_ps(at, values); }
  __m256 only(__m256 values) const { return values; }
};
struct FirstLanes {
  __m256i mask;
  __m256 load(const float* at) const { return _mm256_maskload_ps(at, mask); }
  void store(float* at, __m256 values) const { _mm256_maskstore_ps(at, mask, values); }
  __m256 only(__m256 values) const { return _mm256_and_ps(values, _mm256_castsi256_ps(mask)); }  // the others zero
};

// Calls each(at, lanes) for every eight of `count` elements.
template <class Each>
inline __attribute__((always_inline)) void for_eights(int64_t count, Each each) {
  int64_t at = 0;
  for (; at + 8 <= count; at += 8) each(at, AllLanes());
  const __m256i left = _mm256_set1_epi32(static_cast<int>(count - at));
  if (at < count) each(at, FirstLanes{_mm256_cmpgt_epi32(left, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))});
}

inline double sum_of(__m256d values) {
  double lanes[4];
  _mm256_storeu_pd(lanes, values);
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

}  // namespace
}  // namespace quern::avx2
