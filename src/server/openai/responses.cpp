// /v1/responses and what is below it.
#include "server/openai/handlers.h"
#include "server/openai/response_answer.h"
#include "server/openai/response_request.h"
#include "server/openai/response_store.h"

namespace quern {
namespace {

// What the store says of an answer that it does not give.
OpenAiError not_given(const Error& from_store, std::string_view param) {
  OpenAiError error = openai_error(from_store, param);
  error.param = param;
  if (from_store.code != Errc::not_found) return error;
  error.code = param.empty() ? "response_not_found" : "previous_response_not_found";
  if (!param.empty()) error.status = 400;
  return error;
}

// One request for an answer.
class ResponseCall {
 public:
  ResponseCall(ServerContext& context, ResponseStore& store, const ServerRequest& request, ServerResponse& response)
      : run_(context, request, response), store_(store) {}

  void answer() {
    if (!read()) return;
    if (asked_.stream)
      run_.stream([this](EventStream&, const OpenAiError& error) {
        ensure_answer(asked_.model);
        answer_->fail(error);
      });
    const auto model = run_.acquire(asked_.model);
    if (!model) return;
    asked_.turn.sampling = asked_.sampling.over(model->engine->default_sampling());
    auto turn = run_.begin(model, std::move(asked_.turn));
    if (!turn) return;
    ensure_answer(asked_.model.empty() ? model->entry.name : asked_.model);
    const ClientWatch watch(run_.response(), {&*turn});
    listen(*turn);
  }

  void count() {
    if (!read()) return;
    const auto model = run_.acquire(asked_.model);
    if (!model) return;
    const auto tokens = turn_prompt(*model, std::move(asked_.turn));
    if (!tokens) return run_.fail(openai_error(tokens.error()));
    run_.response().json(200,
                         Json::Object{{"object", "response.input_tokens"}, {"input_tokens", static_cast<int64_t>(tokens->size())}});
  }

 private:
  // The request, with the conversation it goes on with; false: the client was told what is wrong.
  bool read() {
    const auto body = request_json(run_.request(), run_.context());
    if (!body) return refuse(openai_error(body.error()));
    const std::string& client = run_.request().client;
    auto asked =
        parse_response_request(*body, [&](const std::string& id) { return store_.find_item(id, client).value_or(nullptr); });
    if (!asked) return refuse(openai_error(asked.error()));
    asked_ = std::move(*asked);
    logprobs_ = asked_.turn.top_logprobs.has_value();
    if (!asked_.previous.empty()) {
      auto before = store_.conversation(asked_.previous, client);
      if (!before) return refuse(not_given(before.error(), "previous_response_id"));
      before_ = std::move(*before);
    }
    auto conversation = asked_.conversation(before_);
    if (!conversation) return refuse(openai_error(conversation.error(), "input"));
    asked_.turn.prompt = std::move(*conversation);
    asked_.turn.move_volatile = run_.context().move_volatile;
    return true;
  }
  bool refuse(const OpenAiError& error) {
    run_.fail(error);
    return false;
  }

  void ensure_answer(const std::string& model) {
    if (answer_) return;
    std::function<void(const Json&)> on_event;
    if (asked_.stream)
      on_event = [this](const Json& event) {
        const std::string& type = event.find("type")->as_string();
        const bool last = type == "response.completed" || type == "response.incomplete" || type == "response.failed";
        last ? run_.events().last_json_event(type, event) : run_.events().json_event(type, event);
      };
    answer_.emplace(ResponseAnswer::Options{.head = OpenAiHead("resp_", model, run_.context()),
                                            .echo = asked_.echo,
                                            .namespaced = asked_.namespaced,
                                            .encrypted_reasoning = asked_.encrypted_reasoning,
                                            .logprobs = logprobs_},
                    std::move(on_event));
    if (asked_.stream) answer_->begin();
  }

  void listen(TurnStream& turn) {
    while (auto update = turn.next()) {
      if (const auto failed = failure_of(*update)) return run_.fail(*failed);
      if (const auto* end = std::get_if<TurnEnd>(&*update)) {
        run_.note(*end);
        answer_->end(*end, [this] { keep(); });
        continue;
      }
      if (asked_.stream && !tell_progress(run_, *update)) return;
      answer_->on(*update);
      if (run_.begun() && !run_.events().open()) return;
    }
    if (!asked_.stream) run_.response().json(200, answer_->response());
  }

  // Kept before the client hears of the end: it may go on from the answer at once.
  void keep() {
    if (!asked_.store) return;
    Json response = answer_->response();
    const std::string id = response.find("id")->as_string();
    const auto kept = store_.put(id, {.client = run_.request().client,
                                      .previous = asked_.previous,
                                      .before = before_,
                                      .input = asked_.input,
                                      .output = answer_->output(),
                                      .response = std::move(response)});
    if (!kept) run_.context().warn(fmt::format("response {} is not kept: {}", id, kept.error().message));
  }

  OpenAiRun run_;
  ResponseStore& store_;
  ResponseRequest asked_;
  bool logprobs_ = false;
  ResponseItems before_;
  std::optional<ResponseAnswer> answer_;
};

}  // namespace

void handle_response(ServerContext& context, ResponseStore& store, const ServerRequest& request, ServerResponse& response) {
  ResponseCall(context, store, request, response).answer();
}

void handle_response_tokens(ServerContext& context, ResponseStore& store, const ServerRequest& request, ServerResponse& response) {
  ResponseCall(context, store, request, response).count();
}

void handle_stored_response(ResponseStore& store, const ServerRequest& request, ServerResponse& response) {
  const std::string& id = request.parts.at("id");
  const auto found = store.response(id, request.client);
  if (!found) return send_openai_error(response, not_given(found.error(), ""));
  response.json(200, *found);
}

void handle_response_items(ResponseStore& store, const ServerRequest& request, ServerResponse& response) {
  const std::string& id = request.parts.at("id");
  const auto input = store.input(id, request.client);
  if (!input) return send_openai_error(response, not_given(input.error(), ""));
  Json data = Json::array();
  for (const auto& item : *input) data.push_back(*item);
  const auto id_of = [&](size_t at) { return data.size() > 0 ? *data.as_array()[at].find("id") : Json(); };
  Json first = id_of(0), last = data.size() > 0 ? id_of(data.size() - 1) : Json();
  response.json(200, Json::Object{{"object", "list"},
                                  {"data", std::move(data)},
                                  {"first_id", std::move(first)},
                                  {"last_id", std::move(last)},
                                  {"has_more", false}});
}

void handle_deleted_response(ResponseStore& store, const ServerRequest& request, ServerResponse& response) {
  const std::string& id = request.parts.at("id");
  if (const auto gone = store.remove(id, request.client); !gone) return send_openai_error(response, not_given(gone.error(), ""));
  response.json(200, Json::Object{{"id", id}, {"object", "response"}, {"deleted", true}});
}

}  // namespace quern
