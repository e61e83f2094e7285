// The inner loops of attention over bf16 pages with AVX-512's bf16 products: two multiplications where f32 has one, and nothing to convert in
// keys and values. Queries and weights are rounded to bf16, as keys and values have been; sums are f32.
#include "kernels/attention/inner.h"

#if defined(__x86_64__)
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

#include "kernels/attention/inner_groups.h"

namespace quern::avx512_bf16 {
namespace {

constexpr int kValueHeads = 8;  // in 32 dimensions: sixteen registers

// 32 floats at `at`, those from `count` on as zeros.
__m512bh rounded(const float* at, int64_t count = 32) {
  const auto mask = [](int64_t n) { return static_cast<__mmask16>(n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1 << n) - 1); };
  return _mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(mask(count - 16), at + 16), _mm512_maskz_loadu_ps(mask(count), at));
}

// A word is a pair of dimensions. A register holds four pairs of each of four heads, a quad, those of one head next to each other: what a
// broadcast of four pairs of a key is multiplied by. packed [quads][head_dim / 8][4 heads][4 pairs]; heads that are missing are zeros.
void pack_queries(const Queries& q, int64_t head_dim, uint32_t* packed) {
  std::fill_n(packed, AttentionInner::packed_size(q.heads, head_dim), 0);
  for (int64_t h = 0; h < q.heads; ++h)
    for (int64_t i = 0; i < head_dim; i += 32) {
      const __m512bh query = rounded(q.values + h * q.stride + i);
      uint32_t words[16];
      std::memcpy(words, &query, sizeof query);
      for (int64_t four = 0; four < 4; ++four)
        std::memcpy(packed + h / 4 * 2 * head_dim + (i / 8 + four) * 16 + h % 4 * 4, words + 4 * four, 16);
    }
}

inline void prefetch(const std::byte* at) { _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0); }

// Lanes 4 h and 4 h + 2 (x), 4 h and 4 h + 2 (y), then 4 h + 1 and 4 h + 3 of both.
inline __m512 sums_of_two(__m512 x, __m512 y) { return _mm512_add_ps(_mm512_unpacklo_ps(x, y), _mm512_unpackhi_ps(x, y)); }

// Sums of four lanes of four registers each: lane 4 h + j of the result has those of lanes 4 h .. 4 h + 3 of the j-th.
inline __m512 sums_of_four(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512d ab = _mm512_castps_pd(sums_of_two(a, b)), cd = _mm512_castps_pd(sums_of_two(c, d));
  return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
}

// Scores of `heads` (<= 4 quads) queries for as many keys as registers hold, from `keys` on. A key is read four pairs at a time, in the order
// in which it lies, and needs no place of its own; what `ahead` points at is prefetched in that order, as much as is read.
template <int quads>
inline void score_tile(const std::byte* keys, int64_t stride, const std::byte* ahead, const uint32_t* q, int64_t heads,
                       int64_t head_dim, float scale, float* scores) {
  constexpr int kPositions = 16 / quads;
  __m512 sums[kPositions][quads];
#pragma GCC unroll 16
  for (auto& of_key : sums)
#pragma GCC unroll 2
    for (__m512& sum : of_key) sum = _mm512_setzero_ps();  // a loop would be a call of memset, and the sums in memory
  for (int64_t i = 0; i < head_dim / 8; ++i) {
    __m512bh queries[quads];
#pragma GCC unroll 2
    for (int j = 0; j < quads; ++j) queries[j] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(q + j * 2 * head_dim + i * 16));
    if (ahead)
#pragma GCC unroll 4
      for (int line = 0; line < kPositions / 4; ++line) prefetch(ahead + (i * (kPositions / 4) + line) * 64);
#pragma GCC unroll 16
    for (int p = 0; p < kPositions; ++p) {
      const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(keys + p * stride + i * 16));
      const auto key = reinterpret_cast<__m512bh>(_mm512_broadcast_i32x4(four));
#pragma GCC unroll 2
      for (int j = 0; j < quads; ++j) sums[p][j] = _mm512_dpbf16_ps(sums[p][j], key, queries[j]);
    }
  }
#pragma GCC unroll 2
  for (int j = 0; j < quads; ++j)
