// LinearInputs: a decorator that shows each matrix what it is multiplied by. Experts are taken apart into their plain operations, each
// expert's rows gathered, because the input of a down_proj exists inside that operation only; the fast path does not pay for it.
#pragma once

#include <functional>

#include "model/ops/forwarding_ops.h"

namespace quern {

class LinearInputs : public ForwardingOps {
 public:
  // Called before each product with x [tokens, K]; a matrix is known by its address in the model.
  using Seen = std::function<void(const Weight& weight, Tensor x)>;

  LinearInputs(Ops& ops, Seen seen) : ForwardingOps(ops), seen_(std::move(seen)) {}

  void linear(Tensor x, const Weight& weight, Tensor out) override;
  void linears(Tensor x, std::span<const Product> products) override;
  void expert(Tensor x, const Expert& expert, Tensor out) override;
  void experts(Tensor x, std::span<const Expert> experts, std::span<const int32_t> ids, Tensor weights, Tensor out) override;

 private:
  Seen seen_;
  Buffer gate_, up_, gathered_, down_;
};

}  // namespace quern
