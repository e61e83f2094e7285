#include "formats/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_set>

#include "formats/config_fields.h"

namespace quern {
namespace {

constexpr std::string_view kArchitecture = "qwen3next", kPrefix = "qwen3next.";
constexpr std::string_view kRecurrentLayers = "qwen3next.attention.recurrent_layers";
constexpr YarnNames kYarnNames{.original_max_position = "qwen3next.rope.scaling.original_context_length",
                               .factor = "qwen3next.rope.scaling.factor",
                               .beta_fast = "qwen3next.rope.scaling.yarn_beta_fast",
                               .beta_slow = "qwen3next.rope.scaling.yarn_beta_slow"};

Result<Json> real_as_json(const GgufMetadata& metadata, std::string_view key, GgufType type) {
  QUERN_ASSIGN(const double value, metadata.f64(key));
  if (!std::isfinite(value)) return metadata.bad(Errc::malformed, key, "{} is not a number", value);
  if (type == GgufType::f32) return Json::number_literal(fmt::format("{}", static_cast<float>(value)));
  return Json(value);
}

// A value as JSON has it, for Fields. Arrays are an empty list: the one that is read is read from the metadata itself.
Result<Json> as_json(const GgufMetadata& metadata, std::string_view key, GgufType type) {
  if (type == GgufType::f32 || type == GgufType::f64) return real_as_json(metadata, key, type);
  if (type == GgufType::array) return Json::array();
  if (type == GgufType::u64) return Json(metadata.u64(key).value());
  if (type == GgufType::boolean) return Json(metadata.boolean(key).value());
  if (type == GgufType::string) return Json(gguf_name_text(metadata.string(key).value()));
  return Json(metadata.i64(key).value());
}

Result<Json> scalars(const GgufMetadata& metadata, std::string_view prefix) {
  Json::Object object;
  for (const auto& [key, value] : metadata.entries()) {
    if (!key.starts_with(prefix)) continue;
    QUERN_ASSIGN(Json json, as_json(metadata, key, value.type));
    object.emplace_back(std::string(key), std::move(json));
  }
  return Json(std::move(object));
}

class TensorNames {
 public:
  explicit TensorNames(std::span<const StoredTensor> tensors) {
    for (const StoredTensor& tensor : tensors) names_.insert(tensor.name);
  }
  bool empty() const { return names_.empty(); }
  bool has(std::string_view name) const { return names_.contains(name); }

