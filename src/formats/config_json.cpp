#include "formats/config_json.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/file.h"

namespace quern {
namespace {

constexpr int64_t kMaxDimension = int64_t{1} << 24;  // of any one size: products of three still fit in 64 bits with room
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxContext = int64_t{1} << 40;

// Reads fields of one object and remembers the first error, so that a list of fields reads as a list.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  int64_t integer(std::string_view key, int64_t low, int64_t high, std::optional<int64_t> absent = {}) {
    const Json* value = present(key);
    if (!value) return absent ? *absent : missing(key);
    const auto number = value->to_int64();
    if (!number) return set(fail(Errc::malformed, "{}: {}: {}", where_, key, number.error().message)), low;
    if (*number < low || *number > high)
      return set(fail(Errc::out_of_range, "{}: {}: {} is outside {} to {}", where_, key, *number, low, high)), low;
    return *number;
  }
  double real(std::string_view key, double low, double high, std::optional<double> absent = {}) {
    const Json* value = present(key);
    if (!value) return absent ? *absent : static_cast<double>(missing(key));
    if (!value->is_number())
      return set(fail(Errc::malformed, "{}: {}: expected a number, found {}", where_, key, value->kind_name())), low;
    const double number = value->as_double();
    if (!(number >= low && number <= high))
      return set(fail(Errc::out_of_range, "{}: {}: {} is outside {} to {}", where_, key, value->number_text().substr(0, 40), low,
                      high)),
             low;
    return number;
  }
  std::optional<double> optional_real(std::string_view key, double low, double high) {
    if (!present(key)) return {};
    return real(key, low, high);
  }
  bool boolean(std::string_view key, bool absent) {
    const Json* value = present(key);
    if (!value) return absent;
    if (!value->is_bool())
      return set(fail(Errc::malformed, "{}: {}: expected true or false, found {}", where_, key, value->kind_name())), absent;
    return value->as_bool();
  }
  std::string text(std::string_view key, std::string absent) {
    const Json* value = present(key);
    if (!value) return absent;
    if (!value->is_string())
      return set(fail(Errc::malformed, "{}: {}: expected a string, found {}", where_, key, value->kind_name())), absent;
    return value->as_string();
  }
  // A number, a list of numbers, or absent.
  std::vector<int64_t> integers(std::string_view key, int64_t low, int64_t high, size_t most) {
    const Json* value = present(key);
    std::vector<int64_t> list;
    if (!value) return list;
    const Json::Array single{*value};
    for (const Json& item : value->is_array() ? value->as_array() : single) {
      const auto number = item.to_int64();
      if (!number || *number < low || *number > high || list.size() == most)
        return set(fail(Errc::malformed, "{}: {}: expected at most {} integers from {} to {}", where_, key, most, low, high)), list;
      list.push_back(*number);
    }
    return list;
  }
  const Json* present(std::string_view key) const {
    const Json* value = object_.find(key);
    return value && !value->is_null() ? value : nullptr;
  }
  void set(tl::unexpected<Error> error) {
    if (!error_) error_ = std::move(error).value();
  }
  const std::optional<Error>& error() const { return error_; }
  const std::string& where() const { return where_; }

 private:
  int64_t missing(std::string_view key) { return set(fail(Errc::malformed, "{}: {} is missing", where_, key)), 1; }

  const Json& object_;
  std::string where_;
  std::optional<Error> error_;
};

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
  Yarn yarn;
  yarn.original_max_position = rope.real("original_max_position_embeddings", 1, 1e12, static_cast<double>(max_position));
  yarn.factor = rope.real("factor", 1, 1e6, std::max(1.0, static_cast<double>(max_position) / yarn.original_max_position));
  yarn.beta_fast = rope.real("beta_fast", 1e-3, 1e6, 32);
  yarn.beta_slow = rope.real("beta_slow", 1e-3, 1e6, 1);
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
  if (m.rotary_dim % 2 != 0 || m.rotary_dim < 2)
    config.set(fail(Errc::unsupported, "{}: {} rotary dimensions (head_dim {} times {}): an even number is expected",
                    config.where(), m.rotary_dim, m.head_dim, partial));
  m.yarn = read_yarn(rope, m.max_position_embeddings);
  if (rope.error()) config.set(tl::unexpected(*rope.error()));
}

