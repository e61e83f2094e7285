// config.json: what is accepted has dimensions that the arithmetic and the sizes of tensors can be computed from; MLX's quantization in it
// names formats or errors.
#include "formats/config_json.h"
#include "formats/mlx_quantization.h"
#include "fuzz.h"
#include "kernels/rope/rope.h"
#include "model/model.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = Json::parse(fuzz::text_of(data, size), "fuzz");
  if (!fuzz::succeeded(json)) return 0;
  const auto quantization = MlxQuantization::from_config(*json, "fuzz");
  if (fuzz::succeeded(quantization))
    if (const auto module = quantization->module("model.layers.0.mlp.gate")) static_cast<void>(fuzz::succeeded(module->format()));
  const auto config = ModelConfig::from_json(*json, "fuzz");
  if (!fuzz::succeeded(config)) return 0;
  QUERN_CHECK(config->layers.size() == config->mlps.size() && !config->layers.empty());
  QUERN_CHECK(config->num_attention_heads % config->num_key_value_heads == 0);
  QUERN_CHECK(config->rotary_dim >= 2 && config->rotary_dim <= config->head_dim, config->rotary_dim, config->head_dim);
  const RotaryFrequencies rotary = rotary_frequencies(*config);
  QUERN_CHECK(static_cast<int64_t>(rotary.inv_freq.size()) == config->rotary_dim / 2);
  if (static_cast<int64_t>(config->layers.size()) * std::max<int64_t>(1, config->num_experts) > 512)
    return 0;  // long lists are only slow
  for (const ExpectedTensor& tensor : expected_tensors(*config, config->num_mtp_layers > 0)) {
    int64_t elements = 8;  // bytes of the widest element
    for (const int64_t extent : tensor.shape)
      QUERN_CHECK(extent > 0 && !__builtin_mul_overflow(elements, extent, &elements), tensor.name, extent);
  }
  return 0;
}