#pragma GCC unroll 4
    for (int p = 0; p < kPositions; p += 4) {
      const __m512 of_four =
          _mm512_mul_ps(_mm512_set1_ps(scale), sums_of_four(sums[p][j], sums[p + 1][j], sums[p + 2][j], sums[p + 3][j]));
      float* const to = scores + 4 * j * kKvPagePositions + p;
      const int64_t left = heads - 4 * j;
      _mm_storeu_ps(to, _mm512_castps512_ps128(of_four));
      if (left > 1) _mm_storeu_ps(to + kKvPagePositions, _mm512_extractf32x4_ps(of_four, 1));
      if (left > 2) _mm_storeu_ps(to + 2 * kKvPagePositions, _mm512_extractf32x4_ps(of_four, 2));
      if (left > 3) _mm_storeu_ps(to + 3 * kKvPagePositions, _mm512_extractf32x4_ps(of_four, 3));
    }
}

void scores_of(const KvVectors& k, int64_t count, const Queries& q, int64_t head_dim, float scale, float* scores) {
  if (k.format != KvFormat::bf16) return avx512::attention_inner.scores(k, count, q, head_dim, scale, scores);
  const auto tiles = [&]<int quads>(int64_t h) {
    for (int64_t p = 0; p < count; p += 16 / quads)  // a page has room for all of its positions
      score_tile<quads>(k.values + p * k.stride, k.stride, k.ahead && h == 0 ? k.ahead + p * k.stride : nullptr,
                        q.packed + h / 2 * head_dim, q.heads - h, head_dim, scale, scores + h * kKvPagePositions + p);
  };
  int64_t h = 0;
  for (; h + 4 < q.heads; h += 8) tiles.template operator()<2>(h);
  if (h < q.heads) tiles.template operator()<1>(h);
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

// 32 dimensions from i on: a line of the cache of each position, read once for all heads. pairs [heads][32]: the weights of positions 2j
// and 2j + 1.
template <int heads>
inline void value_tile(const KvVectors& v, int64_t count, const uint32_t* pairs, const float* factors, int64_t i, float* out,
                       int64_t out_stride) {
  const std::byte* const ahead = v.ahead ? v.ahead + i / 32 * kKvPagePositions * 64 : nullptr;  // in the order in which they lie
  Interleaved sums[heads];
  for (int h = 0; h < heads; ++h) sums[h] = Interleaved::load(out + h * out_stride + i, factors[h]);
  for (int64_t p = 0; p < count; p += 2) {
    const std::byte* const at = v.values + p * v.stride + 2 * i;
    const __m512i a = _mm512_loadu_si512(at), b = p + 1 < count ? _mm512_loadu_si512(at + v.stride) : a;
    if (ahead) {
      prefetch(ahead + p * 64);
      prefetch(ahead + p * 64 + 64);
    }
    const auto low = reinterpret_cast<__m512bh>(_mm512_unpacklo_epi16(a, b)),
               high = reinterpret_cast<__m512bh>(_mm512_unpackhi_epi16(a, b));
    for (int h = 0; h < heads; ++h) {
      const auto weights =
          reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(pairs[h * (kKvPagePositions / 2) + p / 2])));
      sums[h].low = _mm512_dpbf16_ps(sums[h].low, weights, low);
      sums[h].high = _mm512_dpbf16_ps(sums[h].high, weights, high);
    }
  }
  for (int h = 0; h < heads; ++h) sums[h].store(out + h * out_stride + i);
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
  for (int64_t i = 0; i < head_dim; i += 32) value_tile<heads>(v, count, pairs, factors, i, out, out_stride);
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

float highest(const float* scores, int64_t count) { return avx512::attention_inner.highest(scores, count); }
float exp_sum(float* x, float shift, int64_t count) { return avx512::attention_inner.exp_sum(x, shift, count); }

}  // namespace

const AttentionInner attention_inner{pack_queries, scores_of, highest, exp_sum, values_of};

}  // namespace quern::avx512_bf16

QUERN_TARGET_END

#else

namespace quern::avx512_bf16 {
const AttentionInner attention_inner = scalar::attention_inner;
}  // namespace quern::avx512_bf16

#endif
