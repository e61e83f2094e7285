#include "model/model_facts.h"

#include <algorithm>

#include "model/sequence_state.h"
#include "model/tensor_walk.h"

namespace quern {
namespace {

std::string_view part_of(std::string_view name) {
  const auto contains = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (name.starts_with("mtp.")) return "mtp";
  if (contains(".experts.")) return "experts";
  if (contains(".shared_expert")) return "shared expert";
  if (contains(".mlp.gate.")) return "router";
  if (contains(".mlp.")) return "dense mlp";
  if (contains(".linear_attn.")) return "delta net";
  if (contains(".self_attn.")) return "attention";
  if (contains("embed_tokens")) return "embeddings";
  if (contains("lm_head")) return "lm_head";
  return "norms";
}

struct Counter {
  const ModelConfig& config;
  ModelFacts facts;
  double active = 0, read = 0;

  void matrix(const std::string& name, const std::vector<int64_t>&, const Weight& weight) {
    add(name, quern::quant_format_info(weight.format()).name, weight.rows() * weight.cols(), weight.bytes());
    if (weight.order() == RowOrder::strips)
      ++facts.packed.tensors, facts.packed.parameters += weight.rows() * weight.cols(), facts.packed.bytes += weight.bytes();
  }
  void vector(const std::string& name, const std::vector<int64_t>&, VectorRole, const Vector& vector) {
    add(name, "f32", static_cast<int64_t>(vector.size()), vector.size() * sizeof(float));
  }

 private:
  void add(std::string_view name, std::string_view format, int64_t parameters, size_t bytes) {
    const std::string part(part_of(name)), kind(format);
    for (TensorTally* tally : {&facts.parts[part], &facts.formats[kind], &facts.part_formats[part][kind], &facts.total})
      ++tally->tensors, tally->parameters += parameters, tally->bytes += bytes;
    active += share(part) * static_cast<double>(parameters);
    read += share(part) * static_cast<double>(bytes);
  }
  // Of a part, what one decoded token reads.
  double share(std::string_view part) const {
    if (part == "experts") return static_cast<double>(config.num_experts_per_tok) / static_cast<double>(config.num_experts);
    if (part == "mtp" || (part == "embeddings" && !config.tie_word_embeddings)) return 0;
    return 1;
  }
};

}  // namespace

size_t kv_bytes_per_position(const ModelConfig& c) {
  const auto full = static_cast<size_t>(std::count(c.layers.begin(), c.layers.end(), LayerKind::full_attention));
  return full * 2 * static_cast<size_t>(c.num_key_value_heads * c.head_dim) * 2;
}

size_t sequence_state_bytes(const ModelConfig& c) {
  return static_cast<size_t>(std::count(c.layers.begin(), c.layers.end(), LayerKind::linear_attention)) * DeltaState::bytes(c);
}

ModelFacts model_facts(const Model& model) {
  const ModelConfig& c = model.config;
  Counter counter{.config = c};
  visit_model(counter, model);
  ModelFacts& facts = counter.facts;
  facts.active_parameters = static_cast<int64_t>(counter.active);
  const int64_t head = model.lm_head.rows() * model.lm_head.cols();
  facts.prompt_parameters = facts.active_parameters - head;
  facts.bytes_per_token = static_cast<size_t>(counter.read);
  facts.kv_bytes_per_position = kv_bytes_per_position(c);
  facts.state_bytes = sequence_state_bytes(c);
  return std::move(facts);
}

}  // namespace quern
