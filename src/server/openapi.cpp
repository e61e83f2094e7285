#include "server/openapi.h"

#include <memory>

namespace quern {
namespace {

// "/v1/models/{id...}" as OpenAPI writes it, and its names.
std::string plain_path(const std::string& pattern, std::vector<std::string>& names) {
  std::string path;
  for (size_t at = 0; at < pattern.size();) {
    const size_t open = pattern.find('{', at);
    path += pattern.substr(at, open - at);
    if (open == std::string::npos) break;
    const size_t close = pattern.find('}', open);
    std::string name = pattern.substr(open + 1, close - open - 1);
    if (name.ends_with("...")) name.resize(name.size() - 3);
    path += "{" + name + "}";
    names.push_back(std::move(name));
    at = close + 1;
  }
  return path;
}

const Shape& plain_error() {
  static const Shape shape =
      Shape::object(
          {{"error", Shape::object({{"message", Shape::text(""), Shape::Member::required}}, ""), Shape::Member::required}},
          "Why there is no answer")
          .named("PlainError");
  return shape;
}

Json content(std::string_view type, Json schema) {
  return Json::Object{{std::string(type), Json::Object{{"schema", std::move(schema)}}}};
}

// What a piece is, where a reader of the document sees only the type of the whole.
Json answer_content(const Operation& operation, Json& refs) {
  Json types = Json::object();
  if (operation.answer) types["application/json"] = Json::Object{{"schema", operation.answer->schema(&refs)}};
  if (operation.piece) {
    Json schema = operation.piece->schema(&refs);
    types[operation.pieces] = Json::Object{{"schema", std::move(schema)}};
  }
  if (!operation.other_answer.empty()) types[operation.other_answer] = Json::Object{{"schema", Json::Object{{"type", "string"}}}};
  return types;
}

Json operation_json(const Operation& operation, const std::vector<std::string>& names, Json& refs) {
  Json made = Json::Object{{"tags", Json::Array{operation.tag}}, {"summary", operation.summary}};
  Json parameters = Json::array();
  for (const std::string& name : names)
    parameters.push_back(Json::Object{
        {"name", name}, {"in", "path"}, {"required", true}, {"schema", Json::Object{{"type", "string"}, {"minLength", 1}}}});
  if (!names.empty()) made["parameters"] = std::move(parameters);
  if (operation.request)
    made["requestBody"] =
        Json::Object{{"required", true}, {"content", content("application/json", operation.request->schema(&refs))}};
  const Shape& error = operation.error ? *operation.error : plain_error();
  Json answers = Json::object();
  answers["200"] = Json::Object{{"description", "The answer"}, {"content", answer_content(operation, refs)}};
  answers["default"] =
      Json::Object{{"description", "Why there is none"}, {"content", content("application/json", error.schema(&refs))}};
  made["responses"] = std::move(answers);
  return made;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

Json openapi_document(const std::vector<Operation>& operations, std::string_view version) {
  Json paths = Json::object(), refs = Json::object();
  for (const Operation& operation : operations) {
    std::vector<std::string> names;
    const std::string path = plain_path(operation.path, names);
    Json told = operation_json(operation, names, refs);
    paths[path][lower(operation.method)] = std::move(told);
  }
  Json key = Json::Object{{"type", "http"}, {"scheme", "bearer"}};
  return Json::Object{
      {"openapi", "3.1.0"},
      {"info", Json::Object{{"title", "quern serve"},
                            {"version", version},
                            {"description",
                             "Models of the Qwen3-Next family on this machine, as the APIs of OpenAI, Anthropic and "
                             "Ollama, and the server's own. Members of requests that are not told here are ignored."}}},
      {"security", Json::Array{Json::object(), Json::Object{{"key", Json::array()}}}},
      {"paths", std::move(paths)},
      {"components", Json::Object{{"schemas", std::move(refs)}, {"securitySchemes", Json::Object{{"key", std::move(key)}}}}}};
}

void add_openapi_route(Router& router, const ServerContext& context) {
  const auto document =
      std::make_shared<const std::string>(openapi_document(all_operations(), context.version).dump(Json::Spacing::compact));
  router.add("GET", "/openapi.json",
             [document](const ServerRequest&, ServerResponse& response) { response.send(200, "application/json", *document); },
             {.light = true});
}

}  // namespace quern
