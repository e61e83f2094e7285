#include "server/ollama/models.h"

namespace quern {
namespace {

std::string parameter_size(int64_t parameters) {
  return parameters >= 1'000'000'000 ? fmt::format("{:.1f}B", static_cast<double>(parameters) * 1e-9)
                                     : fmt::format("{:.1f}M", static_cast<double>(parameters) * 1e-6);
}

// As Ollama tells its models: always with a tag, without which Open WebUI does not find them again.
std::string tagged(const std::string& name) { return name.find(':') == std::string::npos ? name + ":latest" : name; }

Json details(const ModelCard& card) {
  return Json::Object{{"parent_model", ""},
                      {"format", card.format},
                      {"family", card.architecture},
                      {"families", Json::Array{card.architecture}},
                      {"parameter_size", parameter_size(card.parameters)},
                      {"quantization_level", card.quantization}};
}

}  // namespace

Json OllamaModels::listed(const ModelState& model) {
  const ModelCard& known = cards_.of(model.entry);
  const std::string name = tagged(model.entry.name);
  return Json::Object{{"name", name},
                      {"model", name},
                      {"modified_at", known.modified_at},
                      {"size", static_cast<uint64_t>(model.bytes)},
                      {"digest", known.digest},
                      {"details", details(known)}};
}

Json OllamaModels::tags(const std::vector<ModelState>& models) {
  Json list = Json::array();
  for (const ModelState& model : models) list.push_back(listed(model));
  return Json::Object{{"models", std::move(list)}};
}

Json OllamaModels::running(const std::vector<ModelState>& models) {
  Json list = Json::array();
  for (const ModelState& model : models) {
    if (model.status != ModelState::Status::loaded) continue;
    Json json = listed(model);
    // One that stays until there is no room for it goes in a hundred years.
    const double stays = model.expires_s < 0 ? 100 * 365.25 * 86400 : model.expires_s;
    const auto now = std::chrono::system_clock::now();
    json["size"] = static_cast<uint64_t>(model.resident);
    json["size_vram"] = 0;
    json["expires_at"] =
        utc_time(now + std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::duration<double>(stays)));
    json["context_length"] = cards_.of(model.entry).context;
    list.push_back(std::move(json));
  }
  return Json::Object{{"models", std::move(list)}};
}

Json OllamaModels::show(const ModelState& model) {
  const ModelCard& known = cards_.of(model.entry);
  const auto key = [&](std::string_view name) { return known.architecture + "." + std::string(name); };
  Json info = Json::Object{{"general.architecture", known.architecture},  {"general.basename", model.entry.name},
                           {"general.parameter_count", known.parameters}, {key("context_length"), known.context},
                           {key("embedding_length"), known.hidden},       {key("block_count"), known.layers},
                           {key("vocab_size"), known.vocabulary}};
  Json capabilities = Json::Array{"completion", "tools", "embedding"};
  if (known.thinking) capabilities.push_back("thinking");
  return Json::Object{{"modelfile", fmt::format("# Served by quern.\nFROM {}\n", model.entry.name)},
                      {"parameters", ""},
                      {"template", "{{ .System }} {{ .Tools }} {{ .Prompt }}"},
                      {"details", details(known)},
                      {"model_info", std::move(info)},
                      {"capabilities", std::move(capabilities)},
                      {"modified_at", known.modified_at}};
}

}  // namespace quern
