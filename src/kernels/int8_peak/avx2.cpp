#include "kernels/int8_peak/int8_peak.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

namespace quern::avx2 {

// Eight sums, each of four quarter-products at a time; the operands change, so that nothing is the same twice.
int32_t multiply_int8(int64_t rounds) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[8], codes = _mm256_set1_epi8(1), x = _mm256_set1_epi8(3);
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (int64_t r = 0; r < rounds; ++r) {
    for (int step = 0; step < 4; ++step)
      for (__m256i& sum : sums) sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), ones));
    codes = _mm256_xor_si256(codes, x);
  }
  __m256i total = _mm256_setzero_si256();
  for (const __m256i& sum : sums) total = _mm256_add_epi32(total, sum);
  return _mm256_extract_epi32(total, 0);
}
static_assert(8 * 4 * 32 == kInt8PeakProducts);

}  // namespace quern::avx2

QUERN_TARGET_END

#endif
