#include "server/page/answer.h"

#include <algorithm>
#include <atomic>

#include "agent/chat/chat.h"
#include "agent/tools/ask_tool.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "server/http/event_stream.h"
#include "server/page/served_chat_model.h"
#include "server/shape.h"
#include "text/assistant_stream.h"
#include "text/display.h"

namespace quern {
namespace {

constexpr size_t kTitleWidth = 60;

std::string word_of(const Json& json, std::string_view key) { return text_of(json, key).value_or(""); }

template <class Number>
Result<std::optional<Number>> number(const Json& json, std::string_view key, double low, double high) {
  const Json* value = member_of(json, key);
  if (!value) return std::optional<Number>();
  if (!value->is_number() || !(value->as_double() >= low && value->as_double() <= high))
    return fail(Errc::invalid_argument, "settings.{}: expected a number from {} to {}", key, low, high);
  return std::optional<Number>(static_cast<Number>(value->as_double()));
}

// What the model reads of a question: the files, then the words.
Result<Message> message_of(const Json& parts) {
  Message message;
  for (const Json& part : parts.as_array()) {
    const std::string type = word_of(part, "type"), text = word_of(part, "text");
    if (type == "attachment")
      message.content += fmt::format("<file name={}>\n{}{}</file>\n\n", Json(word_of(part, "name")).dump(), text,
                                     text.ends_with('\n') || text.empty() ? "" : "\n");
    else if (type == "text")
      message.content += text;
    else
      return fail(Errc::invalid_argument, "parts: type {}: expected text or attachment", Json(type).dump());
  }
  if (message.content.empty()) return fail(Errc::invalid_argument, "parts: nothing is asked");
  return message;
}

std::string title_of(const Json& parts) {
  for (const Json& part : parts.as_array())
    if (word_of(part, "type") == "text") {
      const std::string text = word_of(part, "text");
      return cut_to_width(visible_text(text.substr(0, text.find('\n')), Lines::join), kTitleWidth);
    }
  return parts.size() ? word_of(parts.as_array().front(), "name") : std::string();
}

// The answer as it grows: what is told to the page, and what is kept.
class Answer {
 public:
  Answer(EventStream& events, ChatFormat format) : events_(events), format_(format) { begin_turn(); }

  void begin_turn() {
    begun_ = calls_;  // what was begun and is no call now was cut off
    stream_.emplace(format_ == ChatFormat::thinking,
                    [this](AssistantStream::Part part, std::string_view text) { said(part, text); });
  }
  void text(std::string_view text) { stream_->feed(text); }
  void reading(int64_t done, int64_t total) {
    Json json = Json::object();
    json["done"] = done;
    json["total"] = total;
    tell("reading", json);
  }
  // The model is there as far as its files are mapped, and waits for the disk.
  void loading(const std::string& model, const Residency& weights) {
    Json json = Json::object();
    json["model"] = model;
    json["done"] = static_cast<uint64_t>(weights.resident);
    json["total"] = static_cast<uint64_t>(weights.total);
    tell("loading", json);
  }

  void event(const Event& event, int64_t context) {
    if (const auto* turn = std::get_if<TurnEvent>(&event)) {
      stream_->finish();
      begin_turn();
      use(*turn, context);
    } else if (const auto* call = std::get_if<CallEvent>(&event)) {
      this->call(*call);
    } else if (const auto* confirm = std::get_if<ConfirmEvent>(&event)) {
      if (Json* part = last_call()) (*part)["decision"] = confirm->allowed ? "allowed" : "denied";
    } else if (const auto* result = std::get_if<ResultEvent>(&event)) {
      this->result(*result);
    }
  }

  // The model begins a call, and writes its arguments: shown as they come. call() has the last word on both.
  void begin_call(const std::string& name) {
    Json json = Json::object();
    json["id"] = call_id(++begun_);
    json["name"] = name;
    tell("call", json);
  }
  void more_arguments(const std::string& text) {
    Json json = Json::object();
    json["id"] = call_id(begun_);
    json["json"] = text;
    tell("arguments", json);
  }

  void question(const std::string& id, const std::string& text, const std::vector<std::string>& choices) {
    Json json = Json::object();
    json["id"] = id;
    json["call"] = call_id(calls_);
    json["question"] = text;
    Json& all = json["choices"] = Json::array();
    for (const std::string& choice : choices) all.push_back(choice);
    tell("question", json);
  }
  void approval(const std::string& id, std::string_view reason) {
    Json json = Json::object();
    json["id"] = id;
    json["call"] = call_id(calls_);
    json["reason"] = reason;
    tell("approval", json);
  }
  void error(const std::string& message) {
    Json part = Json::object();
    part["type"] = "error";
    part["text"] = message;
    parts_.push_back(std::move(part));
    Json json = Json::object();
    json["message"] = message;
    tell("error", json);
  }

