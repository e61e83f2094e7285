// /v1/models and /v1/models/{id}.
#include "server/openai/handlers.h"

namespace quern {
namespace {

std::string_view status_name(ModelState::Status status) {
  return status == ModelState::Status::loaded ? "loaded" : status == ModelState::Status::loading ? "loading" : "absent";
}

// When the model's files were written; the epoch where nobody knows.
int64_t written(const std::filesystem::path& path) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(path, error);
  if (error) return 0;
  const auto system = std::chrono::file_clock::to_sys(time);
  return std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(system.time_since_epoch()).count());
}

Json model_json(const ModelState& state, const std::string& name) {
  return Json::Object{{"id", name},
                      {"object", "model"},
                      {"created", written(state.entry.path)},
                      {"owned_by", "quern"},
                      {"status", status_name(state.status)}};
}

}  // namespace

void handle_models(ServerContext& context, const ServerRequest&, ServerResponse& response) {
  Json data = Json::array();
  for (const ModelState& state : context.models.list()) {
    data.push_back(model_json(state, state.entry.name));
    for (const std::string& alias : state.entry.aliases) data.push_back(model_json(state, alias));
  }
  response.json(200, Json::Object{{"object", "list"}, {"data", std::move(data)}});
}

void handle_model(ServerContext& context, const ServerRequest& request, ServerResponse& response) {
  const std::string& name = request.parts.at("id");
  const auto own = context.models.resolve(name);
  if (own)
    for (const ModelState& state : context.models.list())
      if (state.entry.name == *own) return response.json(200, model_json(state, name));
  OpenAiError error = openai_error(own ? Error{Errc::not_found, "the model has gone"} : own.error(), "model");
  error.code = "model_not_found";
  send_openai_error(response, error);
}

}  // namespace quern
