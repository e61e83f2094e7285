#include "server/anthropic/routes.h"

#include "server/anthropic/answer.h"
#include "server/anthropic/request.h"
#include "server/http/event_stream.h"
#include "server/http/status.h"
#include "server/turn_pump.h"
#include "server/unique_id.h"

namespace quern {
namespace {

// One request to /v1/messages, from its body to its answer.
class MessagesCall {
 public:
  MessagesCall(const Router& router, ServerContext& context, const ServerRequest& request, ServerResponse& response)
      : router_(router), context_(context), request_(request), response_(response) {}

  void answer() {
    if (const auto done = messages(); !done) fail_with(done.error());
  }
  void count() {
    if (const auto done = count_tokens(); !done) fail_with(done.error());
  }

 private:
  Result<void> messages();
  Result<void> count_tokens();
  Result<void> read(AnthropicBody kind);
  Result<std::shared_ptr<ServedModel>> acquire();
  Result<TurnRequest> turn_for(const ServedModel& model) const;
  void open_events();
  void fail_with(const Error& error);

  const Router& router_;
  ServerContext& context_;
  const ServerRequest& request_;
  ServerResponse& response_;
  AnthropicRequest wanted_;
  std::optional<EventStream> events_;
};

Result<void> MessagesCall::read(AnthropicBody kind) {
  response_.header("request-id", request_.id);
  QUERN_ASSIGN(const Json body, request_json(request_, context_));
  QUERN_ASSIGN(wanted_, parse_anthropic_request(body, kind));
  std::string notes;
  for (const std::string& note : wanted_.notes) notes += (notes.empty() ? "" : "; ") + note;
  if (!notes.empty()) response_.header("quern-note", header_text(notes));
  return {};
}

// Clients that are written for Anthropic's models ask for those by name, for small jobs in the background too.
Result<std::shared_ptr<ServedModel>> MessagesCall::acquire() {
  std::string name = wanted_.model;
  if (context_.claude_names && name.starts_with("claude-") && !context_.models.resolve(name)) name.clear();
  QUERN_ASSIGN(auto model, context_.models.acquire(name, [&] {
    if (wanted_.stream && !events_) open_events();
    return !response_.closed();
  }));
  response_.notes().model = model->entry.name;
  return model;
}

Result<TurnRequest> MessagesCall::turn_for(const ServedModel& model) const {
  TurnRequest turn = wanted_.turn(model.engine->default_sampling());
  turn.move_volatile = context_.move_volatile;
  turn.client = wanted_.user.empty() ? request_.client : request_.client + "/" + wanted_.user;
  return turn;
}

void MessagesCall::open_events() {
  events_.emplace(response_);
  response_.while_silent(anthropic_ping());
}

Result<void> MessagesCall::messages() {
  QUERN_TRY(read(AnthropicBody::message));
  QUERN_ASSIGN(const auto model, acquire());
  QUERN_ASSIGN(TurnRequest turn, turn_for(*model));
  auto begun = begin_turn(model, std::move(turn));
  if (!begun) return tl::unexpected(begun.error());
  const AnthropicAnswerOptions options{.id = unique_id("msg_"), .model = wanted_.model, .thinking = wanted_.thinking};
  if (wanted_.stream) {
    if (!events_) open_events();
    AnthropicEvents events(options);
    pump_turn(*begun, response_, [&](const TurnUpdate& update) {
      const std::string bytes = events.on(update);
      return events_->open() && (bytes.empty() || response_.write(bytes));
    });
    return {};
  }
  AnthropicMessage message(options);
  std::optional<Error> failed;
  pump_turn(*begun, response_, [&](const TurnUpdate& update) {
    if (const auto* failure = std::get_if<TurnFailed>(&update)) failed = failure->error;
    message.on(update);
    return true;
  });
  if (failed) return tl::unexpected(*failed);
  response_.json(200, message.message());
  return {};
}

Result<void> MessagesCall::count_tokens() {
  QUERN_TRY(read(AnthropicBody::count));
  wanted_.stream = false;
  QUERN_ASSIGN(const auto model, acquire());
  QUERN_ASSIGN(TurnRequest turn, turn_for(*model));
  QUERN_ASSIGN(const std::vector<int32_t> tokens, turn_prompt(*model, std::move(turn)));
  response_.json(200, Json::Object{{"input_tokens", static_cast<int64_t>(tokens.size())}});
  return {};
}

void MessagesCall::fail_with(const Error& error) {
  const int status = http_status(error.code);
  if (events_) {
    response_.notes().finish = problem_code(status);
    response_.write(anthropic_event(anthropic_error(status, error.message)));
  } else {
    router_.send_problem(request_, response_,
                         {.status = status, .code = std::string(problem_code(status)), .message = error.message});
  }
}

}  // namespace

void add_anthropic_routes(Router& router, ServerContext& context) {
  router.shape_problems("/v1/messages", [](const Problem& problem) { return anthropic_error(problem.status, problem.message); });
  router.add("POST", "/v1/messages", [&](const ServerRequest& request, ServerResponse& response) {
    MessagesCall(router, context, request, response).answer();
  });
  router.add("POST", "/v1/messages/count_tokens", [&](const ServerRequest& request, ServerResponse& response) {
    MessagesCall(router, context, request, response).count();
  });
}

}  // namespace quern
