#include "formats/config_fields.h"

#include <algorithm>
#include <array>

namespace quern {
namespace {

constexpr std::array kModelSizes = {
    ConfigSize{"vocab_size", "qwen3next.vocab_size", &ModelConfig::vocab_size, 1, kMaxDimension},
    ConfigSize{"hidden_size", "qwen3next.embedding_length", &ModelConfig::hidden_size, 1, kMaxDimension},
    ConfigSize{"max_position_embeddings", "qwen3next.context_length", &ModelConfig::max_position_embeddings, 1, kMaxContext, 32768},
    ConfigSize{"num_attention_heads", "qwen3next.attention.head_count", &ModelConfig::num_attention_heads, 1, 65536},
    ConfigSize{"num_key_value_heads",
               "qwen3next.attention.head_count_kv",
               &ModelConfig::num_key_value_heads,
               1,
               65536,
               {},
               &ModelConfig::num_attention_heads},
    ConfigSize{"head_dim", "qwen3next.attention.key_length", &ModelConfig::head_dim, 1, 65536, 256},
    ConfigSize{"linear_num_key_heads", "qwen3next.ssm.group_count", &ModelConfig::linear_num_key_heads, 1, 65536, 16},
    ConfigSize{"linear_num_value_heads", "qwen3next.ssm.time_step_rank", &ModelConfig::linear_num_value_heads, 1, 65536, 32},
    ConfigSize{"linear_key_head_dim", "qwen3next.ssm.state_size", &ModelConfig::linear_key_head_dim, 1, 65536, 128},
    ConfigSize{"linear_value_head_dim", "", &ModelConfig::linear_value_head_dim, 1, 65536, 128},
    ConfigSize{"linear_conv_kernel_dim", "qwen3next.ssm.conv_kernel", &ModelConfig::linear_conv_kernel_dim, 2, 16, 4},
};
constexpr std::array kExpertSizes = {
    ConfigSize{"num_experts", "qwen3next.expert_count", &ModelConfig::num_experts, 1, 65536},
    ConfigSize{"num_experts_per_tok", "qwen3next.expert_used_count", &ModelConfig::num_experts_per_tok, 1, 65536},
    ConfigSize{"moe_intermediate_size", "qwen3next.expert_feed_forward_length", &ModelConfig::moe_intermediate_size, 1,
               kMaxDimension},
    ConfigSize{"shared_expert_intermediate_size", "qwen3next.expert_shared_feed_forward_length",
               &ModelConfig::shared_expert_intermediate_size, 1, kMaxDimension},
};
constexpr ConfigSize kDenseSize{"intermediate_size", "qwen3next.feed_forward_length", &ModelConfig::intermediate_size, 1,
                                kMaxDimension};

}  // namespace

int64_t Fields::integer(std::string_view key, int64_t low, int64_t high, std::optional<int64_t> absent) {
  const Json* value = present(key);
  if (!value) return absent ? *absent : missing(key);
  const auto number = value->to_int64();
  if (!number) return set(fail(Errc::malformed, "{}: {}: {}", where_, key, number.error().message)), low;
  if (*number < low || *number > high)
    return set(fail(Errc::out_of_range, "{}: {}: {} is outside {} to {}", where_, key, *number, low, high)), low;
  return *number;
}

double Fields::real(std::string_view key, double low, double high, std::optional<double> absent) {
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

std::optional<double> Fields::optional_real(std::string_view key, double low, double high) {
  if (!present(key)) return {};
  return real(key, low, high);
}

bool Fields::boolean(std::string_view key, bool absent) {
  const Json* value = present(key);
  if (!value) return absent;
  if (!value->is_bool())
    return set(fail(Errc::malformed, "{}: {}: expected true or false, found {}", where_, key, value->kind_name())), absent;
  return value->as_bool();
}

std::string Fields::text(std::string_view key, std::string absent) {
  const Json* value = present(key);
  if (!value) return absent;
  if (!value->is_string())
    return set(fail(Errc::malformed, "{}: {}: expected a string, found {}", where_, key, value->kind_name())), absent;
  return value->as_string();
}

std::vector<int64_t> Fields::integers(std::string_view key, int64_t low, int64_t high, size_t most) {
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

const Json* Fields::present(std::string_view key) const {
  const Json* value = object_.find(key);
  return value && !value->is_null() ? value : nullptr;
}

void Fields::set(tl::unexpected<Error> error) {
  if (!error_) error_ = std::move(error).value();
}

int64_t Fields::missing(std::string_view key) { return set(fail(Errc::malformed, "{}: {} is missing", where_, key)), 1; }

std::span<const ConfigSize> model_sizes() { return kModelSizes; }
std::span<const ConfigSize> expert_sizes() { return kExpertSizes; }
const ConfigSize& dense_size() { return kDenseSize; }

void read_size(Fields& config, const ConfigSize& size, ConfigSource source, ModelConfig& m) {
  const std::string_view key = source == ConfigSource::json ? size.json : size.gguf;
  if (key.empty()) return;
  std::optional<int64_t> absent;
  if (size.absent_as)
    absent = m.*size.absent_as;
  else if (source == ConfigSource::json)
    absent = size.absent;
  m.*size.member = config.integer(key, size.low, size.high, absent);
}

void read_mlp_sizes(Fields& config, ConfigSource source, ModelConfig& m) {
  const auto any = [&](MlpKind kind) { return std::find(m.mlps.begin(), m.mlps.end(), kind) != m.mlps.end(); };
  const std::string_view dense = source == ConfigSource::json ? kDenseSize.json : kDenseSize.gguf;
  m.intermediate_size = config.integer(dense, any(MlpKind::dense) ? kDenseSize.low : 0, kDenseSize.high,
                                       any(MlpKind::dense) ? std::nullopt : std::optional<int64_t>(0));  // else said, not used
  if (!any(MlpKind::sparse)) return;
  for (const ConfigSize& size : kExpertSizes) read_size(config, size, source, m);
}

std::vector<LayerKind> layers_by_interval(int64_t count, int64_t interval) {
  std::vector<LayerKind> layers(static_cast<size_t>(count), LayerKind::linear_attention);
  for (int64_t i = interval - 1; i < count; i += interval) layers[static_cast<size_t>(i)] = LayerKind::full_attention;
  return layers;
}

Yarn read_yarn_numbers(Fields& rope, const YarnNames& names, int64_t max_position) {
  Yarn yarn;
  yarn.original_max_position = rope.real(names.original_max_position, 1, 1e12, static_cast<double>(max_position));
  yarn.factor = rope.real(names.factor, 1, 1e6, std::max(1.0, static_cast<double>(max_position) / yarn.original_max_position));
  yarn.beta_fast = rope.real(names.beta_fast, 1e-3, 1e6, 32);
  yarn.beta_slow = rope.real(names.beta_slow, 1e-3, 1e6, 1);
  return yarn;
}

void check_sizes(Fields& config, const ModelConfig& m) {
  if (m.num_attention_heads % m.num_key_value_heads != 0)
    config.set(fail(Errc::mismatch, "{}: {} attention heads do not divide among {} key-value heads", config.where(),
                    m.num_attention_heads, m.num_key_value_heads));
  if (m.linear_num_value_heads % m.linear_num_key_heads != 0)
    config.set(fail(Errc::mismatch, "{}: {} linear value heads do not divide among {} key heads", config.where(),
                    m.linear_num_value_heads, m.linear_num_key_heads));
  if (m.rotary_dim % 2 != 0 || m.rotary_dim < 2 || m.rotary_dim > m.head_dim)
    config.set(fail(Errc::unsupported, "{}: {} rotary dimensions in heads of {}: an even number up to that is expected",
                    config.where(), m.rotary_dim, m.head_dim));
  if (m.num_experts_per_tok > m.num_experts)
    config.set(fail(Errc::out_of_range, "{}: num_experts_per_tok: {} is outside 1 to the {} experts", config.where(),
                    m.num_experts_per_tok, m.num_experts));
}

}  // namespace quern
