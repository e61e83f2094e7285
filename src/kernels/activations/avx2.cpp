#include "kernels/activations/activations.h"

#if defined(__x86_64__)
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

#include "kernels/activations/avx2_math.h"

namespace quern::avx2 {

void silu_mul(float* gate, const float* up, int64_t count) {
  for_eights(count, [&](int64_t at, auto lanes) {
    const __m256 value = silu8(lanes.load(gate + at));
    lanes.store(gate + at, _mm256_mul_ps(value, lanes.load(up + at)));
  });
}

void sigmoid_mul(float* x, float scale, const float* gate, int64_t count) {
  for_eights(count, [&](int64_t at, auto lanes) {
    const __m256 scaled = _mm256_mul_ps(lanes.load(x + at), _mm256_set1_ps(scale));
    const __m256 divisor = one_plus_exp_minus(lanes.load(gate + at));
    lanes.store(x + at, _mm256_div_ps(scaled, divisor));
  });
}

void add_scaled(float* out, float factor, const float* x, int64_t count) {
  for_eights(count, [&](int64_t at, auto lanes) {
    lanes.store(out + at, _mm256_fmadd_ps(_mm256_set1_ps(factor), lanes.load(x + at), lanes.load(out + at)));
  });
}

double exp_sum(float* x, float shift, int64_t count) {
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  for_eights(count, [&](int64_t at, auto lanes) {
    const __m256 value = exp8(_mm256_sub_ps(lanes.load(x + at), _mm256_set1_ps(shift)));
    lanes.store(x + at, value);
    const __m256 counted = lanes.only(value);
    low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(counted)));
    high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(counted, 1)));
  });
  return sum_of(_mm256_add_pd(low, high));
}

}  // namespace quern::avx2

QUERN_TARGET_END

#else

namespace quern::avx2 {
void silu_mul(float* gate, const float* up, int64_t count) { quern::silu_mul(Isa::scalar, gate, up, count); }
void sigmoid_mul(float* x, float scale, const float* gate, int64_t count) {
  quern::sigmoid_mul(Isa::scalar, x, scale, gate, count);
}
void add_scaled(float* out, float factor, const float* x, int64_t count) { quern::add_scaled(Isa::scalar, out, factor, x, count); }
double exp_sum(float* x, float shift, int64_t count) { return quern::exp_sum(Isa::scalar, x, shift, count); }
}  // namespace quern::avx2

#endif
