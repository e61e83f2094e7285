// quern inspect: what a checkpoint holds, and what running it will take.
#include <algorithm>
#include <map>

#include "base/json.h"
#include "command.h"
#include "model/model.h"
#include "model/sequence_state.h"
#include "text/chat_template.h"

namespace quern {
namespace {

struct Options {
  std::string model;
  bool json = false;
};

struct Tally {
  int64_t tensors = 0, parameters = 0;
  size_t bytes = 0;
};

// The part of the model a tensor belongs to, for people: "experts", "attention", …
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

struct Report {
  std::map<std::string, Tally, std::less<>> parts, dtypes;
  Tally total;
  int64_t active = 0;          // parameters that one token reads
  size_t bytes_per_token = 0;  // of weights, one decoded token
  size_t kv_bytes = 0;         // per token, bf16
  size_t state_bytes = 0;      // of a sequence, whatever its length
};

Report examine(const Model& model) {
  const ModelConfig& c = model.config;
  Report r;
  const double routed = c.num_experts > 0 ? static_cast<double>(c.num_experts_per_tok) / static_cast<double>(c.num_experts) : 0;
  double active = 0, read = 0;
  for (const StoredTensor* t : model.checkpoint.tensors()) {
    int64_t count = 1;
    for (const int64_t extent : t->shape) count *= extent;
    const std::string_view part = part_of(t->name);
    for (Tally* tally : {&r.parts[std::string(part)], &r.dtypes[t->dtype], &r.total})
      ++tally->tensors, tally->parameters += count, tally->bytes += t->bytes.size();
    const double share = part == "experts" ? routed : part == "mtp" || (part == "embeddings" && !c.tie_word_embeddings) ? 0 : 1;
    active += share * static_cast<double>(count);
    read += share * static_cast<double>(t->bytes.size());
  }
  r.active = static_cast<int64_t>(active);
  r.bytes_per_token = static_cast<size_t>(read);
  const auto linear = static_cast<size_t>(std::count(c.layers.begin(), c.layers.end(), LayerKind::linear_attention));
  r.kv_bytes = (c.layers.size() - linear) * 2 * static_cast<size_t>(c.num_key_value_heads * c.head_dim) * 2;
  DeltaState state(c);
  for (const DeltaState::Part& part : state.parts()) r.state_bytes += linear * part.values->size() * sizeof(float);
  return r;
}

std::string size_text(size_t bytes) {
  constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) value /= 1024, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

Json as_json(const Model& m, const Report& r) {
  const ModelConfig& c = m.config;
  const auto tallies = [](const auto& map) {
    Json out = Json::object();
    for (const auto& [name, tally] : map) {
      Json one = Json::object();
      one["tensors"] = tally.tensors;
      one["parameters"] = tally.parameters;
      one["bytes"] = static_cast<uint64_t>(tally.bytes);
      out[name] = std::move(one);
    }
    return out;
  };
  Json kinds = Json::array();
  for (const LayerKind kind : c.layers) kinds.push_back(kind == LayerKind::full_attention ? "full_attention" : "linear_attention");
  Json out = Json::object();
  out["model_type"] = c.model_type;
  out["layers"] = std::move(kinds);
  out["hidden_size"] = c.hidden_size;
  out["vocab_size"] = c.vocab_size;
  out["num_experts"] = c.num_experts;
  out["num_experts_per_tok"] = c.num_experts_per_tok;
  out["context"] = c.max_position_embeddings;
  out["rope_theta"] = c.rope_theta;
  out["yarn_factor"] = c.yarn ? Json(c.yarn->factor) : Json();
  out["mtp"] = m.mtp != nullptr;
  out["parameters"] = r.total.parameters;
  out["active_parameters"] = r.active;
  out["bytes"] = static_cast<uint64_t>(r.total.bytes);
  out["bytes_per_token"] = static_cast<uint64_t>(r.bytes_per_token);
  out["kv_bytes_per_position"] = static_cast<uint64_t>(r.kv_bytes);
  out["state_bytes"] = static_cast<uint64_t>(r.state_bytes);
  out["parts"] = tallies(r.parts);
  out["dtypes"] = tallies(r.dtypes);
  return out;
}

std::string as_text(const Model& m, const Report& r, const std::filesystem::path& folder) {
  const ModelConfig& c = m.config;
  const auto full = std::count(c.layers.begin(), c.layers.end(), LayerKind::full_attention);
  std::string out =
      fmt::format("{}\n{}, {} layers ({} DeltaNet, {} attention), hidden {}, vocabulary {}\n", folder.string(), c.model_type,
                  c.layers.size(), static_cast<std::ptrdiff_t>(c.layers.size()) - full, full, c.hidden_size, c.vocab_size);
  if (c.num_experts > 0)
    out += fmt::format("{} experts, {} routed + 1 shared per token; MTP block: {}\n", c.num_experts, c.num_experts_per_tok,
                       m.mtp ? "yes" : "no");
  out += fmt::format("context {} tokens{}\n\n", c.max_position_embeddings,
                     c.yarn ? fmt::format(" (YaRN, factor {})", c.yarn->factor) : "");
  out += fmt::format("{:<16}{:>10}{:>16}{:>12}\n", "part", "tensors", "parameters", "size");
  for (const auto& [name, t] : r.parts)
    out += fmt::format("{:<16}{:>10}{:>16}{:>12}\n", name, t.tensors, t.parameters, size_text(t.bytes));
  out +=
      fmt::format("{:<16}{:>10}{:>16}{:>12}\n\nformats:", "total", r.total.tensors, r.total.parameters, size_text(r.total.bytes));
  for (const auto& [name, t] : r.dtypes) out += fmt::format(" {} ({} tensors)", name, t.tensors);
  out += fmt::format("\n\nmemory plan\n  weights, mapped              {}\n  read per decoded token       {} ({} parameters)\n",
                     size_text(r.total.bytes), size_text(r.bytes_per_token), r.active);
  out += fmt::format("  a sequence, whatever length  {}\n  kv cache, bf16, per token    {}; at the full context {}\n",
                     size_text(r.state_bytes), size_text(r.kv_bytes),
                     size_text(r.kv_bytes * static_cast<size_t>(c.max_position_embeddings)));
  return out;
}

Result<int> inspect(const Options& o) {
  QUERN_ASSIGN(const std::filesystem::path folder, find_model(o.model));
  QUERN_ASSIGN(const auto model, Model::load(folder));
  const Report report = examine(*model);
  QUERN_TRY(print_out(o.json ? as_json(*model, report).dump() + "\n" : as_text(*model, report, folder)));
  return kSuccess;
}

}  // namespace

void add_inspect_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "inspect", "Show what a checkpoint holds and what running it takes");
  command->footer("Example:\n  quern inspect DIR --json");
  command->add_option("M,--model,-m", o->model, "Model folder; absent: the embedded model");
  command->add_flag("--json", o->json, "One JSON document");
  command->callback([o, &body] { body = [o] { return inspect(*o); }; });
}

}  // namespace quern
