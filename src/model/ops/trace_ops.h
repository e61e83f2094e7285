// HiddenTrace: a decorator that copies the residual stream as it passes, without the forward pass knowing: after embed, after each
// layer's last add, and after the final norm in place of the last layer's, as transformers reports hidden_states.
#pragma once

#include "model/ops/forwarding_ops.h"

namespace quern {

class HiddenTrace : public ForwardingOps {
 public:
  HiddenTrace(Ops& ops, const Model& model) : ForwardingOps(ops), model_(model) {}

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

 private:
  void record(Tensor t) {
    std::vector<float>& values = layers_.emplace_back();
    for (int64_t i = 0; i < t.rows; ++i) values.insert(values.end(), t.row(i), t.row(i) + t.cols);
  }

  const Model& model_;
  std::vector<std::vector<float>> layers_;
};

}  // namespace quern