void read_layers(Fields& config, ModelConfig& m, const Family& family) {
  const int64_t count = config.integer("num_hidden_layers", 1, kMaxLayers);
  const int64_t interval = config.integer("full_attention_interval", 1, kMaxLayers, 4);
  m.layers.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    m.layers[static_cast<size_t>(i)] = (i + 1) % interval == 0 ? LayerKind::full_attention : LayerKind::linear_attention;
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

void read_attention(Fields& config, ModelConfig& m) {
  m.num_attention_heads = config.integer("num_attention_heads", 1, 65536);
  m.num_key_value_heads = config.integer("num_key_value_heads", 1, 65536, m.num_attention_heads);
  m.head_dim = config.integer("head_dim", 1, 65536, 256);
  if (m.num_attention_heads % m.num_key_value_heads != 0)
    config.set(fail(Errc::mismatch, "{}: {} attention heads do not divide among {} key-value heads", config.where(),
                    m.num_attention_heads, m.num_key_value_heads));
  if (config.boolean("attention_bias", false)) config.set(fail(Errc::unsupported, "{}: attention_bias true", config.where()));
  if (!config.boolean("attn_output_gate", true)) config.set(fail(Errc::unsupported, "{}: attn_output_gate false", config.where()));
  m.linear_num_key_heads = config.integer("linear_num_key_heads", 1, 65536, 16);
  m.linear_num_value_heads = config.integer("linear_num_value_heads", 1, 65536, 32);
  m.linear_key_head_dim = config.integer("linear_key_head_dim", 1, 65536, 128);
  m.linear_value_head_dim = config.integer("linear_value_head_dim", 1, 65536, 128);
  m.linear_conv_kernel_dim = config.integer("linear_conv_kernel_dim", 2, 16, 4);
  if (m.linear_num_value_heads % m.linear_num_key_heads != 0)
    config.set(fail(Errc::mismatch, "{}: {} linear value heads do not divide among {} key heads", config.where(),
                    m.linear_num_value_heads, m.linear_num_key_heads));
}

void read_mlp(Fields& config, ModelConfig& m) {
  const bool any_sparse = std::find(m.mlps.begin(), m.mlps.end(), MlpKind::sparse) != m.mlps.end();
  const bool any_dense = std::find(m.mlps.begin(), m.mlps.end(), MlpKind::dense) != m.mlps.end();
  if (any_dense) m.intermediate_size = config.integer("intermediate_size", 1, kMaxDimension);
  if (!any_sparse) return;
  m.num_experts = config.integer("num_experts", 1, 65536);
  m.num_experts_per_tok = config.integer("num_experts_per_tok", 1, m.num_experts);
  m.moe_intermediate_size = config.integer("moe_intermediate_size", 1, kMaxDimension);
  m.shared_expert_intermediate_size = config.integer("shared_expert_intermediate_size", 1, kMaxDimension);
  m.norm_topk_prob = config.boolean("norm_topk_prob", true);
}

}  // namespace

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

  m.vocab_size = config.integer("vocab_size", 1, kMaxDimension);
  m.hidden_size = config.integer("hidden_size", 1, kMaxDimension);
  m.rms_norm_eps = config.real("rms_norm_eps", 0, 1, 1e-6);
  m.tie_word_embeddings = config.boolean("tie_word_embeddings", false);
  m.max_position_embeddings = config.integer("max_position_embeddings", 1, kMaxContext, 32768);
  if (const std::string act = config.text("hidden_act", "silu"); act != "silu")
    config.set(fail(Errc::unsupported, "{}: hidden_act {}", where, act.substr(0, 40)));
  read_layers(config, m, *family);
  read_attention(config, m);
  read_rope(config, m);
  read_mlp(config, m);
  m.num_mtp_layers = config.integer("num_nextn_predict_layers", 0, 64, config.integer("mtp_num_hidden_layers", 0, 64, 0));
  m.eos_token_ids = config.integers("eos_token_id", 0, kMaxDimension, 64);
  if (config.error()) return tl::unexpected(*config.error());
  return m;
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
