#include "kernels/rms_norm/rms_norm.h"

#if defined(__x86_64__)
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

#include "kernels/activations/avx2_math.h"

namespace quern::avx2 {

double sum_of_squares(const float* x, int64_t n) {
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  for_eights(n, [&](int64_t at, auto lanes) {
    const __m256 values = lanes.load(x + at);
    const __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(values)), b = _mm256_cvtps_pd(_mm256_extractf128_ps(values, 1));
    low = _mm256_fmadd_pd(a, a, low), high = _mm256_fmadd_pd(b, b, high);
  });
  return sum_of(_mm256_add_pd(low, high));
}

void scale_mul(const float* x, float scale, const float* weight, int64_t n, float* out) {
  for_eights(n, [&](int64_t at, auto lanes) {
    const __m256 scaled = _mm256_mul_ps(lanes.load(x + at), _mm256_set1_ps(scale));
    lanes.store(out + at, _mm256_mul_ps(scaled, lanes.load(weight + at)));
  });
}

void scale_mul_silu(const float* x, float scale, const float* weight, const float* z, int64_t n, float* out) {
  for_eights(n, [&](int64_t at, auto lanes) {
    const __m256 scaled = _mm256_mul_ps(lanes.load(x + at), _mm256_set1_ps(scale));
    const __m256 normed = _mm256_mul_ps(scaled, lanes.load(weight + at));
    lanes.store(out + at, _mm256_mul_ps(normed, silu8(lanes.load(z + at))));
  });
}

}  // namespace quern::avx2

QUERN_TARGET_END

#else
#include <cstdlib>

namespace quern::avx2 {
// There is no such Isa here, so nobody calls these.
double sum_of_squares(const float*, int64_t) { std::abort(); }
void scale_mul(const float*, float, const float*, int64_t, float*) { std::abort(); }
void scale_mul_silu(const float*, float, const float*, const float*, int64_t, float*) { std::abort(); }
}  // namespace quern::avx2

#endif
