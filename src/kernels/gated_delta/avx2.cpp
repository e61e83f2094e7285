// The gated delta rule for AVX2 + FMA: a strip is two vectors wide. Two passes over the strip per token: decay and read, then write and
// output. Two chains per sum (even and odd key dimensions) hide the FMA latency; their order is fixed.
#include "kernels/gated_delta/gated_delta.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

namespace quern::avx2 {
namespace {

struct Pair {
  __m256 a, b;
};
inline Pair load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Pair v) { _mm256_storeu_ps(p, v.a), _mm256_storeu_ps(p + 8, v.b); }
inline Pair add(Pair x, Pair y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Pair scale(Pair x, __m256 s) { return {_mm256_mul_ps(x.a, s), _mm256_mul_ps(x.b, s)}; }
inline Pair fma(Pair x, __m256 s, Pair sum) { return {_mm256_fmadd_ps(x.a, s, sum.a), _mm256_fmadd_ps(x.b, s, sum.b)}; }
inline Pair zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }

// Decays the strip and returns S^T k.
inline Pair decay_and_read(float* S, int64_t stride, int64_t k_dim, const float* k, float g) {
  const __m256 decay = _mm256_set1_ps(g);
  Pair sums[2] = {zero(), zero()};
  for (int64_t i = 0; i < k_dim; ++i) {
    const Pair row = scale(load(S + i * stride), decay);
    store(S + i * stride, row);
    sums[i & 1] = fma(row, _mm256_set1_ps(k[i]), sums[i & 1]);
  }
  return add(sums[0], sums[1]);
}

// S += k d^T; returns S^T q.
inline Pair write_and_read(float* S, int64_t stride, int64_t k_dim, const float* k, Pair d, const float* q) {
  Pair sums[2] = {zero(), zero()};
  for (int64_t i = 0; i < k_dim; ++i) {
    const Pair row = fma(d, _mm256_set1_ps(k[i]), load(S + i * stride));
    store(S + i * stride, row);
    sums[i & 1] = fma(row, _mm256_set1_ps(q[i]), sums[i & 1]);
  }
  return add(sums[0], sums[1]);
}

}  // namespace

void gated_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  const int64_t group = a.v_heads / a.k_heads;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t h = item / a.strips(), column = h * a.v_dim + item % a.strips() * GatedDeltaArgs::kStrip;
    float* S = a.state + h * a.k_dim * a.v_dim + (column - h * a.v_dim);
    for (int64_t t = 0; t < a.tokens; ++t) {
      const float* k = a.k + t * a.qkv_stride + h / group * a.k_dim;
      const Pair read = decay_and_read(S, a.v_dim, a.k_dim, k, a.g[t * a.gate_stride + h]);
      const Pair v = load(a.v + t * a.qkv_stride + column);
      const __m256 beta = _mm256_set1_ps(a.beta[t * a.gate_stride + h]);
      const Pair d = scale({_mm256_sub_ps(v.a, read.a), _mm256_sub_ps(v.b, read.b)}, beta);
      if (a.d) store(a.d + t * a.d_stride + column, d);
      store(a.out + t * a.out_stride + column,
            write_and_read(S, a.v_dim, a.k_dim, k, d, a.q + t * a.qkv_stride + h / group * a.k_dim));
    }
  }
}

void replay_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  const int64_t group = a.v_heads / a.k_heads;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t h = item / a.strips(), column = h * a.v_dim + item % a.strips() * GatedDeltaArgs::kStrip;
    float* S = a.state + h * a.k_dim * a.v_dim + (column - h * a.v_dim);
    for (int64_t t = 0; t < a.tokens; ++t) {
      const float* k = a.k + t * a.qkv_stride + h / group * a.k_dim;
      const __m256 decay = _mm256_set1_ps(a.g[t * a.gate_stride + h]);
      const Pair d = load(a.d + t * a.d_stride + column);
      for (int64_t i = 0; i < a.k_dim; ++i)
        store(S + i * a.v_dim, fma(d, _mm256_set1_ps(k[i]), scale(load(S + i * a.v_dim), decay)));
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
