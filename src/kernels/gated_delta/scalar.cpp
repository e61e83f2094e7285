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

namespace scalar {

void gated_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  const int64_t group = a.v_heads / a.k_heads;
  for (int64_t i = begin; i < end; ++i) {
    const auto [h, column, columns, S] = a.item(i);
    for (int64_t t = 0; t < a.tokens; ++t) {
      const float* q = a.q + t * a.qkv_stride + h / group * a.k_dim;
      const float* k = a.k + t * a.qkv_stride + h / group * a.k_dim;
      const int64_t at = h * a.v_dim + column;
      const float g = a.g[t * a.gate_stride + h], beta = a.beta[t * a.gate_stride + h];
      for (int64_t j = 0; j < columns; ++j) {
        float read = 0;
        for (int64_t r = 0; r < a.k_dim; ++r) {
          S[r * columns + j] *= g;
          read += S[r * columns + j] * k[r];
        }
        const float d = (a.v[t * a.qkv_stride + at + j] - read) * beta;
        float o = 0;
        for (int64_t r = 0; r < a.k_dim; ++r) {
          S[r * columns + j] += k[r] * d;
          o += S[r * columns + j] * q[r];
        }
        a.out[t * a.out_stride + at + j] = o;
        if (a.d) a.d[t * a.d_stride + at + j] = d;
      }
    }
  }
}

void replay_delta(const GatedDeltaArgs& a, int64_t begin, int64_t end) {
  const int64_t group = a.v_heads / a.k_heads;
  for (int64_t i = begin; i < end; ++i) {
    const auto [h, column, columns, S] = a.item(i);
    for (int64_t t = 0; t < a.tokens; ++t) {
      const float* k = a.k + t * a.qkv_stride + h / group * a.k_dim;
      const float* d = a.d + t * a.d_stride + h * a.v_dim + column;
      const float g = a.g[t * a.gate_stride + h];
      for (int64_t r = 0; r < a.k_dim; ++r)
        for (int64_t j = 0; j < columns; ++j) {
          S[r * columns + j] *= g;
          S[r * columns + j] += k[r] * d[j];
        }
    }
  }
}

}  // namespace scalar
}  // namespace quern
