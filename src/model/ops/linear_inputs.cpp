#include "model/ops/linear_inputs.h"

#include <algorithm>

namespace quern {

void LinearInputs::linear(Tensor x, const Weight& weight, Tensor out) {
  seen_(weight, x);
  ops_.linear(x, weight, out);
}

void LinearInputs::linears(Tensor x, std::span<const Product> products) {
  for (const Product& product : products) seen_(*product.weight, x);
  ops_.linears(x, products);
}

void LinearInputs::expert(Tensor x, const Expert& e, Tensor out) {
  const Tensor gate = gate_.tensor(x.rows, e.gate_proj.rows()), up = up_.tensor(x.rows, e.up_proj.rows());
  linear(x, e.gate_proj, gate);
  linear(x, e.up_proj, up);
  ops_.silu_mul(gate, up);
  linear(gate, e.down_proj, out);
}

void LinearInputs::experts(Tensor x, std::span<const Expert> experts, std::span<const int32_t> ids, Tensor weights, Tensor out) {
  const int64_t k = weights.cols;
  std::vector<std::vector<int64_t>> choices(experts.size());  // of each expert: the places in `ids` that name it
  for (size_t i = 0; i < ids.size(); ++i) choices[static_cast<size_t>(ids[i])].push_back(static_cast<int64_t>(i));
  for (int64_t t = 0; t < out.rows; ++t) std::fill(out.row(t), out.row(t) + out.cols, 0.0f);
  for (size_t e = 0; e < experts.size(); ++e) {
    const auto count = static_cast<int64_t>(choices[e].size());
    if (count == 0) continue;
    const Tensor rows = gathered_.tensor(count, x.cols), down = down_.tensor(count, out.cols);
    for (int64_t i = 0; i < count; ++i) {
      const float* from = x.row(choices[e][static_cast<size_t>(i)] / k);
      std::copy(from, from + x.cols, rows.row(i));
    }
    expert(rows, experts[e], down);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t choice = choices[e][static_cast<size_t>(i)], token = choice / k;
      const float weight = weights.row(token)[choice % k];
      for (int64_t c = 0; c < out.cols; ++c) out.row(token)[c] += weight * down.row(i)[c];
    }
  }
}

}  // namespace quern
