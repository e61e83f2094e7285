// The inner loops of attention over bf16 pages with AVX-512's bf16 products: two multiplications where f32 has one, and nothing to convert in
// keys and values. Queries and weights are rounded to bf16, as keys and values have been; sums are f32.
#include "kernels/attention/inner.h"

#if defined(__x86_64__)
#include <cstring>
#include <vector>

#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

#include "kernels/attention/inner_groups.h"

namespace quern::avx512_bf16 {
namespace {

constexpr int kScoreHeads = 8, kValueHeads = 4, kValueVectors = 2;  // what registers hold, as in inner_vector.h

__m512bh load_bf16(const void* at) {
  __m512bh values;
  std::memcpy(&values, at, sizeof values);
  return values;
}

// 32 floats at `at`, those from `count` on as zeros.
__m512bh rounded(const float* at, int64_t count = 32) {
  const auto mask = [](int64_t n) { return static_cast<__mmask16>(n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1 << n) - 1); };
  return _mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(mask(count - 16), at + 16), _mm512_maskz_loadu_ps(mask(count), at));
}

// The sums of the 128-bit lanes 0 and 1, 2 and 3 of a, then of b.
inline __attribute__((always_inline)) __m512 half_sums(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
}

// Lane i of the result: the sum over the lanes of x[i].
inline __attribute__((always_inline)) __m512 sums_of(const __m512 (&x)[16]) {
  __m512 twos[8], fours[4];
  for (int i = 0; i < 8; ++i) twos[i] = _mm512_add_ps(_mm512_unpacklo_ps(x[i], x[i + 8]), _mm512_unpackhi_ps(x[i], x[i + 8]));
  for (int i = 0; i < 4; ++i) {
    const __m512d a = _mm512_castps_pd(twos[i]), b = _mm512_castps_pd(twos[i + 4]);
    fours[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15);
  return _mm512_permutexvar_ps(in_order, half_sums(half_sums(fours[0], fours[1]), half_sums(fours[2], fours[3])));
}

// The line of what comes next that lies where `at` lies among what is here. Two products of a page take as long as its bytes, so that
// neither waits for the other.
inline void prefetch_ahead(const KvVectors& from, const std::byte* at) {
  if (from.ahead) _mm_prefetch(reinterpret_cast<const char*>(from.ahead + (at - from.values)), _MM_HINT_T0);
}

// Positions p and `other` (the same where p is the last one) for some heads. q [heads, head_dim] in bf16.
template <int heads>
void score_pair(const KvVectors& k, int64_t p, int64_t other, const uint16_t* q, int64_t head_dim, float scale, float* scores) {
  __m512 sums[16];
#pragma GCC unroll 16
  for (__m512& sum : sums) sum = _mm512_setzero_ps();  // a loop would be a call of memset, and the sums in memory
  const std::byte *first = k.values + p * k.stride, *second = k.values + other * k.stride;
  int64_t i = 0;
  do {
    const __m512bh a = load_bf16(first + 2 * i), b = load_bf16(second + 2 * i);
    prefetch_ahead(k, first + 2 * i);
    prefetch_ahead(k, second + 2 * i);
    for (int h = 0; h < heads; ++h) {
      const __m512bh query = load_bf16(q + h * head_dim + i);
      sums[2 * h] = _mm512_dpbf16_ps(sums[2 * h], query, a);
      sums[2 * h + 1] = _mm512_dpbf16_ps(sums[2 * h + 1], query, b);
    }
  } while ((i += 32) < head_dim);
  float pairs[16];
  _mm512_storeu_ps(pairs, _mm512_mul_ps(sums_of(sums), _mm512_set1_ps(scale)));
  // There is room for a second score where there is no position: a page has an even number of them.
  for (int h = 0; h < heads; ++h) std::memcpy(scores + h * kKvPagePositions + p, pairs + 2 * h, 2 * sizeof(float));
}

void scores_of(const KvVectors& k, int64_t count, const float* q, int64_t q_stride, int64_t heads, int64_t head_dim, float scale,
               float* scores) {
  if (k.format != KvFormat::bf16) return avx512::attention_inner.scores(k, count, q, q_stride, heads, head_dim, scale, scores);
  thread_local std::vector<uint16_t> memory;
  memory.resize(static_cast<size_t>(heads * head_dim));
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < head_dim; i += 32) {
      const __m512bh query = rounded(q + h * q_stride + i);
      std::memcpy(memory.data() + h * head_dim + i, &query, sizeof query);
    }
  in_groups<kScoreHeads>(heads, 0, [&]<int some>(int64_t h) {
    for (int64_t p = 0; p < count; p += 2)
      score_pair<some>(k, p, std::min(p + 1, count - 1), memory.data() + h * head_dim, head_dim, scale,
                       scores + h * kKvPagePositions);
  });
}

