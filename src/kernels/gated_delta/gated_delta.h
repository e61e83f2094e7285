// Gated delta rule over one chunk of one sequence (Yang et al., arXiv 2412.06464). Per value head, for each token t:
//   S <- g_t S;   d_t = beta_t (v_t - S^T k_t);   S <- S + k_t d_t^T;   o_t = S^T q_t
//   q, k   [tokens, k_heads, k_dim], L2-normalised, q scaled by k_dim^-1/2; value head h reads key head h / (v_heads / k_heads)
//   v, out [tokens, v_heads, v_dim]      g, beta [tokens, v_heads], g in [0, 1]: the decay, not its logarithm
//   state  [v_heads, strips, k_dim, columns of the strip] f32, read and written: the one layout, stated here and nowhere else. A strip is
//          kStrip columns of S, the last one of a head what remains of v_dim; each lies in one piece.
//   d      [tokens, v_heads, v_dim], written when not null
// q, k, v rows lie qkv_stride floats apart (they are columns of one tensor); g, beta, out, d have strides of their own.
//
// The columns of S are independent: an item is (value head, strip of kStrip columns), and it runs through all tokens of the chunk with its
// strip of S in the first-level cache. That keeps the sums of every element in token order, so a state does not depend on how the
// tokens were cut into chunks, to the last bit. The chunked WY form of the paper needs 1.4 times the multiplications at these
// dimensions (64-token chunks, 128 x 128 states) and depends on the cuts: it pays on matrix units, not here.
#pragma once

#include <cstdint>

#include "base/cpu_features.h"

namespace quern {

struct GatedDeltaArgs {
  static constexpr int64_t kStrip = 16;

  int64_t tokens = 0, k_heads = 0, v_heads = 0, k_dim = 0, v_dim = 0;
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  int64_t qkv_stride = 0;
  const float *g = nullptr, *beta = nullptr;
  int64_t gate_stride = 0;  // of g and beta
  float* state = nullptr;
  float* d = nullptr;
  int64_t d_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;

  int64_t strips() const { return (v_dim + kStrip - 1) / kStrip; }
  int64_t items() const { return v_heads * strips(); }

  struct Item {
    int64_t head, column, columns;  // column: of the head's v_dim
    float* state;                   // [k_dim, columns]
  };
  Item item(int64_t i) const {
    const int64_t head = i / strips(), column = i % strips() * kStrip, left = v_dim - column;
    return {head, column, left < kStrip ? left : kStrip, state + (head * v_dim + column) * k_dim};
  }
};

// Items [begin, end).
void gated_delta(Isa isa, const GatedDeltaArgs& args, int64_t begin, int64_t end);

// The state's half of the rule for writes that are known: S <- g S; S <- S + k d^T for each token, bit for bit as gated_delta does.
// Uses tokens, dims, k (stride qkv_stride), g, d and state.
void replay_delta(Isa isa, const GatedDeltaArgs& args, int64_t begin, int64_t end);

namespace scalar {
void gated_delta(const GatedDeltaArgs& args, int64_t begin, int64_t end);
void replay_delta(const GatedDeltaArgs& args, int64_t begin, int64_t end);
}  // namespace scalar
namespace avx2 {
// Whole strips only (v_dim a multiple of kStrip); the dispatch sees to it.
void gated_delta(const GatedDeltaArgs& args, int64_t begin, int64_t end);
void replay_delta(const GatedDeltaArgs& args, int64_t begin, int64_t end);
}  // namespace avx2

}  // namespace quern