  bool open() const { return events_.open(); }
  const Json& parts() const { return parts_; }
  const Json& usage() const { return usage_; }
  const std::string& warning() const { return warning_; }

 private:
  static std::string call_id(int64_t number) { return fmt::format("call_{}", number); }
  Json* last_call() {
    Json::Array& parts = parts_.as_array();
    const auto found = std::find_if(parts.rbegin(), parts.rend(), [](const Json& part) { return word_of(part, "type") == "call"; });
    return found == parts.rend() ? nullptr : &*found;
  }
  void tell(std::string_view name, const Json& json) { events_.json_event(name, json); }

  void said(AssistantStream::Part part, std::string_view text) {
    if (part == AssistantStream::Part::call) return;  // see begin_call
    const std::string_view type = part == AssistantStream::Part::thinking ? "thinking" : "text";
    Json::Array& parts = parts_.as_array();
    if (parts.empty() || word_of(parts.back(), "type") != type) {
      Json fresh = Json::object();
      fresh["type"] = type;
      fresh["text"] = "";
      parts.push_back(std::move(fresh));
    }
    Json& grown = *parts.back().find("text");
    grown = grown.as_string() + std::string(text);
    Json json = Json::object();
    json["text"] = text;
    tell(type, json);
  }

  void use(const TurnEvent& turn, int64_t context) {
    decoded_s_ += turn.decode_s;
    tokens_ += turn.tokens;
    usage_ = Json::object();
    usage_["prompt_tokens"] = turn.prompt_tokens;
    usage_["reused_tokens"] = turn.reused_tokens;
    usage_["tokens"] = tokens_;
    usage_["decode_s"] = decoded_s_;
    usage_["context"] = context;
    tell("usage", usage_);
  }

  void call(const CallEvent& call) {
    begun_ = std::max(begun_, ++calls_);
    warning_ = call.warning;
    const std::string name = call.name.empty() ? "malformed" : call.name;
    const std::string arguments = call.arguments.is_string() ? call.arguments.as_string() : call.arguments.dump();
    Json part = Json::object();
    part["type"] = "call";
    part["id"] = call_id(calls_);
    part["name"] = name;
    part["arguments"] = arguments;
    parts_.push_back(part);
    tell("called", part);
  }

  void result(const ResultEvent& result) {
    Json json = Json::object();
    json["call"] = call_id(calls_);
    json["text"] = result.text;
    json["ok"] = !result.is_error;
    json["seconds"] = result.seconds;
    if (Json* part = last_call()) {
      (*part)["result"] = result.text;
      (*part)["ok"] = !result.is_error;
      (*part)["seconds"] = result.seconds;
      if (const Json* decision = part->find("decision")) json["decision"] = *decision;
    }
    tell("result", json);
  }

  EventStream& events_;
  ChatFormat format_;
  std::optional<AssistantStream> stream_;
  Json parts_ = Json::array(), usage_;
  int64_t calls_ = 0, begun_ = 0, tokens_ = 0;  // calls of the loop; calls that the model has begun to write
  double decoded_s_ = 0;
  std::string warning_;
};

std::string finish_of(const EndEvent& end) {
  switch (end.status) {
    case RunStatus::success:
      return "stop";
    case RunStatus::cancelled:
      return "cancelled";
    case RunStatus::failed:
      return "error";
  }
  return "error";
}

// The tools that were chosen, of those there are; each call waits for the one before it, but for questions to the person, who may take long.
Result<ToolRegistry> chosen_tools(PageTools* tools, const std::vector<std::string>& names, AskUser ask) {
  ToolRegistry chosen;
  if (names.empty()) return chosen;
  if (!tools) return fail(Errc::denied, "settings.tools: this server was started without tools");
  const std::lock_guard lock(tools->mutex);
  if (tools->refresh) tools->refresh(tools->registry);
  for (const std::string& name : tools->registry.names()) {
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    if (name == "ask_user") {
      QUERN_TRY(chosen.add(ask_user_tool(ask)));
      continue;
    }
    Tool tool = *tools->registry.find(name);
    tool.execute = [tools, execute = std::move(tool.execute)](const Json& arguments, const CallContext& context) {
      const std::lock_guard one(tools->mutex);
      return execute(arguments, context);
    };
    QUERN_TRY(chosen.add(std::move(tool)));
  }
  return chosen;
}

TurnRequest turn_of(const PageSettings& settings, const Engine& engine, const std::string& client) {
  TurnRequest turn;
  turn.client = client;
  turn.sampling = engine.default_sampling();
  if (settings.temperature) turn.sampling.temperature = *settings.temperature;
  if (settings.top_p) turn.sampling.top_p = *settings.top_p;
  turn.sampling.seed = random_seed();
  if (!settings.thinking) turn.reasoning_tokens = 0;
  return turn;
}

// The question as a message: a new one, or, where it has no parts, its parent asked again.
Result<PageMessage> message_asked(const PageQuestion& question, const PageConversation& conversation) {
  if (question.parts.size() == 0) {
    const PageMessage* again = question.parent ? conversation.find(*question.parent) : nullptr;
    if (!again || again->role != Role::user || again->messages.empty())
      return fail(Errc::invalid_argument, "parent: without parts, expected the id of a question in this conversation");
    return *again;
  }
  PageMessage asked;
  asked.parent = question.parent;
  asked.parts = question.parts;
  QUERN_ASSIGN(Message message, message_of(question.parts));
  asked.messages.push_back(std::move(message));
  return asked;
}

// One question on its way: first all that can be wrong with it, then its answer.
class QuestionCall {
 public:
  QuestionCall(const AnswerParts& with, int64_t conversation, const PageQuestion& question, ServerResponse& response)
      : with_(with), conversation_(conversation), question_(question), response_(response) {}

