// quern inspect: what a checkpoint holds, and what running it will take.
#include <algorithm>
#include <map>
#include <optional>

#include "base/json.h"
#include "command.h"
#include "model/model_facts.h"
#include "models.h"
#include "text/chat_template.h"

namespace quern {
namespace {

struct Options {
  std::string model;
  std::optional<int64_t> context;
  bool json = false;
};

Json as_json(const TensorTally& tally) {
  Json one = Json::object();
  one["tensors"] = tally.tensors;
  one["parameters"] = tally.parameters;
  one["bytes"] = static_cast<uint64_t>(tally.bytes);
  return one;
}

Json as_json(const Model& m, const ModelFacts& r, int64_t context) {
  const ModelConfig& c = m.config;
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
  out["packed"] = r.packed.tensors > 0;
  out["parameters"] = r.total.parameters;
  out["active_parameters"] = r.active_parameters;
  out["bytes"] = static_cast<uint64_t>(r.total.bytes);
  out["bytes_per_token"] = static_cast<uint64_t>(r.bytes_per_token);
  out["kv_bytes_per_position"] = static_cast<uint64_t>(r.kv_bytes_per_position);
  out["state_bytes"] = static_cast<uint64_t>(r.state_bytes);
  Json plan = Json::object();
  plan["context"] = context;
  plan["weights_bytes"] = static_cast<uint64_t>(r.total.bytes);
  plan["kv_bytes"] = static_cast<uint64_t>(r.kv_bytes_per_position * static_cast<size_t>(context));
  plan["state_bytes"] = static_cast<uint64_t>(r.state_bytes);
  out["memory_plan"] = std::move(plan);
  Json parts = Json::object(), formats = Json::object();
  for (const auto& [name, tally] : r.parts) {
    Json part = as_json(tally), own = Json::object();
    for (const auto& [format, of_part] : r.part_formats.at(name)) own[format] = as_json(of_part);
    part["formats"] = std::move(own);
    parts[name] = std::move(part);
  }
  for (const auto& [name, tally] : r.formats) formats[name] = as_json(tally);
  out["parts"] = std::move(parts);
  out["formats"] = std::move(formats);
  return out;
}

// "q4_k, q6_k (12 of 36)": the most frequent first, with counts where there are several.
std::string formats_text(const std::map<std::string, TensorTally>& formats, int64_t tensors) {
  std::vector<std::pair<std::string, int64_t>> sorted;
  for (const auto& [name, tally] : formats) sorted.emplace_back(name, tally.tensors);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [name, count] : sorted)
    text += (text.empty() ? "" : ", ") + name + (count < tensors ? fmt::format(" ({} of {})", count, tensors) : "");
  return text;
}

std::string as_text(const Model& m, const ModelFacts& r, int64_t context, const std::filesystem::path& folder) {
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
  out += fmt::format("{:<16}{:>10}{:>16}{:>12}  {}\n", "part", "tensors", "parameters", "size", "formats");
  for (const auto& [name, t] : r.parts)
    out += fmt::format("{:<16}{:>10}{:>16}{:>12}  {}\n", name, t.tensors, t.parameters, size_text(t.bytes),
                       formats_text(r.part_formats.at(name), t.tensors));
  out += fmt::format("{:<16}{:>10}{:>16}{:>12}  {:.2f} bits a parameter{}\n", "total", r.total.tensors, r.total.parameters,
                     size_text(r.total.bytes), 8.0 * static_cast<double>(r.total.bytes) / static_cast<double>(r.total.parameters),
                     r.packed.tensors > 0 ? ", packed" : "");
  out += fmt::format("\nmemory plan\n  weights, mapped              {}\n  read per decoded token       {} ({} parameters)\n",
                     size_text(r.total.bytes), size_text(r.bytes_per_token), r.active_parameters);
  out += fmt::format("  a sequence, whatever length  {}\n  kv cache, bf16, per token    {}; at {} tokens {}\n",
                     size_text(r.state_bytes), size_text(r.kv_bytes_per_position), context,
                     size_text(r.kv_bytes_per_position * static_cast<size_t>(context)));
  return out;
}

Result<int> inspect(const Options& o) {
  QUERN_ASSIGN(const std::filesystem::path folder, find_model(o.model));
  QUERN_ASSIGN(const auto model, Model::load(folder));
  const ModelFacts report = model_facts(*model);
  const int64_t context = o.context.value_or(model->config.max_position_embeddings);
  QUERN_TRY(print_out(o.json ? as_json(*model, report, context).dump() + "\n" : as_text(*model, report, context, folder)));
  return kSuccess;
}

}  // namespace

void add_inspect_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "inspect", "Show what a checkpoint holds and what running it takes");
  command->footer("Example:\n  quern inspect DIR --json");
  command->add_option("M,--model,-m", o->model, "Model folder or .gguf file; absent: the embedded model");
  command->add_option("--context", o->context, "Plan the memory for this many tokens; absent: what the model was made for")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command->add_flag("--json", o->json, "One JSON document");
  command->callback([o, &body] { body = [o] { return inspect(*o); }; });
}

}  // namespace quern
