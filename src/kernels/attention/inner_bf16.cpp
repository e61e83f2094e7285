// The inner loops of attention over bf16 pages with AVX-512's bf16 products: two multiplications where f32 has one, and nothing to convert in
// keys and values. Queries and weights are rounded to bf16, as keys and values have been; sums are f32.
#include "kernels/attention/exp2_terms.h"
#include "kernels/attention/inner.h"

#if defined(__x86_64__)
#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

#include "kernels/attention/exp_avx512.h"
#include "kernels/attention/inner_groups.h"

namespace quern::avx512_bf16 {
namespace {

// Eight heads are an octet; a register holds two words of each. packed queries [octets][head_dim / 4][8 heads][2 pairs of dimensions]; scores
// [octets][positions][8 heads]; weights [octets][positions / 2][8 heads], pairs of positions, in the same memory. Heads that are missing have
// queries of zeros.
constexpr int64_t kOctet = 8;
constexpr int kTile = 16;  // positions whose scores are in registers

void pack_queries(const Queries& q, int64_t head_dim, uint32_t* packed) {
  std::fill_n(packed, AttentionInner::packed_size(q.heads, head_dim), 0);
  for (int64_t h = 0; h < q.heads; ++h)
    for (int64_t i = 0; i < head_dim; i += 32) {
      const float* const at = q.values + h * q.stride + i;
      const __m512bh rounded = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(at + 16), _mm512_loadu_ps(at));
      uint32_t pairs[16];
      std::memcpy(pairs, &rounded, sizeof rounded);
      uint32_t* const to = packed + h / kOctet * kOctet * head_dim / 2 + i / 2 * kOctet + h % kOctet * 2;
      for (int64_t two = 0; two < 8; ++two) std::memcpy(to + two * 16, pairs + 2 * two, 8);
    }
}

inline void prefetch(const std::byte* at) { _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0); }

// An octet's scores for kTile keys. Keys are read where they lie, two pairs of each at a time, which every head's are multiplied by: loading with
// a broadcast of eight bytes costs no more than loading; one of 16 takes a unit that products want. What lies from `ahead` on is prefetched in
// the order in which it lies, as much as is read. known_dim: head_dim, or 0; where sixteen keys lie then takes more registers than there are.
template <int64_t known_dim>
inline void score_tile(const std::byte* keys, const std::byte* ahead, const uint32_t* q, int64_t any_dim, float scale,
                       float* scores) {
  const int64_t head_dim = known_dim > 0 ? known_dim : any_dim, stride = 2 * head_dim;
  __m512 sums[kTile];
#pragma GCC unroll 16
  for (__m512& sum : sums) sum = _mm512_setzero_ps();  // a loop would be a call of memset, and the sums in memory
  for (int64_t i = 0; i < head_dim / 4; ++i) {
    const auto queries = reinterpret_cast<__m512bh>(_mm512_loadu_si512(q + i * 16));
    if (ahead) {
      prefetch(ahead + i * 128);
      prefetch(ahead + i * 128 + 64);
    }
#pragma GCC unroll 16
    for (int p = 0; p < kTile; ++p) {
      int64_t two;
      std::memcpy(&two, keys + p * stride + i * 8, sizeof two);
      sums[p] = _mm512_dpbf16_ps(sums[p], reinterpret_cast<__m512bh>(_mm512_set1_epi64(two)), queries);
    }
  }
  // The two words of a head to one sum, two positions at a time: 128 bits have two heads of one, then of the other.
  const __m512i by_position = _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
#pragma GCC unroll 8
  for (int p = 0; p < kTile; p += 2) {
    const __m512 both = _mm512_add_ps(_mm512_shuffle_ps(sums[p], sums[p + 1], 0x88), _mm512_shuffle_ps(sums[p], sums[p + 1], 0xDD));
    _mm512_store_ps(scores + p * kOctet, _mm512_permutexvar_ps(by_position, _mm512_mul_ps(both, _mm512_set1_ps(scale))));
  }
}

template <int64_t known_dim>
void scores_of(const KvVectors& k, int64_t count, const Queries& q, int64_t head_dim, float scale, float* scores) {
  for (int64_t h = 0; h < q.heads; h += kOctet)
    for (int64_t p = 0; p < count; p += kTile)  // a page has room for all of its positions
      score_tile<known_dim>(k.values + p * k.stride, k.ahead && h == 0 ? k.ahead + p * k.stride : nullptr,
                            q.packed + h * head_dim / 2, head_dim, scale, scores + h * kKvPagePositions + p * kOctet);
}

void scores(const KvVectors& k, int64_t count, const Queries& q, int64_t head_dim, float scale, float* scores) {
  (head_dim == 256 ? scores_of<256> : scores_of<0>)(k, count, q, head_dim, scale, scores);
}

__m512 twice(__m256 x) { return _mm512_insertf32x8(_mm512_castps256_ps512(x), x, 1); }

