#include "agent/mcp/client.h"

#include <algorithm>
#include <set>
#include <thread>

#include "agent/mcp/content.h"
#include "agent/mcp/http_channel.h"
#include "agent/mcp/protocol.h"
#include "agent/mcp/stdio_channel.h"
#include "agent/sandbox/process.h"
#include "base/clock.h"
#include "constrain/constraint.h"

namespace quern {
namespace {

constexpr size_t kMaxPages = 200, kMaxListed = 2000;
constexpr size_t kMaxSchemaBytes = 64 << 10, kMaxDescription = 4 << 10;

// "file:///a%20b".
std::string file_uri(const std::filesystem::path& path) {
  std::string uri = "file://";
  for (const char c : path.generic_string()) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view("/-_.~").find(c) != std::string_view::npos;
    uri += kept ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return uri;
}

// Whether what a tool returns can be held against this schema.
Result<void> can_check(const Json& schema) {
  if (const size_t bytes = schema.dump().size(); bytes > kMaxSchemaBytes)
    return fail(Errc::out_of_range, "it has {} bytes, at most {} are taken", bytes, kMaxSchemaBytes);
  QUERN_TRY(compile_schema(schema, {}));
  return {};
}

// Sleeps; false: the run ended meanwhile.
bool pause(double seconds, const CallContext& context) {
  const auto until = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < until) {
    if (context.is_cancelled()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace

std::vector<std::string> mcp_environment(const char* const* environment) {
  std::vector<std::string> kept = harmless_environment(environment);
  for (; environment && *environment; ++environment) {
    const std::string_view entry = *environment, name = entry.substr(0, entry.find('='));
    if (name == "HOME" || name == "USER" || name == "LOGNAME" || name == "SHELL") kept.emplace_back(entry);
  }
  return kept;
}

Result<std::shared_ptr<McpClient>> McpClient::start(McpServerConfig config, McpOptions options, const CallContext& context) {
  QUERN_TRY(check_mcp_config(config));
  std::shared_ptr<McpClient> server(new McpClient(std::move(config), std::move(options)));
  if (const auto connected = server->connect(context); !connected)
    return with_context(connected.error(), fmt::format("MCP server {}", server->config_.name));
  return server;
}

McpClient::~McpClient() = default;

void McpClient::warn(const std::string& line) const {
  if (options_.on_warning) options_.on_warning(fmt::format("MCP server {}: {}", config_.name, line));
}

bool McpClient::has(std::string_view capability) const {
  const Json* found = capabilities_.find(capability);
  return found && found->is_object();
}

std::unique_ptr<McpChannel> McpClient::make_channel() const {
  if (!config_.url.empty()) return make_http_channel({config_.url, config_.headers, config_.ca_file}, config_.limits);
  StdioServer program{config_.command, config_.folder, options_.environment, config_.sandbox};
  if (program.folder.empty()) program.folder = options_.root.empty() ? std::filesystem::path(".") : options_.root;
  for (const auto& [name, value] : config_.environment) {
    std::erase_if(program.environment, [&, start = name + "="](const std::string& entry) { return entry.starts_with(start); });
    program.environment.push_back(name + "=" + value);
  }
  return make_stdio_channel(program, config_.limits);
}

// By value what they need: a connection's threads call them.
McpHooks McpClient::hooks() const {
  const std::string prefix = fmt::format("MCP server {}: ", config_.name);
  McpHooks hooks;
  hooks.on_warning = [prefix, say = options_.on_warning](const std::string& line) {
    if (say) say(prefix + line);
  };
  hooks.on_log = [prefix, say = options_.on_log](std::string_view level, const std::string& line) {
    if (say && level != "debug") say(prefix + line);
  };
  hooks.on_change = [state = state_](const std::string& method) {
    if (method == "notifications/tools/list_changed") ++state->generation;
  };
  hooks.answer = [root = options_.root](const std::string& method, const Json&) -> std::optional<Json> {
    if (method != "roots/list" || root.empty()) return std::nullopt;
    const Json entry = json_object({{"uri", file_uri(root)}, {"name", root.filename().string()}});
    return json_object({{"roots", Json::Array{entry}}});
  };
  return hooks;
}

Result<void> McpClient::connect(const CallContext& context) {
  connection_.reset();
  QUERN_ASSIGN(connection_, McpConnection::open(make_channel(), config_.limits, hooks()));
  auto ready = initialize(context);
  if (!ready) connection_.reset();
  return ready;
}

Result<void> McpClient::initialize(const CallContext& context) {
  Json offered = Json::object();
  if (!options_.root.empty()) offered["roots"] = json_object({{"listChanged", false}});
  const Json self = json_object({{"name", "quern"}, {"version", options_.version.empty() ? "0" : options_.version}});
  McpRequestOptions patience{.timeout_s = config_.start_timeout_s, .max_s = config_.start_timeout_s, .may_cancel = false};
  patience.cancelled = context.cancelled;
  QUERN_ASSIGN(const Json answer,
               connection_->request(
                   "initialize",
                   json_object({{"protocolVersion", kMcpVersions[0]}, {"capabilities", offered}, {"clientInfo", self}}), patience));
  const std::string version = string_member(answer, "protocolVersion");
  if (!speaks_mcp_version(version))
    return fail(Errc::unsupported, "it speaks version '{}' of the protocol; quern speaks {} to {}", mcp_line(version, 40),
                *std::rbegin(kMcpVersions), kMcpVersions[0]);
  protocol_version_ = version;
  const Json* capabilities = answer.find("capabilities");
  capabilities_ = capabilities && capabilities->is_object() ? *capabilities : Json::object();
  QUERN_TRY(connection_->notify("notifications/initialized", Json()));
  connection_->opened(version);
  return {};
}

Result<void> McpClient::ensure_alive(const CallContext& context) {
  std::optional<std::string> dead = connection_ ? connection_->end_reason() : "it could not be started again";
  while (dead) {
    if (restarts_ >= config_.max_restarts)
      return fail(Errc::io, "{}; it was started again {} times and is not any more", *dead, restarts_);
    warn(fmt::format("{}; starting it again", *dead));
    const double wait_s = 0.2 * static_cast<double>(int64_t{1} << std::min(restarts_, 8));
    ++restarts_;
    if (!pause(wait_s, context)) return fail(Errc::denied, "interrupted");
    const auto connected = connect(context);
    if (connected) {
      ++state_->generation;
      return {};
    }
    if (context.is_cancelled()) return fail(Errc::denied, "interrupted");
    dead = connected.error().message;
  }
  return {};
}

Result<Json> McpClient::request(std::string_view method, Json params, const CallContext& context) {
  QUERN_TRY(ensure_alive(context));
  McpRequestOptions options{.timeout_s = config_.call_timeout_s, .max_s = config_.call_max_s};
  options.cancelled = context.cancelled;
  // Asked for even if nobody looks: progress is a sign of life.
  options.on_progress = [&](std::string_view line) {
    if (context.on_output) context.on_output(fmt::format("{}: {}", config_.name, line));
  };
  return connection_->request(method, std::move(params), options);
}

Result<std::vector<Json>> McpClient::list(std::string_view method, std::string_view key, const CallContext& context) {
  std::vector<Json> all;
  std::set<std::string> cursors;
  Json params;
  for (size_t page = 0; page < kMaxPages; ++page) {
    QUERN_ASSIGN(Json answer, request(method, params, context));
    Json* items = answer.find(key);
    if (!items || !items->is_array()) return fail(Errc::malformed, "{}: expected a list of {}", method, key);
    for (Json& item : items->as_array()) {
      if (all.size() == kMaxListed) {
        warn(fmt::format("only the first {} {} are used", kMaxListed, key));
        return all;
      }
      all.push_back(std::move(item));
    }
    const std::string next = string_member(answer, "nextCursor");
    if (next.empty()) return all;
    if (!cursors.insert(next).second) return fail(Errc::malformed, "{}: its pages go in a circle", method);
    params = json_object({{"cursor", next}});
  }
  warn(fmt::format("only the first {} pages of its {} are used", kMaxPages, key));
  return all;
}

Result<std::vector<McpToolInfo>> McpClient::list_tools(const CallContext& context) {
  std::vector<McpToolInfo> tools;
  if (!has("tools")) return tools;
  QUERN_ASSIGN(const auto listed, list("tools/list", "tools", context));
  for (const Json& item : listed) {
    McpToolInfo tool;
    tool.name = string_member(item, "name");
    tool.description = string_member(item, "description");
    if (tool.description.empty()) tool.description = string_member(item, "title");
    if (tool.description.size() > kMaxDescription) tool.description = mcp_line(tool.description, kMaxDescription);
    const Json* schema = item.find("inputSchema");
    const std::string shown = mcp_line(tool.name, 80);
    if (tool.name.empty() || !schema || !schema->is_object()) {
      warn(fmt::format("the tool '{}' is left out: it has no {}", shown, tool.name.empty() ? "name" : "inputSchema"));
      continue;
    }
    if (const size_t bytes = schema->dump().size(); bytes > kMaxSchemaBytes) {
      warn(fmt::format("the tool '{}' is left out: its schema has {} bytes, at most {} are taken", shown, bytes, kMaxSchemaBytes));
      continue;
    }
    tool.input_schema = *schema;
    if (const Json* output = item.find("outputSchema"); output && !output->is_null()) {
      if (const auto usable = can_check(*output))
        tool.output_schema = *output;
      else
        warn(fmt::format("the outputSchema of the tool '{}' is not checked: {}", shown, mcp_line(usable.error().message)));
    }
    if (const Json* hints = item.find("annotations")) {
      tool.read_only = bool_member(*hints, "readOnlyHint", false);
      tool.idempotent = bool_member(*hints, "idempotentHint", false);
    }
    tools.push_back(std::move(tool));
  }
  return tools;
}

ToolResult McpClient::call_tool(const McpToolInfo& tool, const Json& arguments, const CallContext& context) {
  if (const auto alive = ensure_alive(context); !alive)
    return {fmt::format("error: the server {} was not asked: {}", config_.name, alive.error().message), true};
  const auto answer = request("tools/call", json_object({{"name", tool.name}, {"arguments", arguments}}), context);
  if (answer) {
    ToolResult result = text_of_call(*answer);
    const auto kept = tool.output_schema && !result.is_error ? check_output(*tool.output_schema, *answer) : Result<void>();
    if (kept) return result;
    return {fmt::format("error: the server {} does not keep to the outputSchema of {}: {}. The call was made; it returned:\n{}",
                        config_.name, mcp_line(tool.name, 80), mcp_line(kept.error().message), result.text),
            true};
  }
  std::string text = fmt::format("error: the server {}: {}", config_.name, answer.error().message);
  if (connection_ && connection_->end_reason()) text += "; whether the call had an effect is not known";
  return {std::move(text), true};
}

Result<std::vector<Json>> McpClient::list_resources(const CallContext& context) {
  QUERN_ASSIGN(auto all, list("resources/list", "resources", context));
  if (const auto templates = list("resources/templates/list", "resourceTemplates", context))
    all.insert(all.end(), templates->begin(), templates->end());
  else if (templates.error().code != Errc::unsupported)  // older servers have none
    return tl::unexpected(templates.error());
  return all;
}

Result<Json> McpClient::read_resource(const std::string& uri, const CallContext& context) {
  return request("resources/read", json_object({{"uri", uri}}), context);
}

Result<std::vector<Json>> McpClient::list_prompts(const CallContext& context) { return list("prompts/list", "prompts", context); }

Result<Json> McpClient::get_prompt(const std::string& name, const Json& arguments, const CallContext& context) {
  return request("prompts/get", json_object({{"name", name}, {"arguments", arguments}}), context);
}

}  // namespace quern
