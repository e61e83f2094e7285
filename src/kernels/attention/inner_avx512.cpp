// The inner loops for AVX-512. Twice the registers of AVX2 hold the products of eight query heads, so that keys are loaded and converted once
// for all of them, and values in whole lines: at their stride of a kilobyte a line that is needed twice is lost in between.
#include "kernels/attention/inner.h"

#if defined(__x86_64__)
#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")

namespace quern::avx512 {
namespace {

template <KvFormat format>
inline __m512 load16(const std::byte* at, int64_t i) {
  if constexpr (format == KvFormat::f32) {
    return _mm512_loadu_ps(at + 4 * i);
  } else if constexpr (format == KvFormat::bf16) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 2 * i));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  } else {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at + i))));
  }
}

inline float scaled(const KvVectors& from, int64_t p, float factor) {
  return from.scales ? factor * from.scales[p * from.scale_stride] : factor;
}

// `heads` queries and `positions` keys, every product in a register of its own.
template <KvFormat format, int heads, int positions>
inline void score_tile(const KvVectors& k, int64_t p, const float* q, int64_t q_stride, int64_t head_dim, float scale,
                       float* scores) {
  __m512 sums[heads][positions];
  for (auto& of_head : sums)
    for (__m512& sum : of_head) sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < head_dim; i += 16) {
    __m512 keys[positions];
    for (int j = 0; j < positions; ++j) keys[j] = load16<format>(k.values + (p + j) * k.stride, i);
    for (int h = 0; h < heads; ++h) {
      const __m512 query = _mm512_loadu_ps(q + h * q_stride + i);
      for (int j = 0; j < positions; ++j) sums[h][j] = _mm512_fmadd_ps(query, keys[j], sums[h][j]);
    }
  }
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < positions; ++j)
      scores[h * kKvPagePositions + p + j] = _mm512_reduce_add_ps(sums[h][j]) * scaled(k, p + j, scale);
}

template <KvFormat format, int heads>
void score_heads(const KvVectors& k, int64_t count, const float* q, int64_t q_stride, int64_t head_dim, float scale,
                 float* scores) {
  int64_t p = 0;
  for (; p + 2 <= count; p += 2) score_tile<format, heads, 2>(k, p, q, q_stride, head_dim, scale, scores);
  if (p < count) score_tile<format, heads, 1>(k, p, q, q_stride, head_dim, scale, scores);
}

// 16 * vectors dimensions from i on.
template <KvFormat format, int heads, int vectors>
inline void value_tile(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t i, float* out,
                       int64_t out_stride) {
  __m512 sums[heads][vectors];
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < vectors; ++j)
      sums[h][j] = _mm512_mul_ps(_mm512_loadu_ps(out + h * out_stride + i + 16 * j), _mm512_set1_ps(factors[h]));
  for (int64_t p = 0; p < count; ++p) {
    __m512 values[vectors];
    for (int j = 0; j < vectors; ++j) values[j] = load16<format>(v.values + p * v.stride, i + 16 * j);
    for (int h = 0; h < heads; ++h) {
      const __m512 weight = _mm512_set1_ps(weights[h * kKvPagePositions + p]);
      for (int j = 0; j < vectors; ++j) sums[h][j] = _mm512_fmadd_ps(weight, values[j], sums[h][j]);
    }
  }
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < vectors; ++j) _mm512_storeu_ps(out + h * out_stride + i + 16 * j, sums[h][j]);
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
  int64_t i = 0;
  for (; i + 64 <= head_dim; i += 64) value_tile<format, heads, 4>(v, count, weights, factors, i, out, out_stride);
  for (; i < head_dim; i += 16) value_tile<format, heads, 1>(v, count, weights, factors, i, out, out_stride);
}

// Calls each.operator()<heads>(first head) for `most` heads at a time, and for those that remain.
template <int most, class Each>
inline void in_groups(int64_t heads, int64_t first, Each each) {
  for (; first + most <= heads; first += most) each.template operator()<most>(first);
  if constexpr (most > 1)
    if (first < heads) in_groups<most / 2>(heads, first, each);
}

template <KvFormat format>
void scores_of(const KvVectors& k, int64_t count, const float* q, int64_t q_stride, int64_t heads, int64_t head_dim, float scale,
               float* scores) {
  in_groups<8>(heads, 0, [&]<int some>(int64_t h) {
    score_heads<format, some>(k, count, q + h * q_stride, q_stride, head_dim, scale, scores + h * kKvPagePositions);
  });
}
template <KvFormat format>
void values_of(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
               float* out, int64_t out_stride) {
  in_groups<4>(heads, 0, [&]<int some>(int64_t h) {
    value_heads<format, some>(v, count, weights + h * kKvPagePositions, factors + h, head_dim, out + h * out_stride, out_stride);
  });
}

void scores(const KvVectors& k, int64_t count, const float* q, int64_t q_stride, int64_t heads, int64_t head_dim, float scale,
            float* scores) {
  const auto of = k.format == KvFormat::f32    ? scores_of<KvFormat::f32>
                  : k.format == KvFormat::bf16 ? scores_of<KvFormat::bf16>
                                               : scores_of<KvFormat::int8>;
  of(k, count, q, q_stride, heads, head_dim, scale, scores);
}

void add_values(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
                float* out, int64_t out_stride) {
  const auto of = v.format == KvFormat::f32    ? values_of<KvFormat::f32>
                  : v.format == KvFormat::bf16 ? values_of<KvFormat::bf16>
                                               : values_of<KvFormat::int8>;
  of(v, count, weights, factors, heads, head_dim, out, out_stride);
}

}  // namespace

const AttentionInner attention_inner{scores, add_values};

}  // namespace quern::avx512

QUERN_TARGET_END

#else

namespace quern::avx512 {
const AttentionInner attention_inner = scalar::attention_inner;
}  // namespace quern::avx512

#endif
