#include "base/utf8.h"
#include "server/model_card.h"
#include "server/native/native_request.h"
#include "server/native/routes.h"
#include "server/native/shapes.h"
#include "text/chat_template.h"

namespace quern {
namespace {

Result<Json> tokenize(const Json& body, const ServedModel& model) {
  QUERN_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(model));
  const bool special = boolean_of(body, "parse_special").value_or(false);
  const bool pieces = boolean_of(body, "with_pieces").value_or(false);
  QUERN_ASSIGN(const std::vector<int32_t> ids, tokenizer->encode(*text_of(body, "content"), special));
  Json::Array tokens;
  for (const int32_t id : ids) {
    if (!pieces) {
      tokens.emplace_back(int64_t{id});
      continue;
    }
    // A piece that is no text is its bytes.
    const std::string_view bytes = tokenizer->token_bytes(id);
    Json piece(bytes);
    if (find_invalid_utf8(bytes) != std::string_view::npos) {
      piece = Json::array();
      for (const char byte : bytes) piece.push_back(static_cast<int>(static_cast<unsigned char>(byte)));
    }
    tokens.push_back(Json::Object{{"id", int64_t{id}}, {"piece", std::move(piece)}});
  }
  return Json::Object{{"tokens", std::move(tokens)}, {"count", std::ssize(ids)}};
}

Result<Json> detokenize(const Json& body, const ServedModel& model) {
  QUERN_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(model));
  QUERN_ASSIGN(const std::vector<int32_t> tokens, token_field(body, "tokens", *model.engine));
  QUERN_ASSIGN(std::string text, tokenizer->decode(tokens));
  return Json::Object{{"content", std::move(text)}};
}

// As the model would read them; `pieces` says what of it is the format's own markup.
Result<Json> apply_template(const Json& body, const ServedModel& model) {
  QUERN_ASSIGN(const Conversation conversation, Conversation::from_json(body));
  QUERN_ASSIGN(const Prompt prompt, render(conversation, model.engine->chat_format()));
  Json::Array pieces;
  for (const PromptPiece& piece : prompt) pieces.push_back(Json::Object{{"text", piece.text}, {"trusted", piece.trusted}});
  return Json::Object{{"prompt", prompt_text(prompt)}, {"pieces", std::move(pieces)}};
}

Json props(const ServerContext& context, ModelCards& cards) {
  Json::Array models;
  for (const ModelState& model : context.models.list()) {
    const ModelCard& card = cards.of(model.entry);
    constexpr std::string_view status[] = {"absent", "loading", "loaded"};
    models.push_back(Json::Object{{"name", model.entry.name},
                                  {"aliases", Json::Array(model.entry.aliases.begin(), model.entry.aliases.end())},
                                  {"status", status[static_cast<size_t>(model.status)]},
                                  {"pinned", model.entry.pinned},
                                  {"architecture", card.architecture},
                                  {"format", card.format},
                                  {"quantization", card.quantization},
                                  {"parameters", card.parameters},
                                  {"context", card.context},
                                  {"thinking", card.thinking},
                                  {"bytes", static_cast<uint64_t>(model.bytes)},
                                  {"resident_bytes", static_cast<uint64_t>(model.resident)}});
  }
  Json default_model;
  if (const auto name = context.models.resolve("")) default_model = *name;
  return Json::Object{{"server", "quern"},
                      {"version", context.version},
                      {"default_model", std::move(default_model)},
                      {"sessions_are_saved", !context.data.empty()},
                      {"models", std::move(models)}};
}

}  // namespace

void add_text_routes(Router& router, ServerContext& context) {
  const auto add = [&](const char* path, const Shape& shape, Result<Json> (*answer)(const Json&, const ServedModel&)) {
    router.add("POST", path, [&router, &context, &shape, answer](const ServerRequest& request, ServerResponse& response) {
      const auto answered = [&]() -> Result<Json> {
        QUERN_ASSIGN(const Json body, native_body(request, context, shape));
        QUERN_ASSIGN(const auto model, acquire_for(body, context, response));
        return answer(body, *model);
      }();
      if (answered)
        response.json(200, *answered);
      else
        send_native_error(router, request, response, answered.error());
    });
  };
  add("/tokenize", native_shapes::tokenize_request(), tokenize);
  add("/detokenize", native_shapes::detokenize_request(), detokenize);
  add("/apply-template", native_shapes::template_request(), apply_template);
  router.add("GET", "/props", [&context, cards = std::make_shared<ModelCards>()](const ServerRequest&, ServerResponse& response) {
    response.json(200, props(context, *cards));
  });
}

}  // namespace quern
