#include "runtime/memory_plan.h"

#include <algorithm>

#include "model/model_facts.h"
#include "runtime/engine_impl.h"

namespace quern {

size_t constant_bytes(const Engine& engine) {
  const ModelConfig& c = engine.impl().model->config;
  return static_cast<size_t>(std::count(c.layers.begin(), c.layers.end(), LayerKind::linear_attention)) * DeltaState::bytes(c);
}

size_t sequence_bytes(const Engine& engine, int64_t tokens) {
  const ModelConfig& c = engine.impl().model->config;
  const auto layers = static_cast<size_t>(std::count(c.layers.begin(), c.layers.end(), LayerKind::full_attention)) +
                      (engine.impl().runner->with_mtp ? 1 : 0);
  const auto pages = static_cast<size_t>((tokens + kKvPagePositions - 1) / kKvPagePositions);
  return constant_bytes(engine) + layers * pages * kv_page_bytes(engine.impl().runner->kv, c.num_key_value_heads, c.head_dim);
}

size_t workspace_bytes(const Engine& engine, int64_t rows, int64_t logits) {
  const ModelConfig& c = engine.impl().model->config;
  // Residual stream, block input and output, final state; the widest block's inner tensors; experts' rows, gathered, and their activations.
  const int64_t attention = c.num_attention_heads * 3 * c.head_dim + 2 * c.num_key_value_heads * c.head_dim,
                delta = 4 * c.conv_channels() + 3 * c.linear_value_dim(),
                experts = c.num_experts_per_tok * (2 * c.hidden_size + 3 * c.moe_intermediate_size) + c.num_experts;
  const int64_t of_row = 6 * c.hidden_size + attention + delta + experts;
  return static_cast<size_t>(rows * of_row + logits * c.vocab_size) * sizeof(float);
}

size_t sequences_limit(const Engine& engine, size_t available, size_t beside) {
  const size_t weights = model_facts(*engine.impl().model).total.bytes, rest = available - std::min(available, beside);
  const size_t taken = weights + available / 8;
  return std::max(rest - std::min(rest, taken), rest / 4);
}

}  // namespace quern
