// The inner loops of attention with AVX2 and FMA: inner_vector.h over eight lanes.
#include "kernels/activations/activations.h"
#include "kernels/attention/inner.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

#include "kernels/attention/inner_vector.h"

namespace quern::avx2 {
namespace {

struct Eight {
  using Register = __m256;
  static constexpr int kLanes = 8, kScoreHeads = 4, kValueHeads = 4, kValueVectors = 2;

  static Register zero() { return _mm256_setzero_ps(); }
  static Register broadcast(float x) { return _mm256_set1_ps(x); }
  static Register load(const float* at) { return _mm256_loadu_ps(at); }
  static void store(float* at, Register x) { _mm256_storeu_ps(at, x); }
  static Register mul(Register a, Register b) { return _mm256_mul_ps(a, b); }
  static Register fma(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static float sum(Register x) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  template <KvFormat format>
  static Register converted(const std::byte* at, int64_t i) {
    if constexpr (format == KvFormat::f32) {
      return _mm256_loadu_ps(reinterpret_cast<const float*>(at) + i);
    } else if constexpr (format == KvFormat::bf16) {
      const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 2 * i));
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
    } else {
      return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at + i))));
    }
  }
};

float exp_sum_of(float* x, float shift, int64_t count) { return static_cast<float>(avx2::exp_sum(x, shift, count)); }

}  // namespace

const AttentionInner attention_inner{nullptr, scores_by<Eight>, soften_rows<highest_of, exp_sum_of>, add_values_by<Eight>, nullptr};

}  // namespace quern::avx2

QUERN_TARGET_END

#else

namespace quern::avx2 {
const AttentionInner attention_inner = scalar::attention_inner;
}  // namespace quern::avx2

#endif
