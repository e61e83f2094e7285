// e^x in sixteen lanes, for x <= 0. Included inside the brackets of an instruction set (kernels/target.h), behind kernels/avx512.h.
#pragma once

#include "kernels/attention/exp2_terms.h"

namespace quern {
namespace {

// 2^(n + r), n whole and |r| <= 1/2; 2^r to 1.3 units in the last place. The product with a rounded
// logarithm adds a relative error of |x| 2^-23. 0 below 2^-125.
__m512 exp16(__m512 x) {
  const __m512 power = _mm512_mul_ps(x, _mm512_set1_ps(0x1.715476p+0f)),
               n = _mm512_roundscale_ps(power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), r = _mm512_sub_ps(power, n);
  __m512 sum = _mm512_set1_ps(kExp2First);
#pragma GCC unroll 5
  for (const float term : kExp2Others) sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(term));
  return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(power, _mm512_set1_ps(-125.0f), _CMP_NLT_UQ), sum, n);
}

}  // namespace
}  // namespace quern
