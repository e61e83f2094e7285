#include "agent/mcp/config.h"

#include <algorithm>
#include <set>

#include "base/file.h"

namespace quern {
namespace {

constexpr size_t kMaxConfig = size_t{1} << 20;
constexpr size_t kMaxName = 32;

using Variables = McpVariables;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// text with ${NAME} and ${NAME:-otherwise} replaced.
Result<std::string> expand(const std::string& text, const std::string& where, const Variables& variables) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t open = std::min(text.find("${", at), text.size());
    out += text.substr(at, open - at);
    if (open == text.size()) break;
    const size_t close = text.find('}', open);
    if (close == std::string::npos) return fail(Errc::malformed, "{}: ${{ without }}", where);
    const std::string inside = text.substr(open + 2, close - open - 2);
    const size_t otherwise = inside.find(":-");
    const std::string name = inside.substr(0, otherwise);
    const auto value = variables ? variables(name) : std::nullopt;
    if (!value && otherwise == std::string::npos)
      return fail(Errc::not_found, "{}: the environment has no variable {}", where, name);
    out += value ? *value : inside.substr(otherwise + 2);
    at = close + 1;
  }
  return out;
}

// One server's members, read one by one; those that nobody asked for are left.
class Members {
 public:
  Members(const Json& object, std::string where, const Variables& variables)
      : object_(object), where_(std::move(where)), variables_(variables) {}

  const Json* take(std::string_view key) {
    taken_.insert(std::string(key));
    const Json* member = object_.find(key);
    return member && !member->is_null() ? member : nullptr;
  }
  tl::unexpected<Error> bad(std::string_view key, std::string_view expected, const Json& found) const {
    return fail(Errc::malformed, "{}: {}: expected {}, found {}", where_, key, expected, found.kind_name());
  }

  Result<void> text(std::string_view key, std::string& out) {
    const Json* member = take(key);
    if (!member) return {};
    if (!member->is_string()) return bad(key, "a string", *member);
    QUERN_ASSIGN(out, expand(member->as_string(), fmt::format("{}: {}", where_, key), variables_));
    return {};
  }
  Result<void> flag(std::string_view key, bool& out) {
    const Json* member = take(key);
    if (!member) return {};
    if (!member->is_bool()) return bad(key, "true or false", *member);
    out = member->as_bool();
    return {};
  }
  Result<void> number(std::string_view key, double& out) {
    const Json* member = take(key);
    if (!member) return {};
    if (!member->is_number()) return bad(key, "a number", *member);
    out = member->as_double();
    return {};
  }
  Result<void> texts(std::string_view key, std::vector<std::string>& out) {
    const Json* member = take(key);
    if (!member) return {};
    if (!member->is_array()) return bad(key, "a list of strings", *member);
    for (const Json& item : member->as_array()) {
      if (!item.is_string()) return bad(key, "a list of strings", item);
      QUERN_ASSIGN(out.emplace_back(), expand(item.as_string(), fmt::format("{}: {}", where_, key), variables_));
    }
    return {};
  }
  Result<void> pairs(std::string_view key, const std::function<void(std::string, std::string)>& add) {
    const Json* member = take(key);
    if (!member) return {};
    if (!member->is_object()) return bad(key, "an object of strings", *member);
    for (const auto& [name, value] : member->as_object()) {
      if (!value.is_string()) return bad(fmt::format("{}: {}", key, name), "a string", value);
      QUERN_ASSIGN(std::string text, expand(value.as_string(), fmt::format("{}: {}: {}", where_, key, name), variables_));
      add(name, std::move(text));
    }
    return {};
  }

  std::vector<std::string> left() const {
    std::vector<std::string> names;
    for (const auto& [name, value] : object_.as_object())
      if (!taken_.contains(name)) names.push_back(name);
    return names;
  }

 private:
  const Json& object_;
  std::string where_;
  const Variables& variables_;
  std::set<std::string> taken_;
};

Result<void> read_transport(Members& members, const std::string& where, McpServerConfig& config) {
  std::string program, folder, kind;
  QUERN_TRY(members.text("command", program));
  if (!program.empty()) config.command.push_back(program);
  QUERN_TRY(members.texts("args", config.command));
  QUERN_TRY(members.text("cwd", folder));
  config.folder = folder;
  QUERN_TRY(members.pairs(
      "env", [&](std::string name, std::string value) { config.environment.emplace_back(std::move(name), std::move(value)); }));
  QUERN_TRY(members.text("url", config.url));
  QUERN_TRY(members.pairs("headers",
                          [&](std::string name, std::string value) { config.headers.add(std::move(name), std::move(value)); }));
  QUERN_TRY(members.text("caFile", config.ca_file));
  QUERN_TRY(members.text("type", kind));
  if (kind.empty()) QUERN_TRY(members.text("transport", kind));
  if (kind == "sse")
    return fail(Errc::unsupported, "{}: type: the transport of 2024 (sse) is not spoken; streamable HTTP is \"http\"", where);
  if (program.empty() && !config.command.empty()) return fail(Errc::malformed, "{}: args without a command", where);
  return {};
}

