// The gated delta rule for AVX2 + FMA: a strip is two vectors wide. A pass over the strip for each token: the write and output of one, the
// decay and read of the next. Two chains per sum (even and odd key dimensions) hide the FMA latency; their order is fixed.
#include "kernels/gated_delta/gated_delta.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <type_traits>

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

// S <- S + k d^T; returns S^T q.
inline Pair write_and_read(float* S, int64_t k_dim, const float* k, Pair d, const float* q) {
  Pair sums[2] = {zero(), zero()};
  for_rows(k_dim, [&](int64_t i, auto chain) __attribute__((always_inline)) {
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

}  // namespace

void gated_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  const int64_t group = a.v_heads / a.k_heads;
  for (int64_t i = begin; i < end; ++i) {
    const GatedDeltaArgs::Item item = a.item(i);
    const int64_t h = item.head, at = h * a.v_dim + item.column;
    const auto k_of = [&](int64_t t) { return a.k + t * a.qkv_stride + h / group * a.k_dim; };
    const auto g_of = [&](int64_t t) { return a.g[t * a.gate_stride + h]; };
    if (a.tokens == 0) continue;
    Pair read = decay_and_read(item.state, a.k_dim, k_of(0), g_of(0));
    for (int64_t t = 0; t < a.tokens; ++t) {
      const Pair v = load(a.v + t * a.qkv_stride + at);
      const __m256 beta = _mm256_set1_ps(a.beta[t * a.gate_stride + h]);
      const Pair d = scale({_mm256_sub_ps(v.a, read.a), _mm256_sub_ps(v.b, read.b)}, beta);
      if (a.d) store(a.d + t * a.d_stride + at, d);
      const float* q = a.q + t * a.qkv_stride + h / group * a.k_dim;
      Pair out;
      if (t + 1 < a.tokens)
        read = write_read_and_decay(item.state, a.k_dim, k_of(t), d, q, g_of(t + 1), k_of(t + 1), out);
      else
        out = write_and_read(item.state, a.k_dim, k_of(t), d, q);
      store(a.out + t * a.out_stride + at, out);
    }
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
