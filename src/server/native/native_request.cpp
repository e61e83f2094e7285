#include "server/native/native_request.h"

#include "server/http/status.h"

namespace quern {

Result<Json> native_body(const ServerRequest& request, const ServerContext& context, const Shape& shape) {
  Json body = Json::object();
  if (!request.body.empty()) {
    QUERN_ASSIGN(body, request_json(request, context));
  }
  QUERN_TRY(shape.check(body));
  return body;
}

Result<std::shared_ptr<ServedModel>> acquire_for(const Json& body, const ServerContext& context, ServerResponse& response) {
  QUERN_ASSIGN(auto model, context.models.acquire(text_of(body, "model").value_or(""), [&] { return !response.closed(); }));
  response.notes().model = model->entry.name;
  return model;
}

Result<const Tokenizer*> tokenizer_of(const ServedModel& model) {
  if (!model.engine->tokenizer()) return fail(Errc::not_found, "{} has no tokenizer", model.entry.name);
  return model.engine->tokenizer();
}

Result<std::vector<int32_t>> token_field(const Json& body, std::string_view name, const Engine& engine) {
  const Json* array = member_of(body, name);
  const int64_t limit = engine.tokenizer() ? engine.tokenizer()->vocab_size() : INT32_MAX;
  std::vector<int32_t> tokens;
  if (!array) return tokens;
  tokens.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    const int64_t id = array->as_array()[i].to_int64().value();
    if (id >= limit) return fail(Errc::out_of_range, "{}[{}]: {}: the model has {} tokens", name, i, id, limit);
    tokens.push_back(static_cast<int32_t>(id));
  }
  return tokens;
}

void send_native_error(const Router& router, const ServerRequest& request, ServerResponse& response, const Error& error) {
  const int status = http_status(error.code);
  router.send_problem(request, response, {.status = status, .code = std::string(problem_code(status)), .message = error.message});
}

}  // namespace quern