Result<McpServerConfig> read_server(const std::string& name, const Json& object, const std::string& where,
                                    const Variables& variables, const std::function<void(std::string)>& on_warning,
                                    bool& disabled) {
  if (!object.is_object()) return fail(Errc::malformed, "{}: expected an object, found {}", where, object.kind_name());
  Members members(object, where, variables);
  QUERN_TRY(members.flag("disabled", disabled));
  McpServerConfig config;
  config.name = name;
  if (disabled) return config;
  QUERN_TRY(read_transport(members, where, config));
  QUERN_TRY(members.flag("trusted", config.trusted));
  if (object.find("tools")) QUERN_TRY(members.texts("tools", config.tools.emplace()));
  QUERN_TRY(members.flag("resources", config.resources));
  QUERN_TRY(members.flag("prompts", config.prompts));
  QUERN_TRY(members.number("startTimeout", config.start_timeout_s));
  QUERN_TRY(members.number("timeout", config.call_timeout_s));
  QUERN_TRY(members.number("maxTime", config.call_max_s));
  double restarts = config.max_restarts;
  QUERN_TRY(members.number("maxRestarts", restarts));
  if (!(restarts >= 0 && restarts <= 1000)) return fail(Errc::invalid_argument, "{}: maxRestarts: expected 0 to 1000", where);
  config.max_restarts = static_cast<int>(restarts);
  for (const std::string& other : members.left())
    if (on_warning)
      on_warning(fmt::format("{}: {} is not known here and passed over", where, printable_line(other.substr(0, 100))));
  if (const auto checked = check_mcp_config(config); !checked) return with_context(checked.error(), where);
  return config;
}

// Words of a command line: white space parts them, quotes and \ keep it. No variables, no globs.
Result<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      inside = true;
    } else if (quote ? c == quote : c == '\'' || c == '"') {
      quote = quote ? '\0' : c;
      inside = true;
    } else if (!quote && (c == ' ' || c == '\t' || c == '\n')) {
      if (std::exchange(inside, false)) words.push_back(std::exchange(word, {}));
    } else {
      word += c;
      inside = true;
    }
  }
  if (quote) return fail(Errc::malformed, "a quote is not closed");
  if (inside) words.push_back(word);
  return words;
}

}  // namespace

Result<void> check_mcp_config(const McpServerConfig& config) {
  const std::string& name = config.name;
  if (name.empty() || name.size() > kMaxName || !std::all_of(name.begin(), name.end(), is_name_character) ||
      name.find("__") != std::string::npos || name.starts_with('_') || name.ends_with('_'))
    return fail(Errc::invalid_argument, "MCP server '{}': expected a name of at most {} letters, digits, '-' and single '_'",
                name.substr(0, 100), kMaxName);
  if (config.command.empty() == config.url.empty())
    return fail(Errc::invalid_argument, "MCP server {}: expected either a command or a url", name);
  if (!config.url.empty()) QUERN_TRY(parse_url(config.url));
  for (const double seconds : {config.start_timeout_s, config.call_timeout_s, config.call_max_s})
    if (!(seconds > 0 && seconds <= 1e6))
      return fail(Errc::invalid_argument, "MCP server {}: expected times above 0 seconds", name);
  return {};
}

Result<std::vector<McpServerConfig>> parse_mcp_config(const Json& config, std::string_view where, const Variables& variables,
                                                      const std::function<void(std::string)>& on_warning) {
  const Json* servers = config.find("mcpServers");
  if (!servers || !servers->is_object()) return fail(Errc::malformed, "{}: expected {{\"mcpServers\": {{NAME: {{…}}}}}}", where);
  std::vector<McpServerConfig> all;
  for (const auto& [name, object] : servers->as_object()) {
    bool disabled = false;
    QUERN_ASSIGN(McpServerConfig server,
                 read_server(name, object, fmt::format("{}: mcpServers: {}", where, name), variables, on_warning, disabled));
    if (!disabled) all.push_back(std::move(server));
  }
  return all;
}

Result<std::vector<McpServerConfig>> parse_mcp_argument(const std::string& argument, const Variables& variables,
                                                        const std::function<void(std::string)>& on_warning) {
  const size_t equals = argument.find('=');
  const bool named = equals != std::string::npos &&
                     std::all_of(argument.begin(), argument.begin() + static_cast<ptrdiff_t>(equals), is_name_character);
  if (!named) {
    if (!argument.ends_with(".json"))
      return fail(Errc::invalid_argument, "MCP server {}: expected NAME=PROGRAM ARGUMENTS…, NAME=URL or a .json file", argument);
    QUERN_ASSIGN(const std::string text, read_file(argument, kMaxConfig));
    QUERN_ASSIGN(const Json config, Json::parse(text, argument));
    return parse_mcp_config(config, argument, variables, on_warning);
  }
  McpServerConfig server;
  server.name = argument.substr(0, equals);
  const std::string value = argument.substr(equals + 1);
  if (value.starts_with("http://") || value.starts_with("https://")) {
    server.url = value;
  } else {
    auto words = split_words(value);
    if (!words) return with_context(words.error(), fmt::format("MCP server {}", server.name));
    server.command = std::move(*words);
  }
  QUERN_TRY(check_mcp_config(server));
  return std::vector{std::move(server)};
}

}  // namespace quern
