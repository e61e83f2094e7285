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

constexpr int kScoreHeads = 4, kScoreVectors = kKvPagePositions / 16;  // what registers hold, as in inner_vector.h
constexpr int kValueHeads = 8, kValueVectors = 1;                      // a vector is a line of the cache: values are read once

// 32 floats at `at`, those from `count` on as zeros.
__m512bh rounded(const float* at, int64_t count = 32) {
  const auto mask = [](int64_t n) { return static_cast<__mmask16>(n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1 << n) - 1); };
  return _mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(mask(count - 16), at + 16), _mm512_maskz_loadu_ps(mask(count), at));
}

// 16 rows of 16 words each, to 16 columns of 16, kKvPagePositions words apart.
void transpose(const std::byte* rows, int64_t stride, uint32_t* columns) {
  __m512i r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(rows + i * stride);
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {  // of four rows: lane l of r[i + c] has column 4 l + c
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512i even = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88), odd = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xDD),
                  more_even = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88),
                  more_odd = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xDD);
    const auto store = [&](int column, __m512i words) { _mm512_storeu_si512(columns + column * kKvPagePositions, words); };
    store(c, _mm512_shuffle_i32x4(even, more_even, 0x88));
    store(4 + c, _mm512_shuffle_i32x4(odd, more_odd, 0x88));
    store(8 + c, _mm512_shuffle_i32x4(even, more_even, 0xDD));
    store(12 + c, _mm512_shuffle_i32x4(odd, more_odd, 0xDD));
  }
}

// Pairs of a key's dimensions are words, and positions their lanes: a score then needs no sum over lanes.
bool pack_keys(const KvVectors& k, int64_t count, int64_t head_dim, uint32_t* packed) {
  if (k.format != KvFormat::bf16) return false;
  for (int64_t p = 0; p < count; p += 16)  // a page has room for all of its positions
    for (int64_t i = 0; i < head_dim; i += 32)
      transpose(k.values + p * k.stride + 2 * i, k.stride, packed + i / 2 * kKvPagePositions + p);
  return true;
}

// The line of what comes next that lies where `at` lies among what is here. Two products of a page take as long as its bytes, so that
// neither waits for the other.
inline void prefetch_ahead(const KvVectors& from, const std::byte* at) {
  if (from.ahead) _mm_prefetch(reinterpret_cast<const char*>(from.ahead + (at - from.values)), _MM_HINT_T0);
}

// Two lines of what comes next, the first the `line`th of its rows, which have `of_row` each; behind the last row none.
inline void prefetch_lines(const KvVectors& from, int64_t of_row, int64_t line) {
  for (const int64_t end = line + 2; line < end; ++line)
    if (const int64_t p = line / of_row; p < kKvPagePositions)
      prefetch_ahead(from, from.values + p * from.stride + line % of_row * 64);
}

// A page's scores for some heads. q [heads, pairs]
template <int heads>
void score_heads(const KvVectors& k, const uint32_t* q, int64_t pairs, int64_t first_ahead, float scale, float* scores) {
  __m512 sums[heads][kScoreVectors];
#pragma GCC unroll 4
  for (auto& of_head : sums)
#pragma GCC unroll 4
    for (__m512& sum : of_head) sum = _mm512_setzero_ps();  // a loop would be a call of memset, and the sums in memory
  for (int64_t i = 0; i < pairs; ++i) {
    __m512bh keys[kScoreVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kScoreVectors; ++v)
      keys[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(k.packed + i * kKvPagePositions + 16 * v));
    if (k.ahead) prefetch_lines(k, pairs / 16, first_ahead + 2 * i);
#pragma GCC unroll 4
    for (int h = 0; h < heads; ++h) {
      const auto query = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(q[h * pairs + i])));
#pragma GCC unroll 4
      for (int v = 0; v < kScoreVectors; ++v) sums[h][v] = _mm512_dpbf16_ps(sums[h][v], keys[v], query);
    }
  }
  for (int h = 0; h < heads; ++h)
    for (int v = 0; v < kScoreVectors; ++v)
      _mm512_storeu_ps(scores + h * kKvPagePositions + 16 * v, _mm512_mul_ps(sums[h][v], _mm512_set1_ps(scale)));
}

void scores_of(const KvVectors& k, int64_t count, const float* q, int64_t q_stride, int64_t heads, int64_t head_dim, float scale,
               float* scores) {
  if (k.format != KvFormat::bf16) return avx512::attention_inner.scores(k, count, q, q_stride, heads, head_dim, scale, scores);
  const int64_t pairs = head_dim / 2;
  thread_local std::vector<uint32_t> memory;
  memory.resize(static_cast<size_t>(heads * pairs));
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < head_dim; i += 32) {
      const __m512bh query = rounded(q + h * q_stride + i);
      std::memcpy(memory.data() + h * pairs + i / 2, &query, sizeof query);
    }
  in_groups<kScoreHeads>(heads, 0, [&]<int some>(int64_t h) {
    score_heads<some>(k, memory.data() + h * pairs, pairs, h / kScoreHeads * 2 * pairs, scale, scores + h * kKvPagePositions);
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

float highest(const float* scores, int64_t count) { return avx512::attention_inner.highest(scores, count); }
float exp_sum(float* x, float shift, int64_t count) { return avx512::attention_inner.exp_sum(x, shift, count); }

}  // namespace

const AttentionInner attention_inner{pack_keys, scores_of, highest, exp_sum, values_of};

}  // namespace quern::avx512_bf16

QUERN_TARGET_END

#else

namespace quern::avx512_bf16 {
const AttentionInner attention_inner = scalar::attention_inner;
}  // namespace quern::avx512_bf16

#endif
