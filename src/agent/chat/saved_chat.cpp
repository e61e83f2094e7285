#include "agent/chat/saved_chat.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "text/display.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// Reads members of an object; the first thing that is wrong is kept, with its place.
class Reader {
 public:
  Reader(const Json& object, std::string place) : object_(object), place_(std::move(place)) {
    if (!object.is_object()) note("", fmt::format("expected an object, found {}", object.kind_name()));
  }
  const Json* member(std::string_view key, Json::Kind kind, bool required) {
    const Json* value = object_.find(key);
    if (value && value->kind() == kind) return value;
    if (value)
      note(key, fmt::format("expected {}, found {}", Json::kind_name(kind), value->kind_name()));
    else if (required)
      note(key, "is missing");
    return nullptr;
  }
  std::string text(std::string_view key) {
    const Json* value = member(key, Json::Kind::string, true);
    return value ? value->as_string() : std::string();
  }
  std::optional<std::string> optional_text(std::string_view key) {
    const Json* value = member(key, Json::Kind::string, false);
    return value ? std::optional<std::string>(value->as_string()) : std::nullopt;
  }
  double number(std::string_view key, double least, double most) {
    const Json* value = member(key, Json::Kind::number, true);
    const double number = value ? value->as_double() : least;
    if (!(number >= least && number <= most)) note(key, fmt::format("is outside {} to {}", least, most));
    return number;
  }
  void note(std::string_view key, const std::string& what) {
    if (error_.empty()) error_ = fmt::format("{}{}{}: {}", place_, place_.empty() || key.empty() ? "" : ".", key, what);
  }
  Result<void> done(std::string_view where) const {
    if (error_.empty()) return {};
    return fail(Errc::malformed, "{}: {}", where, error_);
  }

 private:
  const Json& object_;
  std::string place_, error_;
};

}  // namespace

Json message_to_json(const Message& m) {
  Json json = Json::object();
  json["role"] = role_name(m.role);
  json["content"] = m.content;
  if (m.reasoning) json["reasoning"] = *m.reasoning;
  if (!m.tool_calls.empty()) {
    Json& calls = json["tool_calls"] = Json::array();
    for (const ToolCall& call : m.tool_calls) {
      Json one = Json::object();
      one["name"] = call.name;
      one["arguments"] = call.arguments;
      calls.push_back(std::move(one));
    }
  }
  if (m.verbatim) json["verbatim"] = *m.verbatim;
  return json;
}

Result<Message> message_from_json(const Json& json, const std::string& place, std::string_view where) {
  Reader reader(json, place);
  Message m;
  const std::string role = reader.text("role");
  bool known = false;
  for (const Role one : {Role::system, Role::user, Role::assistant, Role::tool})
    if (role == role_name(one)) m.role = one, known = true;
  if (!known) reader.note("role", "expected system, user, assistant or tool");
  m.content = reader.text("content");
  m.reasoning = reader.optional_text("reasoning");
  m.verbatim = reader.optional_text("verbatim");
  if (m.role != Role::assistant && (m.reasoning || m.verbatim || json.find("tool_calls")))
    reader.note("role", "only an assistant has reasoning, verbatim or tool_calls");
  if (const Json* calls = reader.member("tool_calls", Json::Kind::array, false))
    for (size_t i = 0; i < calls->size(); ++i) {
      Reader call(calls->as_array()[i], fmt::format("{}.tool_calls[{}]", place, i));
      const std::string name = call.text("name");
      const Json* arguments = call.member("arguments", Json::Kind::object, true);
      QUERN_TRY(call.done(where));
      m.tool_calls.push_back({name, *arguments});
    }
  QUERN_TRY(reader.done(where));
  return m;
}

std::string SavedChat::to_json() const {
  Json json = Json::object();
  json["quern_chat"] = kVersion;
  json["model"] = model;
  json["format"] = chat_format_name(format);
  Json& how = json["sampling"] = Json::object();
  how["temperature"] = sampling.temperature;
  how["top_p"] = sampling.top_p;
  how["top_k"] = sampling.top_k;
  how["min_p"] = sampling.min_p;
  how["seed"] = sampling.seed;
  Json& said = json["messages"] = Json::array();
  for (const Message& m : messages) said.push_back(message_to_json(m));
  return json.dump_indented() + "\n";
}

