#include "formats/tensor_names.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace quern {
namespace {

// "12.rest" -> 12 and "rest".
std::optional<int64_t> take_number(std::string_view& text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data() + text.size() || *end != '.' || text.front() == '-') return {};
  text.remove_prefix(static_cast<size_t>(end - text.data()) + 1);
  return number;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

struct Pair {
  std::string_view published, gguf;
};

constexpr std::array<Pair, 3> kWhole = {{{"model.embed_tokens.weight", "token_embd.weight"},
                                         {"model.norm.weight", "output_norm.weight"},
                                         {"lm_head.weight", "output.weight"}}};

constexpr std::array<Pair, 27> kInLayer = {{
    {"input_layernorm.weight", "attn_norm.weight"},
    {"post_attention_layernorm.weight", "post_attention_norm.weight"},
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.k_proj.weight", "attn_k.weight"},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"self_attn.q_norm.weight", "attn_q_norm.weight"},
    {"self_attn.k_norm.weight", "attn_k_norm.weight"},
    {"linear_attn.in_proj_qkvz.weight", "ssm_in.weight"},
    {"linear_attn.in_proj_ba.weight", "ssm_ba.weight"},
    {"linear_attn.in_proj_qkv.weight", "attn_qkv.weight"},
    {"linear_attn.in_proj_z.weight", "attn_gate.weight"},
    {"linear_attn.conv1d.weight", "ssm_conv1d.weight"},
    {"linear_attn.A_log", "ssm_a"},
    {"linear_attn.dt_bias", "ssm_dt.bias"},
    {"linear_attn.norm.weight", "ssm_norm.weight"},
    {"linear_attn.out_proj.weight", "ssm_out.weight"},
    {"mlp.gate.weight", "ffn_gate_inp.weight"},
    {"mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight"},
    {"mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight"},
    {"mlp.shared_expert.up_proj.weight", "ffn_up_shexp.weight"},
    {"mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
    {"mlp.experts.gate_up_proj", "ffn_gate_up_exps.weight"},
    {"mlp.experts.down_proj", "ffn_down_exps.weight"},
}};

constexpr std::array<Pair, 4> kInMtp = {{{"fc.weight", "nextn.eh_proj.weight"},
                                         {"pre_fc_norm_embedding.weight", "nextn.enorm.weight"},
                                         {"pre_fc_norm_hidden.weight", "nextn.hnorm.weight"},
                                         {"norm.weight", "nextn.shared_head_norm.weight"}}};

template <size_t n>
std::optional<std::string_view> look_up(const std::array<Pair, n>& pairs, std::string_view published) {
  for (const Pair& pair : pairs)
    if (pair.published == published) return pair.gguf;
  return {};
}

std::optional<StoredName> gguf_layer_name(int64_t layer, std::string_view name) {
  if (const auto expert = parse_expert_name(name)) {
    const std::string_view kind = std::string_view(expert->projection).substr(0, expert->projection.size() - 5);  // without "_proj"
    return StoredName{fmt::format("blk.{}.ffn_{}_exps.weight", layer, kind), expert->index};
  }
  const auto found = look_up(kInLayer, name);
  if (!found) return {};
  return StoredName{fmt::format("blk.{}.{}", layer, *found), {}};
}

}  // namespace

std::optional<ExpertTensorName> parse_expert_name(std::string_view name) {
  constexpr std::string_view kExperts = "experts.";
  const size_t at = name.find(kExperts);
  if (at == std::string_view::npos) return {};
  std::string_view rest = name.substr(at + kExperts.size());
  const auto index = take_number(rest);
  if (!index) return {};
  for (const std::string_view projection : {"gate_proj", "up_proj", "down_proj"})
    if (rest.size() == projection.size() + 7 && rest.starts_with(projection) && rest.ends_with(".weight"))
      return ExpertTensorName{std::string(name.substr(0, at)), std::string(projection), *index};
  return {};
}

std::string any_expert_name(const std::string& name) {
  const auto expert = parse_expert_name(name);
  return expert ? fmt::format("{}experts.*.{}.weight", expert->prefix, expert->projection) : name;
}

StoredName mlx_name(std::string_view name) {
  if (const auto expert = parse_expert_name(name))
    return {fmt::format("{}switch_mlp.{}.weight", expert->prefix, expert->projection), expert->index};
  return {std::string(name), {}};
}

std::optional<StoredName> gguf_name(std::string_view name, int64_t layers) {
  if (const auto whole = look_up(kWhole, name)) return StoredName{std::string(*whole), {}};
  std::string_view rest = name;
  if (take_prefix(rest, "mtp.layers.0.")) return gguf_layer_name(layers, rest);
  if (take_prefix(rest, "mtp.")) {
    const auto found = look_up(kInMtp, rest);
    if (!found) return {};
    return StoredName{fmt::format("blk.{}.{}", layers, *found), {}};
  }
  if (!take_prefix(rest, "model.layers.")) return {};
  const auto layer = take_number(rest);
  if (!layer) return {};
  return gguf_layer_name(*layer, rest);
}

}  // namespace quern
