// An MCP server as a child process: a message a line on its standard input and output. What it prints on standard error is kept for the
// message about its end.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "agent/mcp/channel.h"
#include "agent/sandbox/policy.h"

namespace quern {

struct StdioServer {
  std::vector<std::string> command;  // the program and its arguments
  std::filesystem::path folder;
  std::vector<std::string> environment;  // NAME=value, all of it
  SandboxPolicy sandbox;
};

// Its start() fails as ChildProcess::spawn does: not_found, denied, io.
std::unique_ptr<McpChannel> make_stdio_channel(const StdioServer& server, const McpLimits& limits);

}  // namespace quern
