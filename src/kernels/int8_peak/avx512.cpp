#include "kernels/int8_peak/int8_peak.h"

#if defined(__x86_64__)
#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")

namespace quern::avx512 {

// Sixteen sums: more than the latency of vpdpbusd times two a cycle asks for. The operands change, so that nothing is the same twice.
int32_t multiply_int8(int64_t rounds) {
  __m512i sums[16], codes = _mm512_set1_epi8(1), x = _mm512_set1_epi8(3);
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (int64_t r = 0; r < rounds; ++r) {
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, codes, x);
    codes = _mm512_xor_si512(codes, x);
  }
  __m512i total = _mm512_setzero_si512();
  for (const __m512i& sum : sums) total = _mm512_add_epi32(total, sum);
  return _mm512_reduce_add_epi32(total);
}
static_assert(16 * 64 == kInt8PeakProducts);

}  // namespace quern::avx512

QUERN_TARGET_END

#endif
