// Which MCP servers there are and how to reach them: what a user writes down, in the file format that other agents read too or in one
// word on the command line.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/mcp/channel.h"
#include "agent/sandbox/policy.h"
#include "base/http/client.h"
#include "base/json.h"

namespace quern {

struct McpServerConfig {
  std::string name;  // letters, digits, '-' and single '_', at most 32: its tools are called name__tool

  // Either a program …
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>>
      environment;               // besides what says nothing about the user (PATH, LANG, …) and HOME
  std::filesystem::path folder;  // to run in; empty: the run's root, or the current folder
  SandboxPolicy sandbox;
  // … or an address.
  std::string url;
  HttpHeaders headers;
  std::string ca_file;

  bool trusted = false;                           // what it says about its tools (readOnlyHint, idempotentHint) is believed
  std::optional<std::vector<std::string>> tools;  // only these, by the server's own names; absent: all
  bool resources = false, prompts = false;        // offered as tools too, where the server has them
  double start_timeout_s = 30, call_timeout_s = 60, call_max_s = 3600;
  int max_restarts = 3;  // in a run
  McpLimits limits;
};

// The value of an environment variable, where there is one.
using McpVariables = std::function<std::optional<std::string>(const std::string& name)>;

// {"mcpServers": {NAME: {"command": …, "args": […], "env": {…}, "cwd": …} or {"url": …, "headers": {…}}}}: `where` opens the error
// messages. ${NAME} and ${NAME:-otherwise} in values are variables. Of quern's own, in every server: "trusted", "tools", "resources",
// "prompts", "startTimeout", "timeout", "maxTime", "maxRestarts"; "disabled": true leaves a server out. Other keys are passed over, as
// every agent has some of its own: on_warning names them.
Result<std::vector<McpServerConfig>> parse_mcp_config(const Json& config, std::string_view where, const McpVariables& variables,
                                                      const std::function<void(std::string)>& on_warning);

// One word of a command line: a file of the above (.json), NAME=URL, or NAME=PROGRAM ARGUMENTS… (in quotes where they hold spaces).
Result<std::vector<McpServerConfig>> parse_mcp_argument(const std::string& argument, const McpVariables& variables,
                                                        const std::function<void(std::string)>& on_warning);

// invalid_argument: a name that cannot be one, neither or both of command and url, a time that is not above zero.
Result<void> check_mcp_config(const McpServerConfig& config);

}  // namespace quern