// Lanes are heads, of two positions.
void soften_octet(int64_t count, __mmask8 heads, float* scores, float* highest, float* sum, float* factors) {
  constexpr int64_t kSteps = kKvPagePositions / 2;
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  std::fill(scores + count * kOctet, scores + kKvPagePositions * kOctet, kNothing);  // in the last page: they get weights of zero
  __m512 most[4];
#pragma GCC unroll 4
  for (__m512& of_some : most) of_some = _mm512_set1_ps(kNothing);
  for (int64_t i = 0; i < kSteps; i += 4)
#pragma GCC unroll 4
    for (int64_t j = 0; j < 4; ++j) most[j] = _mm512_max_ps(_mm512_load_ps(scores + (i + j) * 16), most[j]);
  const __m512 all = _mm512_max_ps(_mm512_max_ps(most[0], most[1]), _mm512_max_ps(most[2], most[3]));
  const __m256 before = _mm256_mask_loadu_ps(_mm256_set1_ps(kNothing), heads, highest);
  const __m256 now = _mm256_max_ps(_mm256_max_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1)), before);
  const __mmask8 found = _mm256_cmp_ps_mask(now, _mm256_set1_ps(kNothing), _CMP_NEQ_OQ);  // of the others nothing counts yet
  const __m256 factor =
      _mm256_mask_mov_ps(_mm256_set1_ps(1), found, _mm512_castps512_ps256(exp16(twice(_mm256_sub_ps(before, now)))));
  const __m512 shift = twice(now);
  const auto counted = static_cast<__mmask16>(found | found << 8);
  const __m256i by_head = _mm256_setr_epi16(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  __m512 sums = _mm512_setzero_ps();
#pragma GCC unroll 4
  for (int64_t i = 0; i < kSteps; ++i) {
    const __m512 weights = _mm512_maskz_mov_ps(counted, exp16(_mm512_sub_ps(_mm512_load_ps(scores + i * 16), shift)));
    sums = _mm512_add_ps(sums, weights);
    const auto pairs = _mm256_permutexvar_epi16(by_head, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(weights)));
    _mm256_store_si256(reinterpret_cast<__m256i*>(scores + i * 8), pairs);
  }
  const __m256 more = _mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps(sums, 1));
  _mm256_mask_storeu_ps(sum, heads, _mm256_fmadd_ps(_mm256_maskz_loadu_ps(heads, sum), factor, more));
  _mm256_mask_storeu_ps(highest, heads, now);
  _mm256_mask_storeu_ps(factors, heads, factor);
}

void soften(int64_t count, int64_t heads, float* scores, float* highest, float* sum, float* factors) {
  for (int64_t h = 0; h < heads; h += kOctet)
    soften_octet(count, static_cast<__mmask8>(heads - h >= kOctet ? 0xFF : (1 << (heads - h)) - 1), scores + h * kKvPagePositions,
                 highest + h, sum + h, factors + h);
}

// Pairs of values of two positions come four dimensions in turn from both halves of each eight: outputs lie so while they are summed, in two
// registers for 32 dimensions.
void order(float* out, int64_t size) {
  const __m512i to_first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i to_second = _mm512_add_epi32(to_first, _mm512_set1_epi32(8));
  for (int64_t i = 0; i < size; i += 32) {
    const __m512 low = _mm512_loadu_ps(out + i), high = _mm512_loadu_ps(out + i + 16);
    _mm512_storeu_ps(out + i, _mm512_permutex2var_ps(low, to_first, high));
    _mm512_storeu_ps(out + i + 16, _mm512_permutex2var_ps(low, to_second, high));
  }
}

// 32 dimensions from i on: a line of the cache of each position, read once for some heads of an octet. weights: of the first of them.
template <int heads>
inline void value_tile(const KvVectors& v, int64_t count, const std::byte* ahead, const uint32_t* weights, const float* factors,
                       int64_t i, float* out, int64_t out_stride) {
  __m512 low_sums[heads], high_sums[heads];
#pragma GCC unroll 8
  for (int h = 0; h < heads; ++h) {  // unrolled, or the sums are in memory
    const __m512 factor = _mm512_set1_ps(factors[h]);
    low_sums[h] = _mm512_mul_ps(_mm512_loadu_ps(out + h * out_stride + i), factor);
    high_sums[h] = _mm512_mul_ps(_mm512_loadu_ps(out + h * out_stride + i + 16), factor);
  }
  for (int64_t p = 0; p < count; p += 2) {
    const std::byte* const at = v.values + p * v.stride + 2 * i;
    const __m512i a = _mm512_loadu_si512(at), b = p + 1 < count ? _mm512_loadu_si512(at + v.stride) : a;
    if (ahead) {
      prefetch(ahead + p * 64);
      prefetch(ahead + p * 64 + 64);
    }
    const auto low = reinterpret_cast<__m512bh>(_mm512_unpacklo_epi16(a, b)),
               high = reinterpret_cast<__m512bh>(_mm512_unpackhi_epi16(a, b));
#pragma GCC unroll 8
    for (int h = 0; h < heads; ++h) {
      const auto weight = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(weights[p / 2 * kOctet + h])));
      low_sums[h] = _mm512_dpbf16_ps(low_sums[h], weight, low);
      high_sums[h] = _mm512_dpbf16_ps(high_sums[h], weight, high);
    }
  }
#pragma GCC unroll 8
  for (int h = 0; h < heads; ++h) {
    _mm512_storeu_ps(out + h * out_stride + i, low_sums[h]);
    _mm512_storeu_ps(out + h * out_stride + i + 16, high_sums[h]);
  }
}

void values_of(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
               float* out, int64_t out_stride) {
  in_groups<kOctet>(heads, 0, [&]<int some>(int64_t h) {
    const auto* const pairs = reinterpret_cast<const uint32_t*>(weights + h / kOctet * kOctet * kKvPagePositions) + h % kOctet;
    for (int64_t i = 0; i < head_dim; i += 32) {
      const std::byte* const ahead =
          v.ahead && h == 0 ? v.ahead + i / 32 * kKvPagePositions * 64 : nullptr;  // in the order in which they lie
      value_tile<some>(v, count, ahead, pairs, factors + h, i, out + h * out_stride, out_stride);
    }
  });
}

}  // namespace

const AttentionInner attention_inner{pack_queries, scores, soften, values_of, order};

}  // namespace quern::avx512_bf16

QUERN_TARGET_END

#else

namespace quern::avx512_bf16 {
const AttentionInner attention_inner = scalar::attention_inner;
}  // namespace quern::avx512_bf16

#endif