// Pairs of values of two positions come four dimensions in turn from both halves of each eight: outputs lie so while they are summed.
struct Interleaved {
  __m512 low, high;
  static Interleaved load(const float* at, float factor) {
    const __m512i to_low = _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    const __m512i to_high = _mm512_add_epi32(to_low, _mm512_set1_epi32(4));
    const __m512 a = _mm512_mul_ps(_mm512_loadu_ps(at), _mm512_set1_ps(factor)),
                 b = _mm512_mul_ps(_mm512_loadu_ps(at + 16), _mm512_set1_ps(factor));
    return {_mm512_permutex2var_ps(a, to_low, b), _mm512_permutex2var_ps(a, to_high, b)};
  }
  void store(float* at) const {
    const __m512i to_first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512i to_second = _mm512_add_epi32(to_first, _mm512_set1_epi32(8));
    _mm512_storeu_ps(at, _mm512_permutex2var_ps(low, to_first, high));
    _mm512_storeu_ps(at + 16, _mm512_permutex2var_ps(low, to_second, high));
  }
};

// 32 * vectors dimensions from i on. pairs [heads][32]: the weights of positions 2j and 2j + 1.
template <int heads, int vectors>
inline void value_tile(const KvVectors& v, int64_t count, const uint32_t* pairs, const float* factors, int64_t i, float* out,
                       int64_t out_stride) {
  Interleaved sums[heads][vectors];
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < vectors; ++j) sums[h][j] = Interleaved::load(out + h * out_stride + i + 32 * j, factors[h]);
  for (int64_t p = 0; p < count; p += 2) {
    const std::byte *first = v.values + p * v.stride + 2 * i, *second = v.values + std::min(p + 1, count - 1) * v.stride + 2 * i;
    __m512bh low[vectors], high[vectors];
    for (int j = 0; j < vectors; ++j) {
      const __m512i a = _mm512_loadu_si512(first + 64 * j), b = _mm512_loadu_si512(second + 64 * j);
      prefetch_ahead(v, first + 64 * j);
      prefetch_ahead(v, second + 64 * j);
      low[j] = reinterpret_cast<__m512bh>(_mm512_unpacklo_epi16(a, b)),
      high[j] = reinterpret_cast<__m512bh>(_mm512_unpackhi_epi16(a, b));
    }
    for (int h = 0; h < heads; ++h) {
      const auto weights =
          reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(pairs[h * (kKvPagePositions / 2) + p / 2])));
      for (int j = 0; j < vectors; ++j) {
        sums[h][j].low = _mm512_dpbf16_ps(sums[h][j].low, weights, low[j]);
        sums[h][j].high = _mm512_dpbf16_ps(sums[h][j].high, weights, high[j]);
      }
    }
  }
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < vectors; ++j) sums[h][j].store(out + h * out_stride + i + 32 * j);
}

template <int heads>
void value_heads(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t head_dim, float* out,
                 int64_t out_stride) {
  uint32_t pairs[heads * kKvPagePositions / 2];
  for (int h = 0; h < heads; ++h)
    for (int64_t p = 0; p < kKvPagePositions; p += 32) {
      const __m512bh rounded_weights = rounded(weights + h * kKvPagePositions + p, count - p);
      std::memcpy(pairs + (h * kKvPagePositions + p) / 2, &rounded_weights, sizeof rounded_weights);
    }
  constexpr int kStep = 32 * kValueVectors;
  int64_t i = 0;
  for (; i + kStep <= head_dim; i += kStep) value_tile<heads, kValueVectors>(v, count, pairs, factors, i, out, out_stride);
  for (; i < head_dim; i += 32) value_tile<heads, 1>(v, count, pairs, factors, i, out, out_stride);
}

void values_of(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
               float* out, int64_t out_stride) {
  if (v.format != KvFormat::bf16)
    return avx512::attention_inner.add_values(v, count, weights, factors, heads, head_dim, out, out_stride);
  KvVectors of_group = v;
  in_groups<kValueHeads>(heads, 0, [&]<int some>(int64_t h) {
    if (h > 0) of_group.ahead = nullptr;
    value_heads<some>(of_group, count, weights + h * kKvPagePositions, factors + h, head_dim, out + h * out_stride, out_stride);
  });
}

}  // namespace

const AttentionInner attention_inner{scores_of, values_of};

}  // namespace quern::avx512_bf16

QUERN_TARGET_END

#else

namespace quern::avx512_bf16 {
const AttentionInner attention_inner = scalar::attention_inner;
}  // namespace quern::avx512_bf16

#endif
