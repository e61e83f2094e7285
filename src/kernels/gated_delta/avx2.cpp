// The gated delta rule for AVX2 + FMA: a strip is two vectors wide. A pass over the strip for each token: the write and output of one, the
// decay and read of the next. Two chains per sum (even and odd key dimensions) hide the FMA latency; their order is fixed.
#include "kernels/gated_delta/gated_delta.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

namespace quern::avx2 {
namespace {

constexpr int64_t kStrip = GatedDeltaArgs::kStrip;

struct Pair {
  __m256 a, b;
};
inline Pair load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Pair v) { _mm256_storeu_ps(p, v.a), _mm256_storeu_ps(p + 8, v.b); }
inline Pair add(Pair x, Pair y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Pair scale(Pair x, __m256 s) { return {_mm256_mul_ps(x.a, s), _mm256_mul_ps(x.b, s)}; }
inline Pair fma(Pair x, __m256 s, Pair sum) { return {_mm256_fmadd_ps(x.a, s, sum.a), _mm256_fmadd_ps(x.b, s, sum.b)}; }
inline Pair zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }

// Calls each(row, chain) for every row, chain 0 and 1 in turns; they are constants, so that both chains' sums stay in registers.
template <class Each>
inline __attribute__((always_inline)) void for_rows(int64_t k_dim, Each each) {
  constexpr std::integral_constant<int, 0> even;
  constexpr std::integral_constant<int, 1> odd;
  int64_t i = 0;
  for (; i + 2 <= k_dim; i += 2) each(i, even), each(i + 1, odd);
  if (i < k_dim) each(i, even);
}

// S <- g S; returns S^T k.
inline Pair decay_and_read(float* S, int64_t k_dim, const float* k, float g) {
  const __m256 decay = _mm256_set1_ps(g);
  Pair sums[2] = {zero(), zero()};
  for_rows(k_dim, [&](int64_t i, auto chain) __attribute__((always_inline)) {
    const Pair row = scale(load(S + i * kStrip), decay);
    store(S + i * kStrip, row);
    sums[chain] = fma(row, _mm256_set1_ps(k[i]), sums[chain]);
  });
  return add(sums[0], sums[1]);
}

// S <- S + k d^T; returns S^T q. The next item's S, which lies behind this one, is asked for meanwhile: S itself is in the cache.
inline Pair write_and_read(float* S, int64_t k_dim, const float* k, Pair d, const float* q) {
  Pair sums[2] = {zero(), zero()};
  for_rows(k_dim, [&](int64_t i, auto chain) __attribute__((always_inline)) {
    __builtin_prefetch(S + (k_dim + i) * kStrip, 1);
    const Pair row = fma(d, _mm256_set1_ps(k[i]), load(S + i * kStrip));
    store(S + i * kStrip, row);
    sums[chain] = fma(row, _mm256_set1_ps(q[i]), sums[chain]);
  });
  return add(sums[0], sums[1]);
}

// Both, the write of one token and the decay for the next, in one pass: S <- S + k d^T, S^T q into `out`; S <- g S; returns S^T next_k.
inline Pair write_read_and_decay(float* S, int64_t k_dim, const float* k, Pair d, const float* q, float g, const float* next_k,
                                 Pair& out) {
  const __m256 decay = _mm256_set1_ps(g);
  Pair sums[2] = {zero(), zero()}, outs[2] = {zero(), zero()};
  for_rows(k_dim, [&](int64_t i, auto chain) __attribute__((always_inline)) {
    const Pair written = fma(d, _mm256_set1_ps(k[i]), load(S + i * kStrip)), row = scale(written, decay);
    outs[chain] = fma(written, _mm256_set1_ps(q[i]), outs[chain]);
    store(S + i * kStrip, row);
    sums[chain] = fma(row, _mm256_set1_ps(next_k[i]), sums[chain]);
  });
  out = add(outs[0], outs[1]);
  return add(sums[0], sums[1]);
}

// Tokens [first, last) of an item. keys, queries, values: of token `first` and of this item, `stride` floats from one token to the next;
// next: the key after the last token, null at the end. `read` is S^T k of `first`, and afterwards that of `last`.
struct TokenRows {
  const float *keys, *queries, *values, *next;
  int64_t key_stride, value_stride;
};
void run_tokens(const GatedDeltaArgs& a, const GatedDeltaArgs::Item& item, int64_t first, int64_t last, const TokenRows& rows,
                Pair& read) {
  const int64_t h = item.head, at = h * a.v_dim + item.column;
  for (int64_t t = first; t < last; ++t) {
    const int64_t i = t - first;
    const float *k = rows.keys + i * rows.key_stride, *q = rows.queries + i * rows.key_stride,
                *next_k = t + 1 < last ? k + rows.key_stride : rows.next;
    const Pair v = load(rows.values + i * rows.value_stride);
    const __m256 beta = _mm256_set1_ps(a.beta[t * a.gate_stride + h]);
    const Pair d = scale({_mm256_sub_ps(v.a, read.a), _mm256_sub_ps(v.b, read.b)}, beta);
    if (a.d) store(a.d + t * a.d_stride + at, d);
    Pair out;
    if (next_k)
      read = write_read_and_decay(item.state, a.k_dim, k, d, q, a.g[(t + 1) * a.gate_stride + h], next_k, out);
    else
      out = write_and_read(item.state, a.k_dim, k, d, q);
    store(a.out + t * a.out_stride + at, out);
  }
}

// Items [begin, end), all of one key head. Rows of tokens lie so far apart that those of a head share few sets of the caches, and all its items
// read the same keys and queries: a block of tokens is copied to one piece, and the items pass through it one after the other.
void run_key_head(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  constexpr int64_t kTokens = 16, kItems = 16;
  const int64_t key_head = a.item(begin).head / (a.v_heads / a.k_heads), first_column = begin * kStrip;  // whole strips only
  const auto key = [&](int64_t t) { return a.k + t * a.qkv_stride + key_head * a.k_dim; };
  if (a.tokens <= 2) {
    for (int64_t i = begin; i < end; ++i) {
      const GatedDeltaArgs::Item item = a.item(i);
      Pair read = decay_and_read(item.state, a.k_dim, key(0), a.g[item.head]);
      run_tokens(a, item, 0, a.tokens, {key(0), a.q + key_head * a.k_dim, a.v + i * kStrip, nullptr, a.qkv_stride, a.qkv_stride},
                 read);
    }
    return;
  }
  if (end - begin > kItems) return run_key_head(a, begin, begin + kItems), run_key_head(a, begin + kItems, end);
  thread_local std::vector<float> copies;
  const int64_t width = (end - begin) * kStrip;
  copies.resize(std::max(copies.size(), static_cast<size_t>((2 * kTokens + 1) * a.k_dim + kTokens * width)));
  float *const keys = copies.data(), *const queries = keys + (kTokens + 1) * a.k_dim, *const values = queries + kTokens * a.k_dim;
  Pair reads[kItems];
  for (int64_t first = 0; first < a.tokens; first += kTokens) {
    const int64_t last = std::min(first + kTokens, a.tokens);
    for (int64_t t = first; t < last; ++t) {
      std::copy_n(key(t), a.k_dim, keys + (t - first) * a.k_dim);
      std::copy_n(a.q + t * a.qkv_stride + key_head * a.k_dim, a.k_dim, queries + (t - first) * a.k_dim);
      std::copy_n(a.v + t * a.qkv_stride + first_column, width, values + (t - first) * width);
    }
    float* const next = last < a.tokens ? keys + kTokens * a.k_dim : nullptr;
    if (next) std::copy_n(key(last), a.k_dim, next);
    for (int64_t i = begin; i < end; ++i) {
      const GatedDeltaArgs::Item item = a.item(i);
      Pair& read = reads[i - begin];
      if (first == 0) read = decay_and_read(item.state, a.k_dim, keys, a.g[item.head]);
      run_tokens(a, item, first, last, {keys, queries, values + (i - begin) * kStrip, next, a.k_dim, width}, read);
    }
  }
}

}  // namespace

