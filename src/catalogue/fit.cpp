#include "catalogue/fit.h"

#include <algorithm>

#include "convert/output_tensors.h"
#include "convert/procedural.h"
#include "convert/synth.h"
#include "model/model_facts.h"

namespace quern {
namespace {

struct Form {
  std::string_view recipe;
  ModelContainer container;
};
constexpr Form kForms[] = {{"bf16", ModelContainer::folder}, {"q8", ModelContainer::folder}, {"q6", ModelContainer::folder},
                           {"q4_k_m", ModelContainer::gguf}, {"q4", ModelContainer::folder}, {"mxfp4", ModelContainer::folder},
                           {"q3_k", ModelContainer::gguf},   {"q2_k", ModelContainer::gguf}};

// Of a tensor's bytes, what one decoded token reads.
double share(const OutputTensor& tensor, const ModelConfig& config) {
  if (tensor.published.empty()) return 1;
  const std::string& name = tensor.published.front();
  if (name.find("embed_tokens") != std::string::npos) return 0;
  if (name.find(".experts.") == std::string::npos) return 1;
  return static_cast<double>(config.num_experts_per_tok) / static_cast<double>(config.num_experts);
}

struct Sum {
  double weights = 0, read = 0;  // bytes
};

Result<Sum> sum_of(std::string_view preset, std::string_view form, ModelContainer container) {
  QUERN_ASSIGN(const Json json, synth_preset(preset));
  QUERN_ASSIGN(const ModelConfig config, ModelConfig::from_json(json, preset));
  QUERN_ASSIGN(const Recipe recipe, Recipe::builtin(form, container));
  QUERN_ASSIGN(const OutputTensors tensors, output_tensors(ProceduralWeights(), config, recipe, container, MtpBlock::leave_out));
  Sum sum;
  for (const OutputTensor& tensor : tensors.tensors) {
    sum.weights += static_cast<double>(tensor.bytes());
    sum.read += share(tensor, config) * static_cast<double>(tensor.bytes());
  }
  return sum;
}

}  // namespace

Result<std::vector<ModelSize>> sizes_of_80b() {
  QUERN_ASSIGN(const Json json, synth_preset("full80"));
  QUERN_ASSIGN(const ModelConfig config, ModelConfig::from_json(json, "full80"));
  std::vector<ModelSize> sizes;
  for (const auto& [name, container] : kForms) {
    // All groups of four layers are alike: one model of one group and one of two give the size of any number.
    QUERN_ASSIGN(const Sum one, sum_of("slice4", name, container));
    QUERN_ASSIGN(const Sum two, sum_of("slice8", name, container));
    const double more = static_cast<double>(config.layers.size()) / 4 - 1;
    ModelSize size{.recipe = std::string(name), .gguf = container == ModelContainer::gguf};
    size.weights_bytes = static_cast<size_t>(one.weights + more * (two.weights - one.weights));
    size.bytes_per_token = static_cast<size_t>(one.read + more * (two.read - one.read));
    size.sequence_bytes = sequence_state_bytes(config);
    size.kv_bytes_per_token = kv_bytes_per_position(config);
    sizes.push_back(std::move(size));
  }
  std::stable_sort(sizes.begin(), sizes.end(),
                   [](const ModelSize& a, const ModelSize& b) { return a.weights_bytes > b.weights_bytes; });
  return sizes;
}

}  // namespace quern
