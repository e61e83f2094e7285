// The tools of a run: those that quern brings along and the task names, and those of its MCP servers.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/mcp/mcp_tools.h"
#include "agent/task/task.h"
#include "agent/tools/builtin_tools.h"

namespace quern {

struct RunToolsOptions {
  std::filesystem::path root;
  std::filesystem::path memory;                  // of remember and recall; empty: there is none
  std::vector<std::string> command_environment;  // NAME=value, of run_command
  std::vector<std::string> server_environment;   // and of MCP servers
  std::vector<McpServerConfig> servers;          // besides the task's; with the caller's own rights
  AskUser ask;
  std::string version;
  CallFormat format = CallFormat::hermes;
  std::function<void(const std::string& line)> on_warning;
  std::function<bool()> cancelled;
};

// The servers end with it.
struct RunTools {
  ToolRegistry registry;
  std::optional<McpClients> servers;
};

// The names among quern's own tools that some step of the task is offered; a step that says nothing is offered the nine file tools.
std::vector<std::string> builtin_tools_of(const Task& task);

// A server of the task, with its placeholders filled. not_found: a folder.
Result<McpServerConfig> server_config(const TaskServer& server, const Task& task, const std::filesystem::path& root);

// The task's inputs have their values. Errors name the tool or the server.
Result<RunTools> make_run_tools(const Task& task, const RunToolsOptions& options);

}  // namespace quern
