#include "formats/config_json.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/file.h"
#include "formats/config_fields.h"

namespace quern {
namespace {

struct Family {
  std::string_view model_type;
  std::string_view tensor_prefix;
  DeltaProjections delta_projections;
  bool dense;  // every layer's MLP
};
constexpr std::array kFamilies = {
    Family{"qwen3_next", "model.", DeltaProjections::interleaved, false},
    Family{"qwen3_5_text", "model.language_model.", DeltaProjections::split, true},
    Family{"qwen3_5_moe_text", "model.language_model.", DeltaProjections::split, false},
};

Result<const Family*> find_family(const Fields& config, const std::string& model_type) {
  for (const Family& family : kFamilies)
    if (family.model_type == model_type) return &family;
  std::string architecture;
  if (const Json* names = config.present("architectures");
      names && names->is_array() && names->size() > 0 && names->as_array()[0].is_string())
    architecture = fmt::format(" ({})", names->as_array()[0].as_string().substr(0, 80));
  return fail(Errc::unsupported, "{}: model_type {}{} is not of the Qwen3-Next family", config.where(), model_type.substr(0, 80),
              architecture);
}

std::optional<Yarn> read_yarn(Fields& rope, int64_t max_position) {
  const std::string type = rope.text("rope_type", rope.text("type", "default"));
  if (type == "default") return {};
  if (type != "yarn") {
    rope.set(fail(Errc::unsupported, "{}: rope_type {} (default and yarn are known)", rope.where(), type.substr(0, 40)));
    return {};
  }
  Yarn yarn = read_yarn_numbers(rope,
                                {.original_max_position = "original_max_position_embeddings",
                                 .factor = "factor",
                                 .beta_fast = "beta_fast",
                                 .beta_slow = "beta_slow"},
                                max_position);
  yarn.truncate = rope.boolean("truncate", true);
  yarn.attention_factor = rope.optional_real("attention_factor", 1e-3, 1e3);
  yarn.mscale = rope.optional_real("mscale", 0, 1e3);
  yarn.mscale_all_dim = rope.optional_real("mscale_all_dim", 0, 1e3);
  return yarn;
}

// rope_theta and the scaling stand at the top with rope_scaling, or together in rope_parameters.
void read_rope(Fields& config, ModelConfig& m) {
  const Json empty = Json::object();
  const Json* parameters = config.present("rope_parameters");
  const Json* scaling = config.present("rope_scaling");
  const Json* object = parameters ? parameters : scaling;
  if (object && !object->is_object())
    return config.set(fail(Errc::malformed, "{}: rope settings are {}, expected an object", config.where(), object->kind_name()));
  Fields rope(object ? *object : empty, config.where() + ": rope");
  const double partial = rope.present("partial_rotary_factor") ? rope.real("partial_rotary_factor", 1e-3, 1)
                                                               : config.real("partial_rotary_factor", 1e-3, 1, 0.25);
  m.rope_theta = rope.present("rope_theta") ? rope.real("rope_theta", 1, 1e15) : config.real("rope_theta", 1, 1e15, 1e4);
  m.rotary_dim = static_cast<int64_t>(static_cast<double>(m.head_dim) * partial);
  m.yarn = read_yarn(rope, m.max_position_embeddings);
  if (rope.error()) config.set(tl::unexpected(*rope.error()));
}

void read_layers(Fields& config, ModelConfig& m, const Family& family) {
  const int64_t count = config.integer("num_hidden_layers", 1, kMaxLayers);
  const int64_t interval = config.integer("full_attention_interval", 1, kMaxLayers, 4);
  m.layers = layers_by_interval(count, interval);
  if (const Json* types = config.present("layer_types")) {
    if (!types->is_array() || types->size() != m.layers.size())
      return config.set(fail(Errc::malformed, "{}: layer_types: expected {} names", config.where(), count));
    for (size_t i = 0; i < m.layers.size(); ++i) {
      const Json& type = types->as_array()[i];
      if (type == Json("full_attention"))
        m.layers[i] = LayerKind::full_attention;
      else if (type == Json("linear_attention"))
        m.layers[i] = LayerKind::linear_attention;
      else
        return config.set(fail(Errc::unsupported, "{}: layer_types[{}]: {}", config.where(), i, type.dump().substr(0, 60)));
    }
  }
  const int64_t step = config.integer("decoder_sparse_step", 0, kMaxLayers, 1);
  const std::vector<int64_t> dense = config.integers("mlp_only_layers", 0, kMaxLayers, kMaxLayers);
  m.mlps.resize(m.layers.size());
  for (int64_t i = 0; i < count; ++i) {
    const bool sparse = !family.dense && step > 0 && (i + 1) % step == 0 && std::find(dense.begin(), dense.end(), i) == dense.end();
    m.mlps[static_cast<size_t>(i)] = sparse ? MlpKind::sparse : MlpKind::dense;
  }
}

// What from_json multiplies by the size of a head and rounds down.
double partial_rotary_factor(const ModelConfig& m) {
  const auto size = static_cast<double>(m.head_dim), rotary = static_cast<double>(m.rotary_dim);
  const double factor = rotary / size;
  return size * factor < rotary ? std::nextafter(factor, 1.0) : factor;
}

Json yarn_json(const Yarn& yarn) {
  Json json = Json::object();
  json["rope_type"] = "yarn";
  json["factor"] = yarn.factor;
  json["original_max_position_embeddings"] = static_cast<int64_t>(yarn.original_max_position);
  json["beta_fast"] = yarn.beta_fast;
  json["beta_slow"] = yarn.beta_slow;
  if (!yarn.truncate) json["truncate"] = false;
  if (yarn.attention_factor) json["attention_factor"] = *yarn.attention_factor;
  if (yarn.mscale) json["mscale"] = *yarn.mscale;
  if (yarn.mscale_all_dim) json["mscale_all_dim"] = *yarn.mscale_all_dim;
  return json;
}

// The interval where the layers follow one, their names where they do not.
void add_layers(const ModelConfig& m, Json& json) {
  const auto count = static_cast<int64_t>(m.layers.size());
  json["num_hidden_layers"] = count;
  const int64_t interval = std::find(m.layers.begin(), m.layers.end(), LayerKind::full_attention) - m.layers.begin() + 1;
  if (m.layers == layers_by_interval(count, interval)) {
    json["full_attention_interval"] = interval;
  } else {
    Json types = Json::array();
    for (const LayerKind kind : m.layers)
      types.push_back(kind == LayerKind::full_attention ? "full_attention" : "linear_attention");
    json["layer_types"] = std::move(types);
  }
  Json dense = Json::array();
  for (int64_t i = 0; i < count; ++i)
    if (m.mlps[static_cast<size_t>(i)] == MlpKind::dense) dense.push_back(i);
  json["decoder_sparse_step"] = 1;
  json["mlp_only_layers"] = std::move(dense);
}

}  // namespace

double Yarn::attention_scale() const {
  const auto scaled = [&](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1.0; };
  if (attention_factor) return *attention_factor;
  if (mscale && mscale_all_dim && *mscale != 0 && *mscale_all_dim != 0) return scaled(*mscale) / scaled(*mscale_all_dim);
  return scaled(1.0);
}

Result<ModelConfig> ModelConfig::from_json(const Json& root, std::string_view where) {
  if (!root.is_object()) return fail(Errc::malformed, "{}: expected an object, found {}", where, root.kind_name());
  const Json* text = root.find("text_config");  // a wrapper with a vision part: only the text model is run
  const bool wrapped = text && text->is_object();
  Fields config(wrapped ? *text : root, std::string(where));
  ModelConfig m;
  m.model_type = config.text("model_type", "(none)");
  if (config.error()) return tl::unexpected(*config.error());
  QUERN_ASSIGN(const Family* family, find_family(config, m.model_type));
  m.tensor_prefix = family->model_type != "qwen3_next" && !wrapped ? "model." : std::string(family->tensor_prefix);
  m.delta_projections = family->delta_projections;

  for (const ConfigSize& size : model_sizes()) read_size(config, size, ConfigSource::json, m);
  m.rms_norm_eps = config.real("rms_norm_eps", 0, 1, 1e-6);
  m.tie_word_embeddings = config.boolean("tie_word_embeddings", false);
  if (const std::string act = config.text("hidden_act", "silu"); act != "silu")
    config.set(fail(Errc::unsupported, "{}: hidden_act {}", where, act.substr(0, 40)));
  read_layers(config, m, *family);
  if (config.boolean("attention_bias", false)) config.set(fail(Errc::unsupported, "{}: attention_bias true", where));
  if (!config.boolean("attn_output_gate", true)) config.set(fail(Errc::unsupported, "{}: attn_output_gate false", where));
  read_rope(config, m);
  read_mlp_sizes(config, ConfigSource::json, m);
  m.norm_topk_prob = config.boolean("norm_topk_prob", true);
  check_sizes(config, m);
  m.num_mtp_layers = config.integer("num_nextn_predict_layers", 0, 64, config.integer("mtp_num_hidden_layers", 0, 64, 0));
  m.eos_token_ids = config.integers("eos_token_id", 0, kMaxDimension, 64);
  if (config.error()) return tl::unexpected(*config.error());
  return m;
}

Json ModelConfig::to_json() const {
  QUERN_CHECK(model_type == "qwen3_next", model_type);
  Json json = Json::object();
  json["architectures"] = Json::Array{Json("Qwen3NextForCausalLM")};
  json["model_type"] = model_type;
  for (const auto sizes : {model_sizes(), expert_sizes(), std::span(&dense_size(), 1)})
    for (const ConfigSize& size : sizes) json[size.json] = this->*size.member;
  add_layers(*this, json);
  json["attention_bias"] = false;
  json["hidden_act"] = "silu";
  json["norm_topk_prob"] = norm_topk_prob;
  json["partial_rotary_factor"] = partial_rotary_factor(*this);
  json["rms_norm_eps"] = rms_norm_eps;
  json["rope_scaling"] = yarn ? yarn_json(*yarn) : Json();
  json["rope_theta"] = rope_theta;
  json["tie_word_embeddings"] = tie_word_embeddings;
  json["torch_dtype"] = "bfloat16";
  if (!eos_token_ids.empty()) json["eos_token_id"] = eos_token_ids.front();
  return json;
}

Result<ModelConfig> ModelConfig::load(const std::filesystem::path& path) {
  QUERN_ASSIGN(const std::string text, read_file(path, size_t{16} << 20));
  QUERN_ASSIGN(const Json json, Json::parse(text, path.string()));
  return from_json(json, path.string());
}

Result<GenerationConfig> GenerationConfig::load(const std::filesystem::path& path) {
  GenerationConfig g;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return g;
  QUERN_ASSIGN(const std::string text, read_file(path, size_t{16} << 20));
  QUERN_ASSIGN(const Json json, Json::parse(text, path.string()));
  if (!json.is_object()) return fail(Errc::malformed, "{}: expected an object, found {}", path.string(), json.kind_name());
  Fields fields(json, path.string());
  g.eos_token_ids = fields.integers("eos_token_id", 0, kMaxDimension, 64);
  g.temperature = fields.optional_real("temperature", 0, 100);
  g.top_p = fields.optional_real("top_p", 0, 1);
  g.min_p = fields.optional_real("min_p", 0, 1);
  if (fields.present("top_k")) g.top_k = fields.integer("top_k", 0, kMaxDimension);
  if (fields.present("do_sample")) g.do_sample = fields.boolean("do_sample", true);
  if (fields.error()) return tl::unexpected(*fields.error());
  return g;
}

}  // namespace quern
