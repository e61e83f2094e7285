// HiddenTrace: a decorator that copies the residual stream as it passes, without the forward pass knowing: after embed, after each
// layer's last add, and after the final norm in place of the last layer's, as transformers reports hidden_states.
#pragma once

#include "model/ops/ops.h"

namespace quern {

class HiddenTrace : public Ops {
 public:
  HiddenTrace(Ops& ops, const Model& model) : ops_(ops), model_(model) {}

  // Of the latest forward pass: [tokens, H]; layer 0 is the embedding's output.
  Tensor hidden(size_t layer) {
    std::vector<float>& values = layers_.at(layer);
    return {values.data(), static_cast<int64_t>(values.size()) / model_.config.hidden_size, model_.config.hidden_size,
            model_.config.hidden_size};
  }

  void embed(std::span<const int32_t> ids, const Weight& table, Tensor out) override {
    ops_.embed(ids, table, out);
    layers_.clear();
    record(out);
  }
  void add(Tensor residual, Tensor x) override {
    ops_.add(residual, x);
    record(residual);
  }
  void rms_norm(Tensor x, const Vector& weight, float eps, Tensor out) override {
    ops_.rms_norm(x, weight, eps, out);
    if (&weight != &model_.final_norm) return;
    layers_.pop_back();
    record(out);
  }

  void add_rms_norm(Tensor residual, Tensor x, const Vector& weight, float eps, Tensor out) override {
    ops_.add_rms_norm(residual, x, weight, eps, out);
  }
  void linear(Tensor x, const Weight& weight, Tensor out) override { ops_.linear(x, weight, out); }
  void norm_rope(Tensor x, int64_t heads, int64_t head_stride, const Vector& weight, float eps, const RopeTable& table) override {
    ops_.norm_rope(x, heads, head_stride, weight, eps, table);
  }
  void attention(Tensor q_gate, const KvCache& cache, int64_t first_position, Tensor out) override {
    ops_.attention(q_gate, cache, first_position, out);
  }
  void append_kv(Tensor k, Tensor v, int64_t first, KvCache& cache) override { ops_.append_kv(k, v, first, cache); }
  void split_projections(Tensor qkvz, Tensor ba, const ModelConfig& config, Tensor mixed, Tensor z, Tensor b, Tensor a) override {
    ops_.split_projections(qkvz, ba, config, mixed, z, b, a);
  }
  void short_conv(Tensor mixed, const Vector& conv1d, Tensor history, Tensor out) override {
    ops_.short_conv(mixed, conv1d, history, out);
  }
  void delta_gates(Tensor b, Tensor a, const Vector& A, const Vector& dt_bias) override { ops_.delta_gates(b, a, A, dt_bias); }
  void normalise_qk(Tensor qkv, const ModelConfig& config) override { ops_.normalise_qk(qkv, config); }
  void gated_delta(Tensor qkv, Tensor g, Tensor beta, const ModelConfig& config, float* state, Tensor d, Tensor out) override {
    ops_.gated_delta(qkv, g, beta, config, state, d, out);
  }
  void replay_delta(Tensor k, Tensor g, Tensor d, const ModelConfig& config, float* state) override {
    ops_.replay_delta(k, g, d, config, state);
  }
  void gated_rms_norm(Tensor x, Tensor z, const Vector& weight, float eps, Tensor out) override {
    ops_.gated_rms_norm(x, z, weight, eps, out);
  }
  void route(Tensor logits, bool renormalise, std::span<int32_t> ids, Tensor weights) override {
    ops_.route(logits, renormalise, ids, weights);
  }
  void experts(Tensor x, std::span<const Expert> experts, std::span<const int32_t> ids, Tensor weights, Tensor out) override {
    ops_.experts(x, experts, ids, weights, out);
  }
  void expert(Tensor x, const Expert& expert, Tensor out) override { ops_.expert(x, expert, out); }
  void add_gated(Tensor out, Tensor gate, Tensor shared) override { ops_.add_gated(out, gate, shared); }

 private:
  void record(Tensor t) {
    std::vector<float>& values = layers_.emplace_back();
    for (int64_t i = 0; i < t.rows; ++i) values.insert(values.end(), t.row(i), t.row(i) + t.cols);
  }

  Ops& ops_;
  const Model& model_;
  std::vector<std::vector<float>> layers_;
};

}  // namespace quern
