// Which tools a model may call: the --tools, --mcp, --allow-host and --root of `quern chat` and `quern serve`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/mcp/mcp_tools.h"
#include "agent/tools/builtin_tools.h"
#include "agent/tools/tool.h"

namespace quern {

struct ToolChoiceOptions {
  std::string
      tools;  // "none", "files", "all", or names with commas between; names with "__" are MCP servers'. Empty: the servers' alone
  std::vector<std::string> mcp;    // as parse_mcp_argument takes them
  std::vector<std::string> hosts;  // that http_request may reach
  std::string root = ".";
  AskUser ask;  // empty: there is no ask_user, also not among "all"
  CallFormat format = CallFormat::hermes;
  std::function<void(const std::string& line)> on_warning;
  std::function<bool()> cancelled;  // of starting servers; empty: never
};

struct ChosenTools {
  ToolRegistry registry;
  McpClients servers;
};

// Starts the servers. Errors: a tool or server that there is not, what starting one fails with.
Result<ChosenTools> choose_tools(const ToolChoiceOptions& options);

}  // namespace quern