void gated_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  if (a.tokens == 0) return;
  const int64_t of_key_head = a.v_heads / a.k_heads * a.strips();
  while (begin < end) {
    const int64_t last = std::min(end, (begin / of_key_head + 1) * of_key_head);
    run_key_head(a, begin, last);
    begin = last;
  }
}

void replay_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  const int64_t group = a.v_heads / a.k_heads;
  for (int64_t i = begin; i < end; ++i) {
    const GatedDeltaArgs::Item item = a.item(i);
    for (int64_t t = 0; t < a.tokens; ++t) {
      const float* k = a.k + t * a.qkv_stride + item.head / group * a.k_dim;
      const __m256 decay = _mm256_set1_ps(a.g[t * a.gate_stride + item.head]);
      const Pair d = load(a.d + t * a.d_stride + item.head * a.v_dim + item.column);
      for (int64_t r = 0; r < a.k_dim; ++r)
        store(item.state + r * kStrip, fma(d, _mm256_set1_ps(k[r]), scale(load(item.state + r * kStrip), decay)));
    }
  }
}

}  // namespace quern::avx2

QUERN_TARGET_END

#else

namespace quern::avx2 {
void gated_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) { scalar::gated_delta(a, begin, end); }
void replay_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) { scalar::replay_delta(a, begin, end); }
}  // namespace quern::avx2

#endif
