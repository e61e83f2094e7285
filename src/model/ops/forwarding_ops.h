// ForwardingOps: what decorators start from. Every operation goes to the operations underneath as it is, fused ones included; a decorator
// overrides those that it watches.
#pragma once

#include "model/ops/ops.h"

namespace quern {

class ForwardingOps : public Ops {
 public:
  // The operations underneath must outlive it.
  explicit ForwardingOps(Ops& ops) : ops_(ops) {}

  void embed(std::span<const int32_t> ids, const Weight& table, Tensor out) override { ops_.embed(ids, table, out); }
  void rms_norm(Tensor x, const Vector& weight, float eps, Tensor out) override { ops_.rms_norm(x, weight, eps, out); }
  void add(Tensor residual, Tensor x) override { ops_.add(residual, x); }
  void add_rms_norm(Tensor residual, Tensor x, const Vector& weight, float eps, Tensor out) override {
    ops_.add_rms_norm(residual, x, weight, eps, out);
  }
  void linear(Tensor x, const Weight& weight, Tensor out) override { ops_.linear(x, weight, out); }
  void linears(Tensor x, std::span<const Product> products) override { ops_.linears(x, products); }
  void norm_rope(Tensor x, int64_t heads, int64_t head_stride, const Vector& weight, float eps, const RopeTable& table) override {
    ops_.norm_rope(x, heads, head_stride, weight, eps, table);
  }
  void append_kv(Tensor k, Tensor v, std::span<const CachedRows> sequences) override { ops_.append_kv(k, v, sequences); }
  void attention(Tensor q_gate, std::span<const CachedRows> sequences, Tensor out) override {
    ops_.attention(q_gate, sequences, out);
  }
  void split_projections(Tensor qkvz, Tensor ba, const ModelConfig& config, Tensor mixed, Tensor z, Tensor b, Tensor a) override {
    ops_.split_projections(qkvz, ba, config, mixed, z, b, a);
  }
  void short_conv(Tensor mixed, const Vector& conv1d, std::span<const ConvRows> sequences, Tensor out) override {
    ops_.short_conv(mixed, conv1d, sequences, out);
  }
  void delta_gates(Tensor b, Tensor a, const Vector& A, const Vector& dt_bias) override { ops_.delta_gates(b, a, A, dt_bias); }
  void normalise_qk(Tensor qkv, const ModelConfig& config) override { ops_.normalise_qk(qkv, config); }
  void gated_delta(Tensor qkv, Tensor g, Tensor beta, const ModelConfig& config, std::span<const DeltaRows> sequences,
                   Tensor out) override {
    ops_.gated_delta(qkv, g, beta, config, sequences, out);
  }
  void replay_delta(std::span<const DeltaLog> logs, const ModelConfig& config) override { ops_.replay_delta(logs, config); }
  void gated_rms_norm(Tensor x, Tensor z, const Vector& weight, float eps, Tensor out) override {
    ops_.gated_rms_norm(x, z, weight, eps, out);
  }
  void silu_mul(Tensor gate, Tensor up) override { ops_.silu_mul(gate, up); }
  void route(Tensor logits, bool renormalise, std::span<int32_t> ids, Tensor weights) override {
    ops_.route(logits, renormalise, ids, weights);
  }
  void experts(Tensor x, std::span<const Expert> experts, std::span<const int32_t> ids, Tensor weights, Tensor out) override {
    ops_.experts(x, experts, ids, weights, out);
  }
  void expert(Tensor x, const Expert& expert, Tensor out) override { ops_.expert(x, expert, out); }
  void add_gated(Tensor out, Tensor gate, Tensor shared) override { ops_.add_gated(out, gate, shared); }

 protected:
  Ops& ops_;
};

}  // namespace quern
