// The inner loops for AVX2 and FMA. Keys and values are converted as they are loaded, each time for up to four query heads.
#include "kernels/attention/inner.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

namespace quern::avx2 {
namespace {

template <KvFormat format>
inline __m256 load8(const std::byte* at, int64_t i) {
  if constexpr (format == KvFormat::f32) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(at) + i);
  } else if constexpr (format == KvFormat::bf16) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 2 * i));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  } else {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at + i))));
  }
}

inline float sum_of(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

inline float scaled(const KvVectors& from, int64_t p, float factor) {
  return from.scales ? factor * from.scales[p * from.scale_stride] : factor;
}

// `heads` queries and `positions` keys, every product in a register of its own.
template <KvFormat format, int heads, int positions>
inline void score_tile(const KvVectors& k, int64_t p, const float* q, int64_t q_stride, int64_t head_dim, float scale,
                       float* scores) {
  __m256 sums[heads][positions];
  for (auto& of_head : sums)
    for (__m256& sum : of_head) sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < head_dim; i += 8) {
    __m256 keys[positions];
    for (int j = 0; j < positions; ++j) keys[j] = load8<format>(k.values + (p + j) * k.stride, i);
    for (int h = 0; h < heads; ++h) {
      const __m256 query = _mm256_loadu_ps(q + h * q_stride + i);
      for (int j = 0; j < positions; ++j) sums[h][j] = _mm256_fmadd_ps(query, keys[j], sums[h][j]);
    }
  }
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < positions; ++j) scores[h * kKvPagePositions + p + j] = sum_of(sums[h][j]) * scaled(k, p + j, scale);
}

template <KvFormat format, int heads>
void score_heads(const KvVectors& k, int64_t count, const float* q, int64_t q_stride, int64_t head_dim, float scale,
                 float* scores) {
  int64_t p = 0;
  for (; p + 2 <= count; p += 2) score_tile<format, heads, 2>(k, p, q, q_stride, head_dim, scale, scores);
  if (p < count) score_tile<format, heads, 1>(k, p, q, q_stride, head_dim, scale, scores);
}

// Sixteen dimensions from i on.
template <KvFormat format, int heads>
inline void value_tile(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t i, float* out,
                       int64_t out_stride) {
  __m256 sums[heads][2];
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < 2; ++j)
      sums[h][j] = _mm256_mul_ps(_mm256_loadu_ps(out + h * out_stride + i + 8 * j), _mm256_set1_ps(factors[h]));
  for (int64_t p = 0; p < count; ++p) {
    const std::byte* at = v.values + p * v.stride;
    const __m256 low = load8<format>(at, i), high = load8<format>(at, i + 8);
    for (int h = 0; h < heads; ++h) {
      const __m256 weight = _mm256_set1_ps(weights[h * kKvPagePositions + p]);
      sums[h][0] = _mm256_fmadd_ps(weight, low, sums[h][0]), sums[h][1] = _mm256_fmadd_ps(weight, high, sums[h][1]);
    }
  }
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < 2; ++j) _mm256_storeu_ps(out + h * out_stride + i + 8 * j, sums[h][j]);
}

template <KvFormat format, int heads>
void value_heads(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t head_dim, float* out,
                 int64_t out_stride) {
  float with_scales[heads * kKvPagePositions];
  if (v.scales) {
    for (int h = 0; h < heads; ++h)
      for (int64_t p = 0; p < count; ++p) with_scales[h * kKvPagePositions + p] = scaled(v, p, weights[h * kKvPagePositions + p]);
    weights = with_scales;
  }
  for (int64_t i = 0; i < head_dim; i += 16) value_tile<format, heads>(v, count, weights, factors, i, out, out_stride);
}

// Calls each.operator()<format, heads>(first head) for the format and every four heads.
template <KvFormat format, class Each>
inline void in_fours(int64_t heads, Each each) {
  int64_t h = 0;
  for (; h + 4 <= heads; h += 4) each.template operator()<format, 4>(h);
  if (heads - h == 3) each.template operator()<format, 3>(h);
  if (heads - h == 2) each.template operator()<format, 2>(h);
  if (heads - h == 1) each.template operator()<format, 1>(h);
}
template <class Each>
inline void dispatch(KvFormat format, int64_t heads, Each each) {
  if (format == KvFormat::f32) return in_fours<KvFormat::f32>(heads, each);
  if (format == KvFormat::bf16) return in_fours<KvFormat::bf16>(heads, each);
  in_fours<KvFormat::int8>(heads, each);
}

void scores(const KvVectors& k, int64_t count, const float* q, int64_t q_stride, int64_t heads, int64_t head_dim, float scale,
            float* scores) {
  dispatch(k.format, heads, [&]<KvFormat format, int some>(int64_t h) {
    score_heads<format, some>(k, count, q + h * q_stride, q_stride, head_dim, scale, scores + h * kKvPagePositions);
  });
}

void add_values(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
                float* out, int64_t out_stride) {
  dispatch(v.format, heads, [&]<KvFormat format, int some>(int64_t h) {
    value_heads<format, some>(v, count, weights + h * kKvPagePositions, factors + h, head_dim, out + h * out_stride, out_stride);
  });
}

}  // namespace

const AttentionInner attention_inner{scores, add_values};

}  // namespace quern::avx2

QUERN_TARGET_END

#else

namespace quern::avx2 {
const AttentionInner attention_inner = scalar::attention_inner;
}  // namespace quern::avx2

#endif
