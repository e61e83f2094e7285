// Ops: what the forward pass asks of a device, about fifteen fused operations. The forward pass is written once over this class; CPU and
// later devices implement it, decorators (trace_ops.h) watch it. Activations are f32 Tensors [tokens, width]; a result of one token
// never depends on the other tokens of the batch, nor on threads. Failures of the machine are exceptions; shapes are checked (QUERN_CHECK).
#pragma once

#include <cstdint>
#include <span>

#include "model/model.h"
#include "model/sequence_state.h"
#include "tensor/tensor.h"

namespace quern {

// cos and sin of every position of a batch, times YaRN's attention factor: [tokens, rotary_dim / 2] each.
struct RopeTable {
  Tensor cos, sin;
};

class Ops {
 public:
  virtual ~Ops() = default;

  // out[t] = table[ids[t]].
  virtual void embed(std::span<const int32_t> ids, const Weight& table, Tensor out) = 0;

  // out = x * rsqrt(mean(x^2) + eps) * weight.   x, out [tokens, n]; weight [n]; out may alias x.
  virtual void rms_norm(Tensor x, const Vector& weight, float eps, Tensor out) = 0;
  // residual += x.
  virtual void add(Tensor residual, Tensor x) = 0;
  // residual += x; out = rms_norm(residual). out may alias x.
  virtual void add_rms_norm(Tensor residual, Tensor x, const Vector& weight, float eps, Tensor out) {
    add(residual, x);
    rms_norm(residual, weight, eps, out);
  }

  // out[t][n] = sum_k x[t][k] weight[n][k].   x [tokens, K], weight [N, K], out [tokens, N].
  virtual void linear(Tensor x, const Weight& weight, Tensor out) = 0;
  // The same for several matrices that read one x.
  struct Product {
    const Weight* weight = nullptr;
    Tensor out;
  };
  virtual void linears(Tensor x, std::span<const Product> products) {
    for (const Product& product : products) linear(x, *product.weight, product.out);
  }

  // Heads of x [tokens, heads * head_stride], the first head_dim of each: RMS norm with weight [head_dim], then rotation of the first
  // 2 * table.cos.cols dimensions, pairs (i, i + half). In place.
  virtual void norm_rope(Tensor x, int64_t heads, int64_t head_stride, const Vector& weight, float eps, const RopeTable& table) = 0;

  // Rows [begin, end) of a batch, which are one sequence's, and what its past left behind. Operations that look back are given all sequences
  // of a batch at once, so that none waits for another; results do not depend on which others there are.
  struct CachedRows {
    int64_t begin = 0, end = 0;
    KvCache* cache = nullptr;
    int64_t first = 0;  // position of the first row
  };
  // Appends k, v [tokens, kv_heads * head_dim], to each cache its rows.
  virtual void append_kv(Tensor k, Tensor v, std::span<const CachedRows> sequences) = 0;
  // Causal attention; keys and values up to a sequence's last row are in its cache.
  //   q_gate [tokens, heads * 2 * head_dim]: per head query, then output gate
  //   out [tokens, heads * head_dim] = sigmoid(gate) * softmax(q k^T / sqrt(head_dim)) v
  virtual void attention(Tensor q_gate, std::span<const CachedRows> sequences, Tensor out) = 0;

  // The interleaved DeltaNet projections taken apart (spec: architecture, 6.2).
  //   qkvz [tokens, k_heads * (2 k_dim + 2 group v_dim)], ba [tokens, k_heads * 2 group]
  //   -> mixed [tokens, q | k | v flat], z [tokens, v_heads * v_dim], b, a [tokens, v_heads]
  virtual void split_projections(Tensor qkvz, Tensor ba, const ModelConfig& config, Tensor mixed, Tensor z, Tensor b, Tensor a) = 0;
  // Depthwise causal convolution over each sequence's rows, then silu. inputs [>= K-1, channels]: those before the rows, oldest first; the
  // rows become the last of them.
  struct ConvRows {
    int64_t begin = 0, end = 0;
    Tensor inputs;
  };
  virtual void short_conv(Tensor mixed, const Vector& conv1d, std::span<const ConvRows> sequences, Tensor out) = 0;
  // b -> beta = sigmoid(b);  a -> g = exp(-A softplus(a + dt_bias)), the decay in (0, 1]. In place, [tokens, v_heads].
  virtual void delta_gates(Tensor b, Tensor a, const Vector& A, const Vector& dt_bias) = 0;
  // q and k heads (the first 2 * k_heads * k_dim columns of qkv) L2-normalised, q also scaled by k_dim^-1/2. In place.
  virtual void normalise_qk(Tensor qkv, const ModelConfig& config) = 0;
  // The gated delta rule over each sequence's rows (kernels/gated_delta). `state` [v_heads * k_dim * v_dim] is advanced.
  struct DeltaRows {
    int64_t begin = 0, end = 0;
    float* state = nullptr;
    // From row `logged` on, d [end - logged, v_heads * v_dim] receives the written differences (the rollback log); base, where it is not
    // null, becomes the state in front of that row.
    int64_t logged = 0;
    Tensor d;
    float* base = nullptr;
  };
  virtual void gated_delta(Tensor qkv, Tensor g, Tensor beta, const ModelConfig& config, std::span<const DeltaRows> sequences,
                           Tensor out) = 0;
  // S <- g S; S <- S + k d^T for each row of a log, bit for bit as gated_delta updated its state.
  //   k [rows, k_heads * k_dim], g [rows, v_heads], d [rows, v_heads * v_dim]
  struct DeltaLog {
    Tensor k, g, d;
    float* state = nullptr;
  };
  virtual void replay_delta(std::span<const DeltaLog> logs, const ModelConfig& config) = 0;
  // Per head of v_dim: out = rms_norm(x) * weight * silu(z). out may alias x.
  virtual void gated_rms_norm(Tensor x, Tensor z, const Vector& weight, float eps, Tensor out) = 0;

  // gate = silu(gate) * up, in place: SwiGLU.
  virtual void silu_mul(Tensor gate, Tensor up) = 0;

  // Softmax over all experts in f32, the top k of each token (ties: the lowest id), renormalised if asked.
  //   logits [tokens, E] -> ids [tokens * k], weights [tokens, k]
  virtual void route(Tensor logits, bool renormalise, std::span<int32_t> ids, Tensor weights) = 0;
  // out[t] = sum_j weights[t][j] * experts[ids[t][j]](x[t]), in the order of j.
  virtual void experts(Tensor x, std::span<const Expert> experts, std::span<const int32_t> ids, Tensor weights, Tensor out) = 0;
  // out = expert(x) for every token.
  virtual void expert(Tensor x, const Expert& expert, Tensor out) = 0;
  // out += sigmoid(gate[t]) * shared[t].   gate [tokens, 1].
  virtual void add_gated(Tensor out, Tensor gate, Tensor shared) = 0;
};

}  // namespace quern
