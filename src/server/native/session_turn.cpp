#include "server/native/session_turn.h"

#include "server/fields.h"
#include "server/http/status.h"
#include "server/native/native_request.h"
#include "server/native/session_text.h"
#include "server/sampling_fields.h"
#include "server/turn_pump.h"

namespace quern {
namespace {

ToolChoice read_choice(const Json& body) {
  const Json* choice = member_of(body, "tool_choice");
  using Kind = ToolChoice::Kind;
  if (!choice) return {};
  if (const auto name = text_of(*choice, "name")) return {.kind = Kind::named, .name = *name};
  const std::string& word = choice->as_string();
  return {.kind = word == "none" ? Kind::none : word == "required" ? Kind::required : Kind::automatic, .name = {}};
}

}  // namespace

Result<SessionInput> read_session_input(const Json& body, const HeldSession& held, bool answer) {
  const Engine& engine = *held.model->engine;
  SessionInput input{.tokens = held.past.tokens, .tools = held.past.tools, .conversation = false};
  const auto text = text_of(body, "text");
  QUERN_ASSIGN(const std::vector<int32_t> tokens, token_field(body, "tokens", engine));
  const bool messages = member_of(body, "messages");
  if (text.has_value() + (member_of(body, "tokens") != nullptr) + messages > 1)
    return fail(Errc::malformed, "messages, text, tokens: only one of them is taken");
  std::vector<int32_t> more;
  if (messages) {
    QUERN_ASSIGN(Conversation conversation, Conversation::from_json(body));
    conversation.add_generation_prompt = answer;
    if (held.past.tokens.empty())
      input.tools = conversation.tools;
    else if (!conversation.tools.empty())
      return fail(Errc::malformed, "tools: a session has those that it began with");
    QUERN_ASSIGN(more, tokens_behind(engine, held.past.tokens, conversation));
    input.conversation = answer;
  } else if (text) {
    QUERN_ASSIGN(more, tokens_of(engine, *text));
  } else {
    more = tokens;
  }
  input.tokens.insert(input.tokens.end(), more.begin(), more.end());
  return input;
}

Result<SessionTurn> read_session_turn(const Json& body, const HeldSession& held, SessionInput input) {
  SessionTurn read;
  read.stream = boolean_of(body, "stream").value_or(false);
  TurnRequest& turn = read.turn;
  turn.sampling = SamplingFields::read(body).over(held.model->engine->default_sampling());
  turn.max_tokens = integer_of(body, "max_tokens").value_or(-1);
  turn.reasoning_tokens = integer_of(body, "reasoning_tokens");
  turn.choice = read_choice(body);
  turn.parallel_calls = boolean_of(body, "parallel_tool_calls").value_or(true);
  if (const Json* schema = member_of(body, "schema")) turn.schema = *schema;
  QUERN_ASSIGN(turn.stop, FieldReader(body).texts("stop"));
  if (input.conversation) {
    Conversation conversation;
    conversation.tools = std::move(input.tools);
    turn.prompt = std::move(conversation);
    turn.rendered = std::move(input.tokens);
  } else {
    turn.prompt = std::move(input.tokens);
  }
  turn.session = held.session;
  return read;
}

Json SessionTurnAnswer::on(const TurnUpdate& update) {
  if (const auto* thought = std::get_if<TurnThinking>(&update)) {
    thinking_ += thought->text;
    return Json::Object{{"type", "thinking"}, {"text", thought->text}};
  }
  if (const auto* said = std::get_if<TurnText>(&update)) {
    if (said->text.empty()) return Json();
    text_ += said->text;
    return Json::Object{{"type", "text"}, {"text", said->text}};
  }
  if (const auto* call = std::get_if<TurnCall>(&update)) {
    calls_.push_back({.id = call->id, .name = call->name, .arguments = {}});
    return Json::Object{{"type", "call"}, {"index", call->index}, {"id", call->id}, {"name", call->name}};
  }
  if (const auto* arguments = std::get_if<TurnArguments>(&update)) {
    if (!calls_.empty()) calls_.back().arguments += arguments->json;
    return Json::Object{{"type", "arguments"}, {"index", arguments->index}, {"json", arguments->json}};
  }
  if (const auto* failed = std::get_if<TurnFailed>(&update)) {
    const int status = http_status(failed->error.code);
    return Json::Object{{"type", "error"}, {"status", status}, {"message", failed->error.message}};
  }
  if (const auto* disk = std::get_if<TurnFromDisk>(&update))
    return Json::Object{{"type", "loading"},
                        {"done", static_cast<uint64_t>(disk->weights.resident)},
                        {"total", static_cast<uint64_t>(disk->weights.total)}};
  if (const auto* reading = std::get_if<TurnReading>(&update))
    return Json::Object{{"type", "reading"}, {"done", reading->done}, {"total", reading->total}};
  if (const auto* end = std::get_if<TurnEnd>(&update)) end_ = *end;
  return Json();
}

Json SessionTurnAnswer::whole(const SessionView& session) const {
  Json::Array calls;
  for (const Call& call : calls_) {
    auto arguments = Json::parse(call.arguments.empty() ? "{}" : call.arguments, "arguments");
    if (!arguments) continue;  // the end cut it off
    calls.push_back(Json::Object{{"id", call.id}, {"name", call.name}, {"arguments", std::move(*arguments)}});
  }
  Json stop;
  if (!end_.stop.empty()) stop = end_.stop;
  Json usage =
      Json::Object{{"prompt_tokens", end_.prompt_tokens},       {"reused_tokens", end_.reused_tokens}, {"tokens", end_.tokens},
                   {"reasoning_tokens", end_.reasoning_tokens}, {"prefill_s", end_.prefill_s},         {"decode_s", end_.decode_s}};
  return Json::Object{{"type", "end"},
                      {"text", text_},
                      {"thinking", thinking_},
                      {"calls", std::move(calls)},
                      {"finish", finish_name(end_.finish)},
                      {"stop", std::move(stop)},
                      {"usage", std::move(usage)},
                      {"session", session.json()}};
}

}  // namespace quern