  // Puts it into the history; the client is told nothing yet.
  Result<void> accept() {
    QUERN_ASSIGN(before_, with_.history.get(conversation_));
    QUERN_ASSIGN(asked_, message_asked(question_, before_));
    QUERN_ASSIGN(tools_, chosen_tools(with_.tools, question_.settings.tools,
                                      [this](const auto& text, const auto& choices) { return ask_user(text, choices); }));
    QUERN_ASSIGN(model_name_, with_.context.models.resolve(question_.settings.model));
    fresh_ = asked_.id == 0;
    if (fresh_) {
      asked_.created = unix_time();
      QUERN_ASSIGN(asked_.id, with_.history.add(conversation_, asked_));
    }
    if (before_.title.empty()) {
      before_.title = title_of(asked_.parts);
      QUERN_TRY(with_.history.change(conversation_, {.title = before_.title, .settings = {}, .leaf = {}}));
    }
    return {};
  }

  void answer(const std::string& client) {
    events_.emplace(response_);
    if (fresh_) events_->json_event("node", Json::Object{{"node", asked_.to_json()}});
    const auto model = load();
    if (!model) return;
    const Engine& engine = *model->engine;
    answer_.emplace(*events_, engine.chat_format());
    events_->json_event("start", Json::Object{{"id", 0}, {"prompt_tokens", 0}, {"context", engine.context()}});
    Chat chat(std::make_unique<ServedChatModel>(model, turn_of(question_.settings, engine, client), watcher()));
    const size_t known = remember(chat);
    const EndEvent end = chat.ask(asked_.messages.front().content, tools_, loop(engine.context()));
    if (end.status == RunStatus::failed) answer_->error(end.reason);
    const std::vector<Message>& all = chat.messages();
    std::vector<Message> said;
    if (all.size() > known) said.assign(all.begin() + static_cast<std::ptrdiff_t>(known), all.end());
    keep(std::move(said), response_.closed() ? "cancelled" : finish_of(end));
  }

 private:
  bool cancelled() const { return response_.closed() || !answer_->open(); }

  std::optional<std::string> ask_user(const std::string& text, const std::vector<std::string>& choices) {
    const auto reply = with_.approvals.wait(
        Approvals::Kind::words, [&](const std::string& id) { answer_->question(id, text, choices); },
        [this] { return cancelled(); });
    return reply ? std::get<std::optional<std::string>>(*reply) : std::nullopt;
  }
  Decision confirm() {
    const auto allowed = with_.approvals.wait(
        Approvals::Kind::yes_or_no, [this](const std::string& id) { answer_->approval(id, answer_->warning()); },
        [this] { return cancelled(); });
    return !allowed ? Decision::quit : std::get<bool>(*allowed) ? Decision::yes : Decision::no;
  }

  // nullptr: it cannot be had, and the page was told why.
  std::shared_ptr<ServedModel> load() {
    bool told = false;
    const auto model = with_.context.models.acquire(model_name_, [&] {
      if (!std::exchange(told, true)) events_->json_event("loading", Json::Object{{"model", model_name_}});
      return events_->open() && !response_.closed();
    });
    if (!model) {
      events_->json_event("error", Json::Object{{"message", model.error().message}});
      return nullptr;
    }
    response_.notes().model = model_name_;
    return *model;
  }

