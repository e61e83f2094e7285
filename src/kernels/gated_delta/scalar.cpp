#include <algorithm>
#include <cmath>

#include "kernels/gated_delta/gated_delta.h"

namespace quern {

void gated_delta(Isa isa, const GatedDeltaArgs& args, int64_t begin, int64_t end) {
  if (isa != Isa::scalar && args.v_dim % GatedDeltaArgs::kStrip == 0)
    avx2::gated_delta(args, begin, end);
  else
    scalar::gated_delta(args, begin, end);
}

void replay_delta(Isa isa, const GatedDeltaArgs& args, int64_t begin, int64_t end) {
  if (isa != Isa::scalar && args.v_dim % GatedDeltaArgs::kStrip == 0)
    avx2::replay_delta(args, begin, end);
  else
    scalar::replay_delta(args, begin, end);
}

void l2_normalise(float* x, int64_t n, float scale) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const auto factor = static_cast<float>(static_cast<double>(scale) / std::sqrt(sum + 1e-6));
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

namespace scalar {

void gated_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  const int64_t group = a.v_heads / a.k_heads;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t h = item / a.strips(), first = item % a.strips() * GatedDeltaArgs::kStrip,
                  last = std::min(first + GatedDeltaArgs::kStrip, a.v_dim);
    float* S = a.state + h * a.k_dim * a.v_dim;
    for (int64_t t = 0; t < a.tokens; ++t) {
      const float* q = a.q + t * a.qkv_stride + h / group * a.k_dim;
      const float* k = a.k + t * a.qkv_stride + h / group * a.k_dim;
      const float* v = a.v + t * a.qkv_stride + h * a.v_dim;
      const float g = a.g[t * a.gate_stride + h], beta = a.beta[t * a.gate_stride + h];
      for (int64_t j = first; j < last; ++j) {
        float read = 0;
        for (int64_t i = 0; i < a.k_dim; ++i) {
          S[i * a.v_dim + j] *= g;
          read += S[i * a.v_dim + j] * k[i];
        }
        const float d = (v[j] - read) * beta;
        float o = 0;
        for (int64_t i = 0; i < a.k_dim; ++i) {
          S[i * a.v_dim + j] += k[i] * d;
          o += S[i * a.v_dim + j] * q[i];
        }
        a.out[t * a.out_stride + h * a.v_dim + j] = o;
        if (a.d) a.d[t * a.d_stride + h * a.v_dim + j] = d;
      }
    }
  }
}

void replay_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  const int64_t group = a.v_heads / a.k_heads;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t h = item / a.strips(), first = item % a.strips() * GatedDeltaArgs::kStrip,
                  last = std::min(first + GatedDeltaArgs::kStrip, a.v_dim);
    float* S = a.state + h * a.k_dim * a.v_dim;
    for (int64_t t = 0; t < a.tokens; ++t) {
      const float* k = a.k + t * a.qkv_stride + h / group * a.k_dim;
      const float g = a.g[t * a.gate_stride + h];
      for (int64_t i = 0; i < a.k_dim; ++i)
        for (int64_t j = first; j < last; ++j) {
          S[i * a.v_dim + j] *= g;
          S[i * a.v_dim + j] += k[i] * a.d[t * a.d_stride + h * a.v_dim + j];
        }
    }
  }
}

}  // namespace scalar
}  // namespace quern