Result<SavedChat> SavedChat::from_json(std::string_view text, std::string_view where) {
  QUERN_ASSIGN(const Json json, Json::parse(text, where));
  Reader reader(json, "");
  const Json* version = reader.member("quern_chat", Json::Kind::number, true);
  QUERN_TRY(reader.done(where));
  const auto number = version->to_int64();
  if (!number || *number < 1) return fail(Errc::malformed, "{}: quern_chat: expected the form's version, 1", where);
  if (*number > kVersion) return fail(Errc::unsupported, "{}: version {} was written by a newer quern", where, *number);
  SavedChat chat;
  chat.model = reader.text("model");
  const auto format = parse_chat_format(reader.text("format"));
  if (!format) reader.note("format", "expected instruct, thinking or coder");
  static const Json nothing = Json::object();
  const Json* sampling = reader.member("sampling", Json::Kind::object, true);
  const Json* messages = reader.member("messages", Json::Kind::array, true);
  QUERN_TRY(reader.done(where));
  chat.format = *format;
  Reader how(*sampling, "sampling");
  chat.sampling.temperature = how.number("temperature", 0, 100);
  chat.sampling.top_p = how.number("top_p", 0, 1);
  chat.sampling.top_k = static_cast<int64_t>(how.number("top_k", 0, 2147483647.0));
  chat.sampling.min_p = how.number("min_p", 0, 1);
  chat.sampling.seed = static_cast<uint64_t>(how.number("seed", 0, 9007199254740992.0));
  QUERN_TRY(how.done(where));
  if (messages->size() > kMostMessages) return fail(Errc::out_of_range, "{}: more than {} messages", where, kMostMessages);
  for (size_t i = 0; i < messages->size(); ++i) {
    QUERN_ASSIGN(Message message, message_from_json(messages->as_array()[i], fmt::format("messages[{}]", i), where));
    if (message.role == Role::system && i > 0)
      return fail(Errc::malformed, "{}: messages[{}]: a system message stands only at the beginning", where, i);
    chat.messages.push_back(std::move(message));
  }
  return chat;
}

Result<ChatFolder> ChatFolder::usual(const char* xdg_data_home, const char* home) {
  if (xdg_data_home && *xdg_data_home == '/') return ChatFolder(fs::path(xdg_data_home) / "quern/chats");
  if (home && *home) return ChatFolder(fs::path(home) / ".local/share/quern/chats");
  return fail(Errc::not_found, "neither XDG_DATA_HOME nor HOME says where chats are kept");
}

Result<void> ChatFolder::check_name(std::string_view name) {
  const bool fits = !name.empty() && name.size() <= 64 && name[0] != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
  if (fits) return {};
  return fail(Errc::invalid_argument, "{}: a name has letters, digits, '-', '_' and '.', at most 64 of them",
              cut_to_width(visible_text(name, Lines::join), 40));
}

Result<void> ChatFolder::save(const std::string& name, const SavedChat& chat) const {
  QUERN_TRY(check_name(name));
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return fail(Errc::io, "{}: {}", folder_.string(), error.message());
  fs::permissions(folder_, fs::perms::owner_all, error);
  return write_file(file(name), chat.to_json());
}

Result<SavedChat> ChatFolder::load(const std::string& name) const {
  QUERN_TRY(check_name(name));
  if (!has(name)) return fail(Errc::not_found, "{}: no such chat (/list shows those that are saved)", name);
  QUERN_ASSIGN(const std::string text, read_file(file(name), SavedChat::kMostBytes));
  return SavedChat::from_json(text, file(name).string());
}

bool ChatFolder::has(const std::string& name) const {
  std::error_code ignored;
  return fs::is_regular_file(file(name), ignored);
}

std::vector<std::string> ChatFolder::names() const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    const std::string stem = at->path().stem().string();
    if (at->path().extension() == ".json" && check_name(stem)) names.push_back(stem);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string chat_markdown(const std::vector<Message>& messages, std::string_view title) {
  const auto fenced = [](std::string_view text) {
    size_t longest = 2, run = 0;
    for (const char c : text) longest = std::max(longest, run = c == '`' ? run + 1 : 0);
    const std::string fence(longest + 1, '`');
    return fmt::format("{}\n{}{}{}\n\n", fence, text, text.ends_with('\n') ? "" : "\n", fence);
  };
  std::string out = fmt::format("# {}\n\n", visible_text(title, Lines::join));
  for (const Message& m : messages) {
    constexpr std::string_view heads[] = {"System", "You", "Assistant", "Tool"};
    out += fmt::format("## {}\n\n", heads[static_cast<size_t>(m.role)]);
    if (m.reasoning && !m.reasoning->empty())
      out += fmt::format("<details><summary>thinking</summary>\n\n{}</details>\n\n", fenced(visible_text(*m.reasoning)));
    if (m.role == Role::tool) {
      out += fenced(visible_text(m.content));
    } else if (!m.content.empty()) {
      out += fmt::format("{}\n\n", visible_text(m.content));
    }
    for (const ToolCall& call : m.tool_calls) {
      const std::string text = call.arguments.is_string() ? call.arguments.as_string() : call.arguments.dump_indented();
      out += fmt::format("calls {}\n\n{}", visible_text(call.name, Lines::join), fenced(visible_text(text)));
    }
  }
  return out;
}

}  // namespace quern
