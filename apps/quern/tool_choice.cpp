#include "tool_choice.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "agent/sandbox/command.h"
#include "agent/tools/memory_store.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

Result<McpClients> start_servers(ToolRegistry& registry, const ToolChoiceOptions& o) {
  const auto variable = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
  std::vector<McpServerConfig> configs;
  for (const std::string& argument : o.mcp) {
    QUERN_ASSIGN(auto some, parse_mcp_argument(argument, variable, o.on_warning));
    std::move(some.begin(), some.end(), std::back_inserter(configs));
  }
  McpToolsOptions options;
  std::error_code ignored;
  options.root = fs::canonical(o.root, ignored);
  options.environment = mcp_environment(environ);
  options.version = QUERN_VERSION;
  options.on_warning = o.on_warning;
  options.format = o.format;
  return McpClients::start(registry, configs, options, CallContext{.cancelled = o.cancelled, .on_output = {}});
}

bool is_of_server(const std::string& name) { return name.find("__") != std::string::npos; }

}  // namespace

Result<ChosenTools> choose_tools(const ToolChoiceOptions& o) {
  ChosenTools chosen;
  std::vector<std::string> names, builtin;
  for (std::string_view left = o.tools == "none" || o.tools == "all" ? "" : std::string_view(o.tools); !left.empty();) {
    const size_t comma = left.find(',');
    if (comma != 0) names.emplace_back(left.substr(0, comma));
    left.remove_prefix(comma == std::string_view::npos ? left.size() : comma + 1);
  }
  for (const std::string& name : names)
    if (!is_of_server(name)) builtin.push_back(name);
  if (o.tools == "all") {
    builtin = builtin_tool_names();
    if (!o.ask) std::erase(builtin, "ask_user");
  }
  if (!builtin.empty()) {
    BuiltinOptions options{.root = o.root, .tools = builtin, .command = {}, .http = {}, .ask = o.ask, .memory = {}};
    options.command.environment = harmless_environment(environ);
    options.http.allowed_hosts = o.hosts;
    QUERN_ASSIGN(options.memory, default_memory_file(std::getenv("XDG_DATA_HOME"), std::getenv("HOME")));
    QUERN_TRY(add_builtin_tools(chosen.registry, options));
  }
  if (o.tools == "none" || o.mcp.empty()) {
    if (names.size() > builtin.size())
      return fail(Errc::not_found, "no MCP server is named (--mcp), so there is no tool like {}", names.back());
    return chosen;
  }
  QUERN_ASSIGN(chosen.servers, start_servers(chosen.registry, o));
  if (names.size() > builtin.size()) {
    std::vector<std::string> kept = chosen.registry.names();
    std::erase_if(kept, [&](const std::string& name) {
      return is_of_server(name) && std::find(names.begin(), names.end(), name) == names.end();
    });
    for (const std::string& name : names)
      if (!chosen.registry.find(name) && name != "files") return fail(Errc::not_found, "no such tool: {}", name);
    QUERN_TRY(chosen.registry.restrict_to(kept));
  }
  return chosen;
}

}  // namespace quern
