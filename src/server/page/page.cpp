#include "server/page/page.h"

#include <charconv>

#include "server/http/status.h"
#include "server/page/answer.h"
#include "server/page/site.h"
#include "server/turn.h"

namespace quern {
namespace {

constexpr size_t kMostTexts = 1000;  // to be counted in one request

void send_greeting(const ServerContext& context, ServerResponse& response) {
  response.send(200, "text/plain; charset=utf-8",
                fmt::format("quern {} is running. It answers OpenAI's, Anthropic's and Ollama's APIs; GET /props has its models.\n",
                            context.version));
}

Result<int64_t> id_in(const ServerRequest& request) {
  const std::string& text = request.parts.at("id");
  int64_t id = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (status != std::errc() || end != text.data() + text.size())
    return fail(Errc::not_found, "conversation {}: there is no such conversation", text.substr(0, 40));
  return id;
}

std::string query_of(const ServerRequest& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? std::string() : found->second;
}

void send_error(const Router& router, const ServerRequest& request, ServerResponse& response, const Error& error) {
  const int status = http_status(error.code);
  router.send_problem(request, response, {.status = status, .code = std::string(problem_code(status)), .message = error.message});
}

std::string_view status_name(ModelState::Status status) {
  switch (status) {
    case ModelState::Status::absent:
      return "absent";
    case ModelState::Status::loading:
      return "loading";
    case ModelState::Status::loaded:
      return "loaded";
  }
  return "absent";
}

// settings of a conversation are kept as the page wrote them, once they are known to be some.
Result<Json> settings_in(const Json& body) {
  const Json* settings = body.find("settings");
  if (!settings) return fail(Errc::invalid_argument, "settings: missing");
  QUERN_TRY(PageSettings::read(*settings));
  return *settings;
}

}  // namespace

Result<std::unique_ptr<Page>> Page::create(ServerContext& context, PageTools* tools) {
  QUERN_ASSIGN(auto history,
               PageHistory::open(context.data.empty() ? std::filesystem::path() : context.data / "page" / "conversations.db"));
  return std::unique_ptr<Page>(new Page(context, tools, std::move(history)));
}

void add_greeting_route(Router& router, const ServerContext& context) {
  router.add("GET", "/", [&context](const ServerRequest&, ServerResponse& response) { send_greeting(context, response); },
             {.light = true});
}

void Page::add(Router& router, const char* method, const char* pattern, Handler handler) {
  router.add(method, pattern, [this, &router, handler](const ServerRequest& request, ServerResponse& response) {
    const Result<Json> answer = (this->*handler)(request);
    if (!answer) return send_error(router, request, response, answer.error());
    response.header("cache-control", "no-store");
    response.json(200, *answer);
  });
}

void Page::add_routes(Router& router) {
  router.add("GET", "/",
             [this](const ServerRequest& request, ServerResponse& response) {
               const std::string* accept = request.headers.find("accept");
               if (site_file("index.html").empty() || !accept || accept->find("text/html") == std::string::npos)
                 return send_greeting(context_, response);
               send_site_file(response, "index.html", true);
             },
             {.open = true, .light = true});
  add_docs_routes(router);
  add(router, "GET", "/page/api/state", &Page::state);
  add(router, "GET", "/page/api/conversations", &Page::list);
  add(router, "POST", "/page/api/conversations", &Page::create);
  add(router, "GET", "/page/api/conversations/{id}", &Page::get);
  add(router, "PATCH", "/page/api/conversations/{id}", &Page::change);
  add(router, "DELETE", "/page/api/conversations/{id}", &Page::remove);
  add(router, "POST", "/page/api/conversations/{id}/fork", &Page::fork);
  add(router, "POST", "/page/api/count", &Page::count);
  add(router, "POST", "/page/api/approvals/{id}", &Page::approve);
  router.add("GET", "/page/api/conversations/{id}/export",
             [this, &router](const ServerRequest& request, ServerResponse& response) { send_export(router, request, response); });
  router.add("POST", "/page/api/conversations/{id}/turns",
             [this, &router](const ServerRequest& request, ServerResponse& response) { answer(router, request, response); });
}

Result<Json> Page::state(const ServerRequest&) {
  Json state = Json::object();
  state["version"] = context_.version;
  Json& models = state["models"] = Json::array();
  for (const ModelState& model : context_.models.list()) {
    Json one = Json::object();
    one["name"] = model.entry.name;
    one["status"] = status_name(model.status);
    one["bytes"] = static_cast<uint64_t>(model.bytes);
    if (model.context > 0) one["context"] = model.context;
    if (model.status == ModelState::Status::loaded) one["thinking"] = model.chat_format == ChatFormat::thinking;
    models.push_back(std::move(one));
  }
  Json& tools = state["tools"] = Json::array();
  if (!tools_) return state;
  const std::lock_guard lock(tools_->mutex);
  for (const std::string& name : tools_->registry.names()) {
    const Tool& tool = *tools_->registry.find(name);
    const Json* about = tool_function(tool.definition).find("description");
    Json one = Json::object();
    one["name"] = name;
    one["description"] = about && about->is_string() ? *about : Json("");
    one["group"] = tool.origin.empty() ? "built in" : tool.origin;
    one["asks"] = tool.changes;
    tools.push_back(std::move(one));
  }
  return state;
}

Result<Json> Page::list(const ServerRequest& request) {
  QUERN_ASSIGN(const std::vector<PageConversation> all, history_->list(query_of(request, "query")));
  Json json = Json::object();
  Json& conversations = json["conversations"] = Json::array();
  for (const PageConversation& one : all) conversations.push_back(one.info());
  return json;
}

Result<Json> Page::create(const ServerRequest& request) {
  QUERN_ASSIGN(const Json body, request_json(request, context_));
  QUERN_ASSIGN(const Json settings, settings_in(body));
  QUERN_ASSIGN(const int64_t id, history_->create(settings));
  QUERN_ASSIGN(const PageConversation made, history_->get(id));
  return made.to_json();
}

Result<Json> Page::get(const ServerRequest& request) {
  QUERN_ASSIGN(const int64_t id, id_in(request));
  QUERN_ASSIGN(const PageConversation found, history_->get(id));
  return found.to_json();
}

Result<Json> Page::fork(const ServerRequest& request) {
  QUERN_ASSIGN(const int64_t id, id_in(request));
  QUERN_ASSIGN(const Json body, request_json(request, context_));
  const Json* node = body.find("node");
  const auto message = node && node->is_number() ? node->to_int64() : Result<int64_t>(fail(Errc::invalid_argument, "node"));
  if (!message) return fail(Errc::invalid_argument, "node: expected a message's id");
  QUERN_ASSIGN(const int64_t copy, history_->fork(id, *message));
  QUERN_ASSIGN(const PageConversation made, history_->get(copy));
  return made.to_json();
}

Result<Json> Page::change(const ServerRequest& request) {
  QUERN_ASSIGN(const int64_t id, id_in(request));
  QUERN_ASSIGN(const Json body, request_json(request, context_));
  PageHistory::Change change;
  if (const Json* title = body.find("title")) {
    if (!title->is_string()) return fail(Errc::invalid_argument, "title: expected a string");
    change.title = title->as_string().substr(0, 500);
  }
  if (body.find("settings")) {
    QUERN_ASSIGN(change.settings, settings_in(body));
  }
  if (const Json* leaf = body.find("leaf"); leaf && !leaf->is_null()) {
    const auto message = leaf->is_number() ? leaf->to_int64() : Result<int64_t>(fail(Errc::invalid_argument, "leaf"));
    if (!message) return fail(Errc::invalid_argument, "leaf: expected a message's id");
    change.leaf = *message;
  }
  QUERN_TRY(history_->change(id, change));
  QUERN_ASSIGN(const PageConversation changed, history_->get(id));
  return changed.info();
}

Result<Json> Page::remove(const ServerRequest& request) {
  QUERN_ASSIGN(const int64_t id, id_in(request));
  QUERN_TRY(history_->remove(id));
  return Json::object();
}

Result<Json> Page::count(const ServerRequest& request) {
  QUERN_ASSIGN(const Json body, request_json(request, context_));
  const Json *name = body.find("model"), *texts = body.find("texts");
  if (!texts || !texts->is_array() || texts->size() > kMostTexts)
    return fail(Errc::invalid_argument, "texts: expected up to {} strings", kMostTexts);
  QUERN_ASSIGN(const auto model, context_.models.acquire(name && name->is_string() ? name->as_string() : "", {}));
  const Tokenizer* tokenizer = model->engine->tokenizer();
  if (!tokenizer) return fail(Errc::not_found, "model {}: it has no tokenizer", model->entry.name);
  Json json = Json::object();
  Json& counts = json["tokens"] = Json::array();
  for (const Json& text : texts->as_array()) {
    if (!text.is_string()) return fail(Errc::invalid_argument, "texts: expected strings");
    QUERN_ASSIGN(const std::vector<int32_t> tokens, tokenizer->encode(text.as_string(), false));
    counts.push_back(static_cast<uint64_t>(tokens.size()));
  }
  return json;
}

// {"allow": true} or {"answer": "words"}, null where they would rather not say.
Result<Json> Page::approve(const ServerRequest& request) {
  QUERN_ASSIGN(const Json body, request_json(request, context_));
  const std::string& id = request.parts.at("id");
  const auto kind = approvals_.kind(id);
  Approvals::Reply reply;
  if (kind == Approvals::Kind::words) {
    const Json* answer = body.find("answer");
    if (!answer || !(answer->is_string() || answer->is_null()))
      return fail(Errc::invalid_argument, "answer: expected a string or null");
    reply = answer->is_string() ? std::optional<std::string>(answer->as_string()) : std::nullopt;
  } else if (kind) {
    const Json* allow = body.find("allow");
    if (!allow || !allow->is_bool()) return fail(Errc::invalid_argument, "allow: expected true or false");
    reply = allow->as_bool();
  }
  if (!kind || !approvals_.answer(id, std::move(reply))) return fail(Errc::not_found, "nobody asks that any more");
  return Json::object();
}

void Page::send_export(const Router& router, const ServerRequest& request, ServerResponse& response) {
  const auto id = id_in(request);
  if (!id) return send_error(router, request, response, id.error());
  const auto conversation = history_->get(*id);
  if (!conversation) return send_error(router, request, response, conversation.error());
  if (query_of(request, "format") == "json") return response.json(200, conversation->to_json());
  response.send(200, "text/markdown; charset=utf-8", page_markdown(*conversation));
}

void Page::answer(const Router& router, const ServerRequest& request, ServerResponse& response) {
  const auto answered = [&]() -> Result<void> {
    QUERN_ASSIGN(const int64_t id, id_in(request));
    QUERN_ASSIGN(const Json body, request_json(request, context_));
    QUERN_ASSIGN(const PageQuestion question, PageQuestion::read(body));
    return answer_question({context_, *history_, approvals_, tools_}, id, question, request.client, response);
  }();
  if (!answered) send_error(router, request, response, answered.error());
}

}  // namespace quern