 private:
  std::unordered_set<std::string_view> names_;
};

// The vocabulary's size, from what says it best.
std::optional<uint64_t> vocabulary_rows(const GgufMetadata& metadata, std::span<const StoredTensor> tensors) {
  const auto embedding = std::find_if(tensors.begin(), tensors.end(), [](const auto& t) { return t.name == "token_embd.weight"; });
  if (embedding != tensors.end()) return static_cast<uint64_t>(embedding->shape.front());
  const GgufValue* tokens = metadata.find("tokenizer.ggml.tokens");
  if (tokens && tokens->type == GgufType::array) return tokens->count;
  return {};
}

void place_vocabulary(const GgufMetadata& metadata, std::span<const StoredTensor> tensors, Json& fields, Fields& config) {
  constexpr std::string_view key = "qwen3next.vocab_size";
  const auto rows = vocabulary_rows(metadata, tensors);
  if (!rows) return;
  const Json* said = config.present(key);
  if (said && *said != Json(*rows))
    return config.set(
        metadata.bad(Errc::mismatch, key, "{}, but the embedding or the list of tokens has {}", said->dump().substr(0, 40), *rows));
  fields[key] = Json(*rows);
}

// attention.recurrent_layers, one value for all layers or a list, where it is there.
void override_layers(const GgufMetadata& metadata, Fields& config, ModelConfig& m) {
  const GgufValue* value = metadata.find(kRecurrentLayers);
  if (!value) return;
  const auto kind = [](bool recurrent) { return recurrent ? LayerKind::linear_attention : LayerKind::full_attention; };
  if (value->type != GgufType::array) {
    std::fill(m.layers.begin(), m.layers.end(), kind(config.boolean(kRecurrentLayers, true)));
    return;
  }
  const uint64_t least = m.layers.size(), blocks = least + static_cast<uint64_t>(m.num_mtp_layers);
  if (value->count != least && value->count != blocks)
    return config.set(metadata.bad(Errc::malformed, kRecurrentLayers, "{} elements, expected {}", value->count, blocks));
  const auto list = metadata.integers(kRecurrentLayers);
  if (!list) return config.set(tl::unexpected(list.error()));
  for (size_t i = 0; i < m.layers.size(); ++i) m.layers[i] = kind((*list)[i] != 0);
}

void read_layers(const GgufMetadata& metadata, const TensorNames& tensors, Fields& config, ModelConfig& m) {
  m.num_mtp_layers = config.integer("qwen3next.nextn_predict_layers", 0, 64, 0);
  const int64_t blocks = config.integer("qwen3next.block_count", 1 + m.num_mtp_layers, kMaxLayers);
  const int64_t interval = config.integer("qwen3next.full_attention_interval", 1, kMaxLayers, 4);
  m.layers = layers_by_interval(std::max<int64_t>(1, blocks - m.num_mtp_layers), interval);
  override_layers(metadata, config, m);
  const bool any_experts = config.integer("qwen3next.expert_count", 0, 65536) > 0;
  for (size_t i = 0; i < m.layers.size(); ++i)
    m.mlps.push_back(any_experts && !tensors.has(fmt::format("blk.{}.ffn_gate.weight", i)) ? MlpKind::sparse : MlpKind::dense);
}

void read_value_heads(Fields& config, ModelConfig& m) {
  constexpr std::string_view key = "qwen3next.ssm.inner_size";
  const int64_t inner = config.integer(key, 1, int64_t{1} << 32);
  m.linear_value_head_dim = inner / m.linear_num_value_heads;
  if (inner % m.linear_num_value_heads != 0)
    config.set(fail(Errc::mismatch, "{}: {}: {} does not divide among {} value heads", config.where(), key, inner,
                    m.linear_num_value_heads));
  if (m.linear_value_head_dim > 65536)
    config.set(fail(Errc::out_of_range, "{}: {}: value heads of {}, at most 65536", config.where(), key, m.linear_value_head_dim));
}

// Scaling as llama.cpp computes it: q and k are multiplied by attn_factor (0.1 ln(factor) + 1), divided by 0.1 log_multiplier ln(factor) + 1.
std::optional<Yarn> read_yarn(Fields& config, int64_t max_position) {
  constexpr std::string_view type_key = "qwen3next.rope.scaling.type", attention_key = "qwen3next.rope.scaling.attn_factor",
                             log_key = "qwen3next.rope.scaling.yarn_log_multiplier";
  const std::string type = config.text(type_key, "linear");  // as llama.cpp takes it; by 1 it changes nothing
  if (type == "none") return {};
  if (type == "linear" && config.real(kYarnNames.factor, 0, 1e6, 1) <= 1) return {};
  if (type != "yarn") {
    config.set(fail(Errc::unsupported, "{}: {}: {} (none and yarn are known)", config.where(), type_key, type.substr(0, 40)));
    return {};
  }
  for (const std::string_view key : {"qwen3next.rope.scaling.yarn_ext_factor", "qwen3next.rope.scaling.yarn_attn_factor"})
    if (config.real(key, -1e6, 1e6, 1) != 1) config.set(fail(Errc::unsupported, "{}: {} other than 1", config.where(), key));
  Yarn yarn = read_yarn_numbers(config, kYarnNames, max_position);
  if (config.present(attention_key) || config.present(log_key)) {
    const double multiplier = config.real(log_key, 0, 1e3, 0);
    yarn.attention_factor =
        config.real(attention_key, 1e-3, 1e3, 1) * yarn.attention_scale() / (0.1 * multiplier * std::log(yarn.factor) + 1);
  }
  return yarn;
}

void read_eos(const GgufMetadata& metadata, Fields& tokenizer, std::vector<int64_t>& ids) {
  const auto add = [&](std::string_view key) {
    if (!tokenizer.present(key)) return;
    const int64_t id = tokenizer.integer(key, 0, kMaxDimension);
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  add("tokenizer.ggml.eos_token_id");
  add("tokenizer.ggml.eot_token_id");
  constexpr std::string_view padding = "tokenizer.ggml.padding_token_id";
  if (!tokenizer.present(padding) || !metadata.has("tokenizer.ggml.tokens")) return;
  const auto id = static_cast<uint64_t>(tokenizer.integer(padding, 0, kMaxDimension));
  const auto tokens = metadata.strings("tokenizer.ggml.tokens");
  if (!tokens) return tokenizer.set(tl::unexpected(tokens.error()));
  if (id < tokens->size() && (*tokens)[id] == "<|endoftext|>") add(padding);
}

Result<void> add_u32(GgufKeyValues& out, std::string_view key, int64_t value) {
  if (!std::in_range<uint32_t>(value)) return fail(Errc::out_of_range, "{}: {} is outside 0 to 2^32 - 1", key, value);
  out.u32(key, static_cast<uint32_t>(value));
  return {};
}

// The interval where the layers follow one, and every layer's kind where they do not.
Result<void> add_layers(const ModelConfig& config, GgufKeyValues& out) {
  const auto blocks = static_cast<int64_t>(config.layers.size()) + config.num_mtp_layers;
  QUERN_TRY(add_u32(out, "qwen3next.block_count", blocks));
  if (config.num_mtp_layers > 0) QUERN_TRY(add_u32(out, "qwen3next.nextn_predict_layers", config.num_mtp_layers));
  const auto count = static_cast<int64_t>(config.layers.size());
  const auto first = std::find(config.layers.begin(), config.layers.end(), LayerKind::full_attention);
  const int64_t interval = first - config.layers.begin() + 1;
  if (first != config.layers.end() && config.layers == layers_by_interval(count, interval))
    return add_u32(out, "qwen3next.full_attention_interval", interval);
  std::vector<bool> recurrent;
  for (const LayerKind kind : config.layers) recurrent.push_back(kind == LayerKind::linear_attention);
  recurrent.resize(static_cast<size_t>(blocks), false);  // the prediction block attends
  out.booleans(kRecurrentLayers, recurrent);
  return {};
}

Result<void> add_rope(const ModelConfig& config, GgufKeyValues& out) {
  out.f32("qwen3next.rope.freq_base", static_cast<float>(config.rope_theta));
  QUERN_TRY(add_u32(out, "qwen3next.rope.dimension_count", config.rotary_dim));
  if (!config.yarn) return {};
  const Yarn& yarn = *config.yarn;
  if (!yarn.truncate) return fail(Errc::unsupported, "GGUF cannot say YaRN with truncate false");
  out.string("qwen3next.rope.scaling.type", "yarn");
  out.f32(kYarnNames.factor, static_cast<float>(yarn.factor));
  QUERN_TRY(add_u32(out, kYarnNames.original_max_position, std::llround(yarn.original_max_position)));
  out.f32(kYarnNames.beta_fast, static_cast<float>(yarn.beta_fast));
  out.f32(kYarnNames.beta_slow, static_cast<float>(yarn.beta_slow));
  const double plain = Yarn{.factor = yarn.factor}.attention_scale(), scale = yarn.attention_scale();
  if (scale != plain) out.f32("qwen3next.rope.scaling.attn_factor", static_cast<float>(scale / plain));
  return {};
}

// Settings of ggml's that the architecture has only one value of; written all the same by some tools.
void refuse_other_arithmetic(const GgufMetadata& metadata, Fields& config) {
  constexpr std::string_view kNorm = "qwen3next.expert_weights_norm", kScale = "qwen3next.expert_weights_scale",
                             kGating = "qwen3next.expert_gating_func", kReordered = "qwen3next.ssm.v_head_reordered";
  if (!config.boolean(kNorm, true)) config.set(metadata.bad(Errc::unsupported, kNorm, "false"));
  if (const double scale = config.real(kScale, -1e9, 1e9, 1); scale != 1 && scale != 0)
    config.set(metadata.bad(Errc::unsupported, kScale, "{}, expected 1", scale));
  if (const int64_t gating = config.integer(kGating, 0, 1000, 1); gating > 1)
    config.set(metadata.bad(Errc::unsupported, kGating, "{}, expected 1, softmax", gating));
  if (config.boolean(kReordered, false)) config.set(metadata.bad(Errc::unsupported, kReordered, "true: value heads are tiled"));
}

}  // namespace

Result<ModelConfig> gguf_model_config(const GgufMetadata& metadata, std::span<const StoredTensor> tensors) {
  QUERN_ASSIGN(const std::string_view architecture, metadata.string("general.architecture"));
  if (architecture != kArchitecture)
    return metadata.bad(Errc::unsupported, "general.architecture", "{}; {} is read", gguf_name_text(architecture.substr(0, 80)),
                        kArchitecture);
  QUERN_ASSIGN(Json object, scalars(metadata, kPrefix));
  Fields config(object, metadata.where());
  place_vocabulary(metadata, tensors, object, config);
  const TensorNames names(tensors);
  ModelConfig m;
  m.model_type = "qwen3_next";
  m.tensor_prefix = "model.";
  for (const ConfigSize& size : model_sizes()) read_size(config, size, ConfigSource::gguf, m);
  read_value_heads(config, m);
  if (const int64_t width = config.integer("qwen3next.attention.value_length", 1, 65536, m.head_dim); width != m.head_dim)
    config.set(
        metadata.bad(Errc::unsupported, "qwen3next.attention.value_length", "{}, expected the key_length {}", width, m.head_dim));
  m.rms_norm_eps = config.real("qwen3next.attention.layer_norm_rms_epsilon", 0, 1);
  m.tie_word_embeddings = !names.empty() && !names.has("output.weight");
  read_layers(metadata, names, config, m);
  m.rope_theta = config.real("qwen3next.rope.freq_base", 1, 1e15);
  m.rotary_dim = config.integer("qwen3next.rope.dimension_count", 2, 65536);
  m.yarn = read_yarn(config, m.max_position_embeddings);
  read_mlp_sizes(config, ConfigSource::gguf, m);
  refuse_other_arithmetic(metadata, config);
  check_sizes(config, m);
  if (config.error()) return tl::unexpected(*config.error());
  QUERN_ASSIGN(const Json ids, scalars(metadata, "tokenizer.ggml."));
  Fields tokenizer(ids, metadata.where());
  read_eos(metadata, tokenizer, m.eos_token_ids);
  if (tokenizer.error()) return tl::unexpected(*tokenizer.error());
  return m;
}

Result<GenerationConfig> gguf_generation_config(const GgufMetadata& metadata) {
  QUERN_ASSIGN(const Json sampling, scalars(metadata, "general.sampling."));
  QUERN_ASSIGN(const Json ids, scalars(metadata, "tokenizer.ggml."));
  Fields fields(sampling, metadata.where()), tokenizer(ids, metadata.where());
  GenerationConfig g;
  g.temperature = fields.optional_real("general.sampling.temp", 0, 100);
  g.top_p = fields.optional_real("general.sampling.top_p", 0, 1);
  g.min_p = fields.optional_real("general.sampling.min_p", 0, 1);
  if (fields.present("general.sampling.top_k")) g.top_k = fields.integer("general.sampling.top_k", 0, kMaxDimension);
  read_eos(metadata, tokenizer, g.eos_token_ids);
  for (const Fields* read : {&fields, &tokenizer})
    if (read->error()) return tl::unexpected(*read->error());
  return g;
}

Result<void> add_gguf_config(const ModelConfig& config, GgufKeyValues& out) {
  if (config.model_type != "qwen3_next")
    return fail(Errc::unsupported, "a GGUF of architecture {} cannot hold a {} model", kArchitecture, config.model_type);
  if (!config.norm_topk_prob) return fail(Errc::unsupported, "GGUF's {} cannot say norm_topk_prob false", kArchitecture);
  out.string("general.architecture", kArchitecture);
  QUERN_TRY(add_layers(config, out));
  for (const ConfigSize& size : model_sizes())
    if (!size.gguf.empty()) QUERN_TRY(add_u32(out, size.gguf, config.*size.member));
  QUERN_TRY(add_u32(out, "qwen3next.ssm.inner_size", config.linear_value_dim()));
  QUERN_TRY(add_u32(out, "qwen3next.attention.value_length", config.head_dim));
  out.f32("qwen3next.attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps));
  QUERN_TRY(add_rope(config, out));
  QUERN_TRY(add_u32(out, dense_size().gguf, config.intermediate_size));
  for (const ConfigSize& size : expert_sizes()) QUERN_TRY(add_u32(out, size.gguf, config.*size.member));
  return {};
}

}  // namespace quern
