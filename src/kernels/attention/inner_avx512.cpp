// The inner loops of attention with AVX-512: inner_vector.h over sixteen lanes. Twice the registers hold the scores of eight query heads, and
// outputs of four in 64 dimensions: values, a row apart, are read in whole lines, since one that is needed twice is lost in between.
#include "kernels/attention/exp2_terms.h"
#include "kernels/attention/inner.h"

#if defined(__x86_64__)
#include <limits>

#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")

#include "kernels/attention/exp_avx512.h"
#include "kernels/attention/inner_vector.h"

namespace quern::avx512 {
namespace {

struct Sixteen {
  using Register = __m512;
  static constexpr int kLanes = 16, kScoreHeads = 8, kValueHeads = 4, kValueVectors = 4;

  static Register zero() { return _mm512_setzero_ps(); }
  static Register broadcast(float x) { return _mm512_set1_ps(x); }
  static Register load(const float* at) { return _mm512_loadu_ps(at); }
  static void store(float* at, Register x) { _mm512_storeu_ps(at, x); }
  static Register mul(Register a, Register b) { return _mm512_mul_ps(a, b); }
  static Register fma(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static float sum(Register x) { return _mm512_reduce_add_ps(x); }
  template <KvFormat format>
  static Register converted(const std::byte* at, int64_t i) {
    if constexpr (format == KvFormat::f32) {
      return _mm512_loadu_ps(at + 4 * i);
    } else if constexpr (format == KvFormat::bf16) {
      const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 2 * i));
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    } else {
      return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at + i))));
    }
  }
};

__mmask16 first_lanes(int64_t count) { return static_cast<__mmask16>(count >= 16 ? 0xFFFF : (1 << count) - 1); }

float highest_of_lanes(const float* scores, int64_t count) {
  __m512 highest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < count; i += 16)
    highest =
        _mm512_mask_max_ps(highest, first_lanes(count - i), _mm512_maskz_loadu_ps(first_lanes(count - i), scores + i), highest);
  return _mm512_reduce_max_ps(highest);
}

float exp_sum_of_lanes(float* x, float shift, int64_t count) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 lanes = first_lanes(count - i);
    const __m512 values = exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), _mm512_set1_ps(shift)));
    _mm512_mask_storeu_ps(x + i, lanes, values);
    sum = _mm512_mask_add_ps(sum, lanes, sum, values);
  }
  return _mm512_reduce_add_ps(sum);
}

}  // namespace

const AttentionInner attention_inner{nullptr, scores_by<Sixteen>, soften_rows<highest_of_lanes, exp_sum_of_lanes>,
                                     add_values_by<Sixteen>, nullptr};

}  // namespace quern::avx512

QUERN_TARGET_END

#else

namespace quern::avx512 {
const AttentionInner attention_inner = scalar::attention_inner;
}  // namespace quern::avx512

#endif
