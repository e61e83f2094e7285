// config.json of the Qwen3-Next family: every field the arithmetic depends on, checked and bounded. What only training uses
// (initializer_range, router_aux_loss_coef, attention_dropout, …) is read over. Qwen3.5/3.6 text models fill the same fields from their
// own names (text_config, rope_parameters, mtp_num_hidden_layers).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace quern {

enum class LayerKind { linear_attention, full_attention };
enum class MlpKind { sparse, dense };
// How the DeltaNet input projections lie in the checkpoint: in_proj_qkvz and in_proj_ba with rows interleaved per key head, or
// in_proj_qkv, in_proj_z, in_proj_b, in_proj_a, flat.
enum class DeltaProjections { interleaved, split };

struct Yarn {
  double factor = 1;
  double original_max_position = 0;
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;
  std::optional<double> attention_factor, mscale, mscale_all_dim;

  // What queries and keys are multiplied by, each: attention_factor if it is given, otherwise by mscale or 0.1 ln(factor) + 1.
  double attention_scale() const;
};

struct ModelConfig {
  std::string model_type;     // "qwen3_next", "qwen3_5_text", …
  std::string tensor_prefix;  // "model." or "model.language_model."
  DeltaProjections delta_projections = DeltaProjections::interleaved;

  int64_t vocab_size = 0, hidden_size = 0;
  std::vector<LayerKind> layers;  // one per hidden layer
  std::vector<MlpKind> mlps;      // likewise
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  int64_t max_position_embeddings = 0;

  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  int64_t rotary_dim = 0;
  double rope_theta = 0;
  std::optional<Yarn> yarn;

  int64_t linear_num_key_heads = 0, linear_num_value_heads = 0, linear_key_head_dim = 0, linear_value_head_dim = 0;
  int64_t linear_conv_kernel_dim = 0;

  int64_t intermediate_size = 0;  // of dense layers
  int64_t num_experts = 0, num_experts_per_tok = 0, moe_intermediate_size = 0, shared_expert_intermediate_size = 0;
  bool norm_topk_prob = true;

  int64_t num_mtp_layers = 0;  // as the config says; whether the tensors are there is another matter

  std::vector<int64_t> eos_token_ids;  // of config.json; generation_config.json overrides

  int64_t linear_key_dim() const { return linear_num_key_heads * linear_key_head_dim; }
  int64_t linear_value_dim() const { return linear_num_value_heads * linear_value_head_dim; }
  int64_t conv_channels() const { return 2 * linear_key_dim() + linear_value_dim(); }

  // Errors: unsupported (an architecture or a setting, by its name), malformed, out_of_range (a field, its value, its bounds).
  static Result<ModelConfig> from_json(const Json& config, std::string_view where);
  static Result<ModelConfig> load(const std::filesystem::path& config_json);
  // config.json of a qwen3_next model as it is published, without "quantization": what from_json reads as this config, but for
  // num_mtp_layers, which no published one has. Calling it for another model_type is a bug in the caller (checked).
  Json to_json() const;
};

// generation_config.json; a missing file gives the defaults.
struct GenerationConfig {
  std::vector<int64_t> eos_token_ids;
  std::optional<double> temperature, top_p, min_p;
  std::optional<int64_t> top_k;
  std::optional<bool> do_sample;

  static Result<GenerationConfig> load(const std::filesystem::path& generation_config_json);
};

}  // namespace quern