  ServedChatModel::Watcher watcher() {
    return {.on_reading = [this](int64_t done, int64_t total) { answer_->reading(done, total); },
            .on_disk = [this](const Residency& weights) { answer_->loading(model_name_, weights); },
            .on_call = [this](const std::string& called) { answer_->begin_call(called); },
            .on_arguments = [this](const std::string& json) { answer_->more_arguments(json); }};
  }

  // Has the chat know what was said before the question; returns how many of its messages will not be the answer's: the question is one.
  size_t remember(Chat& chat) const {
    std::vector<Message> past;
    for (const PageMessage* node : before_.path_to(asked_.parent))
      past.insert(past.end(), node->messages.begin(), node->messages.end());
    const size_t known = past.size() + (question_.settings.system.empty() ? 0 : 1) + 1;
    chat.replace(std::move(past));
    chat.set_system(question_.settings.system);
    return known;
  }

  LoopOptions loop(int64_t context) {
    LoopOptions loop;
    if (with_.tools) loop.root = with_.tools->root;
    if (question_.settings.max_tokens) loop.budget.tokens = *question_.settings.max_tokens;
    loop.cancelled = [this] { return cancelled(); };
    loop.on_text = [this](std::string_view text) { answer_->text(text); };
    loop.on_event = [this, context](const Event& event) { answer_->event(event, context); };
    loop.confirm = [this](const Tool&, const ToolCall&) { return confirm(); };
    return loop;
  }

  // The answer, into the history; the page hears of it as its last event.
  void keep(std::vector<Message> messages, std::string finish) {
    response_.notes().finish = finish;
    if (answer_->parts().size() == 0 && finish == "cancelled") return;
    PageMessage said;
    said.parent = asked_.id;
    said.role = Role::assistant;
    said.created = unix_time();
    said.parts = answer_->parts();
    said.messages = std::move(messages);
    said.model = model_name_;
    said.usage = answer_->usage();
    said.finish = std::move(finish);
    const auto id = with_.history.add(conversation_, said);
    if (!id) return answer_->error(id.error().message);
    said.id = *id;
    events_->json_event("end", Json::Object{{"node", said.to_json()}, {"title", before_.title}});
  }

  const AnswerParts& with_;
  const int64_t conversation_;
  const PageQuestion& question_;
  ServerResponse& response_;
  PageConversation before_;  // as it was when the question came, but for its title
  PageMessage asked_;
  bool fresh_ = false;  // asked for the first time
  ToolRegistry tools_;
  std::string model_name_;
  std::optional<EventStream> events_;
  std::optional<Answer> answer_;  // once there is a model
};

}  // namespace

Result<PageSettings> PageSettings::read(const Json& json) {
  if (!json.is_object()) return fail(Errc::invalid_argument, "settings: expected an object, found {}", json.kind_name());
  PageSettings settings;
  settings.model = word_of(json, "model");
  settings.system = word_of(json, "system");
  QUERN_ASSIGN(settings.temperature, number<double>(json, "temperature", 0, 2));
  QUERN_ASSIGN(settings.top_p, number<double>(json, "top_p", 0, 1));
  QUERN_ASSIGN(settings.max_tokens, number<int64_t>(json, "max_tokens", 1, 1e6));
  if (const Json* thinking = member_of(json, "thinking"); thinking && thinking->is_bool()) settings.thinking = thinking->as_bool();
  if (const Json* tools = member_of(json, "tools")) {
    if (!tools->is_array()) return fail(Errc::invalid_argument, "settings.tools: expected names");
    for (const Json& tool : tools->as_array()) {
      if (!tool.is_string()) return fail(Errc::invalid_argument, "settings.tools: expected names");
      settings.tools.push_back(tool.as_string());
    }
  }
  return settings;
}

Result<PageQuestion> PageQuestion::read(const Json& json) {
  PageQuestion question;
  if (const Json* parent = member_of(json, "parent")) {
    const auto id = parent->is_number() ? parent->to_int64() : Result<int64_t>(fail(Errc::invalid_argument, "parent"));
    if (!id) return fail(Errc::invalid_argument, "parent: expected a message's id, or null");
    question.parent = *id;
  }
  const Json* parts = member_of(json, "parts");
  if (!parts || !parts->is_array()) return fail(Errc::invalid_argument, "parts: expected an array");
  question.parts = *parts;
  const Json* settings = member_of(json, "settings");
  if (!settings) return fail(Errc::invalid_argument, "settings: missing");
  QUERN_ASSIGN(question.settings, PageSettings::read(*settings));
  return question;
}

Result<void> answer_question(const AnswerParts& with, int64_t conversation, const PageQuestion& question, const std::string& client,
                             ServerResponse& response) {
  QuestionCall call(with, conversation, question, response);
  QUERN_TRY(call.accept());
  call.answer(client);
  return {};
}

}  // namespace quern
