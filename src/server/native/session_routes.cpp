#include "server/http/event_stream.h"
#include "server/http/status.h"
#include "server/native/native_request.h"
#include "server/native/routes.h"
#include "server/native/session_turn.h"
#include "server/native/sessions.h"
#include "server/native/shapes.h"
#include "server/turn_pump.h"
#include "server/unique_id.h"

namespace quern {
namespace {

Json list_json(const std::vector<SessionView>& views) {
  Json data = Json::array();
  for (const SessionView& view : views) data.push_back(view.json());
  return Json::Object{{"object", "list"}, {"data", std::move(data)}};
}

// One request about sessions. What fails leaves every session as it was.
class SessionExchange {
 public:
  SessionExchange(ServerContext& context, Sessions& sessions, const ServerRequest& request, ServerResponse& response)
      : context_(context), sessions_(sessions), request_(request), response_(response) {}

  Result<Json> create();
  Result<Json> fork();
  Result<Json> save() { return as_json(sessions_.save(id())); }
  Result<Json> restore();
  Result<Json> view() { return as_json(sessions_.view(id())); }
  Result<Json> list();
  Result<Json> remove();
  Result<Json> append();
  // Null where events were sent.
  Result<Json> turn();

 private:
  static Result<Json> as_json(const Result<SessionView>& view) {
    if (!view) return tl::unexpected(view.error());
    return view->json();
  }
  std::string id() const { return request_.parts.at("id"); }
  // Reads what there is to read, and generates nothing.
  Result<SessionView> read_on(HeldSession held, const Json& body);
  Result<SessionView> fill(const std::string& id, const Json& body);
  Result<SessionView> finish(HeldSession held, SessionInput input, const TurnEnd& end);

