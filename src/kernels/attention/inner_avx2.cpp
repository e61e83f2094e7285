#include "kernels/attention/inner.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/target.h"
#include "tensor/dtype.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

namespace quern::avx2 {
namespace {

float dot(const float* a, const float* b, int64_t n) {
  __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  int64_t i = 0;
  for (; i + 32 <= n; i += 32)
    for (int64_t u = 0; u < 4; ++u)
      sums[u] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * u), _mm256_loadu_ps(b + i + 8 * u), sums[u]);
  const __m256 all = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
  float lanes[8], sum = 0;
  _mm256_storeu_ps(lanes, all);
  for (const float lane : lanes) sum += lane;
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void axpy(float s, const float* x, int64_t n, float* out) {
  const __m256 scale = _mm256_set1_ps(s);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, _mm256_fmadd_ps(scale, _mm256_loadu_ps(x + i), _mm256_loadu_ps(out + i)));
  for (; i < n; ++i) out[i] += s * x[i];
}

void unpack_bf16(const std::byte* from, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 2 * i));
    _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16)));
  }
  for (; i < n; ++i) out[i] = load_f32(DType::bf16, from, i);
}

void unpack_int8(const std::byte* from, float scale, int64_t n, float* out) {
  const __m256 factor = _mm256_set1_ps(scale);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(factor, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes))));
  }
  for (; i < n; ++i) out[i] = scale * static_cast<float>(static_cast<int8_t>(from[i]));
}

}  // namespace

const AttentionInner attention_inner{dot, axpy, unpack_bf16, unpack_int8};

}  // namespace quern::avx2

QUERN_TARGET_END

#else

namespace quern::avx2 {
const AttentionInner attention_inner = scalar::attention_inner;
}  // namespace quern::avx2

#endif