  ServerContext& context_;
  Sessions& sessions_;
  const ServerRequest& request_;
  ServerResponse& response_;
};

// The session stands for what it was given and what it said.
Result<SessionView> SessionExchange::finish(HeldSession held, SessionInput input, const TurnEnd& end) {
  held.past = {.tokens = std::move(input.tokens), .tools = std::move(input.tools)};
  held.past.tokens.insert(held.past.tokens.end(), end.ids.begin(), end.ids.end());
  return sessions_.give_back(std::move(held));
}

Result<SessionView> SessionExchange::read_on(HeldSession held, const Json& body) {
  QUERN_ASSIGN(SessionInput input, read_session_input(body, held, false));
  if (input.tokens.size() == held.past.tokens.size()) return sessions_.give_back(std::move(held));
  TurnRequest turn;
  turn.prompt = input.tokens;
  turn.max_tokens = 0;
  turn.session = held.session;
  turn.client = request_.client;
  TurnEnd end;
  std::optional<Error> failed;
  {
    QUERN_ASSIGN(TurnStream stream, begin_turn(held.model, std::move(turn)));
    pump_turn(stream, response_, [&](const TurnUpdate& update) {
      if (const auto* failure = std::get_if<TurnFailed>(&update)) failed = failure->error;
      if (const auto* ended = std::get_if<TurnEnd>(&update)) end = *ended;
      return true;
    });
  }
  if (failed) return tl::unexpected(*failed);
  if (end.finish == FinishReason::cancelled) return fail(Errc::busy, "session {}: given up", held.id);
  return finish(std::move(held), std::move(input), end);
}

Result<SessionView> SessionExchange::fill(const std::string& id, const Json& body) {
  QUERN_ASSIGN(HeldSession held, sessions_.hold(id));
  return read_on(std::move(held), body);
}

Result<Json> SessionExchange::create() {
  QUERN_ASSIGN(const Json body, native_body(request_, context_, native_shapes::create_request()));
  const std::string id = text_of(body, "id").value_or(unique_id("session_"));
  QUERN_TRY(SessionStore::check_name(id));
  QUERN_ASSIGN(const auto model, acquire_for(body, context_, response_));
  QUERN_TRY(sessions_.create(model, id));
  auto filled = fill(id, body);
  if (!filled) static_cast<void>(sessions_.remove(id));
  return as_json(filled);
}

Result<Json> SessionExchange::fork() {
  QUERN_ASSIGN(const Json body, native_body(request_, context_, native_shapes::fork_request()));
  const auto count = integer_of(body, "count");
  std::vector<std::string> ids;
  if (const Json* names = member_of(body, "ids"))
    for (const Json& name : names->as_array()) ids.push_back(name.as_string());
  if (ids.empty())
    for (int64_t i = 0; i < count.value_or(1); ++i) ids.push_back(unique_id("session_"));
  else if (count && *count != std::ssize(ids))
    return fail(Errc::malformed, "count: {}, and ids has {}", *count, ids.size());
  std::vector<SessionView> made;
  for (const std::string& fork : ids) {
    auto view = sessions_.fork(id(), fork);
    if (!view) {
      for (const SessionView& other : made) static_cast<void>(sessions_.remove(other.info.name));
      return tl::unexpected(view.error());
    }
    made.push_back(std::move(*view));
  }
  return list_json(made);
}

Result<Json> SessionExchange::restore() {
  QUERN_ASSIGN(const Json body, native_body(request_, context_, native_shapes::restore_request()));
  QUERN_ASSIGN(const auto model, acquire_for(body, context_, response_));
  return as_json(sessions_.restore(model, id()));
}

Result<Json> SessionExchange::list() {
  const auto model = request_.query.find("model");
  if (model == request_.query.end()) return list_json(sessions_.list());
  QUERN_ASSIGN(const auto served, acquire_for(Json::Object{{"model", model->second}}, context_, response_));
  QUERN_ASSIGN(const std::vector<SessionView> views, sessions_.list(served));
  return list_json(views);
}

Result<Json> SessionExchange::remove() {
  QUERN_TRY(sessions_.remove(id()));
  return Json(Json::Object{{"id", id()}, {"object", "session"}, {"deleted", true}});
}

Result<Json> SessionExchange::append() {
  QUERN_ASSIGN(const Json body, native_body(request_, context_, native_shapes::append_request()));
  return as_json(fill(id(), body));
}

Result<Json> SessionExchange::turn() {
  QUERN_ASSIGN(const Json body, native_body(request_, context_, native_shapes::turn_request()));
  QUERN_ASSIGN(HeldSession held, sessions_.hold(id()));
  response_.notes().model = held.model->entry.name;
  QUERN_ASSIGN(SessionInput input, read_session_input(body, held, true));
  QUERN_ASSIGN(SessionTurn wanted, read_session_turn(body, held, input));
  wanted.turn.client = request_.client;
  SessionTurnAnswer answer;
  std::optional<EventStream> events;
  std::optional<Error> failed;
  bool ended = false;
  {
    QUERN_ASSIGN(TurnStream stream, begin_turn(held.model, std::move(wanted.turn)));
    if (wanted.stream) events.emplace(response_);
    pump_turn(stream, response_, [&](const TurnUpdate& update) {
      if (const auto* failure = std::get_if<TurnFailed>(&update)) failed = failure->error;
      ended = ended || std::holds_alternative<TurnEnd>(update);
      const Json told = answer.on(update);
      return told.is_null() || !events || events->json(told);
    });
  }
  if (failed && !events) return tl::unexpected(*failed);
  if (failed || !ended || answer.end().finish == FinishReason::cancelled) return Json();
  QUERN_ASSIGN(const SessionView view, finish(std::move(held), std::move(input), answer.end()));
  const Json whole = answer.whole(view);
  if (!events) return whole;
  events->json(whole);
  return Json();
}

}  // namespace

void add_session_routes(Router& router, ServerContext& context) {
  const auto sessions = std::make_shared<Sessions>(context.data.empty() ? std::filesystem::path() : context.data / "sessions");
  const auto add = [&](const char* method, const char* path, Result<Json> (SessionExchange::*answer)()) {
    router.add(method, path, [&router, &context, sessions, answer](const ServerRequest& request, ServerResponse& response) {
      const auto answered = (SessionExchange(context, *sessions, request, response).*answer)();
      if (!answered)
        send_native_error(router, request, response, answered.error());
      else if (!answered->is_null())
        response.json(200, *answered);
    });
  };
  add("POST", "/v1/sessions", &SessionExchange::create);
  add("GET", "/v1/sessions", &SessionExchange::list);
  add("GET", "/v1/sessions/{id}", &SessionExchange::view);
  add("DELETE", "/v1/sessions/{id}", &SessionExchange::remove);
  add("POST", "/v1/sessions/{id}/fork", &SessionExchange::fork);
  add("POST", "/v1/sessions/{id}/save", &SessionExchange::save);
  add("POST", "/v1/sessions/{id}/restore", &SessionExchange::restore);
  add("POST", "/v1/sessions/{id}/append", &SessionExchange::append);
  add("POST", "/v1/sessions/{id}/turn", &SessionExchange::turn);
}

}  // namespace quern
