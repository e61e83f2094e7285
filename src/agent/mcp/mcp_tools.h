// The tools of MCP servers in a run's registry.
//
// A tool is called SERVER__TOOL, always: the name says where it comes from, can neither hide a built-in tool nor another server's, and
// stays the same whichever servers there are. What the model format cannot spell becomes '_'.
//
// Every tool of a server counts as one that changes something, so it asks first unless the policy allows it; `trusted` in the server's
// configuration lets readOnlyHint and idempotentHint count. Tools whose schema cannot be enforced are left out, with one warning each.
#pragma once

#include <memory>
#include <vector>

#include "agent/mcp/client.h"
#include "agent/tools/tool.h"
#include "constrain/turn_machine.h"

namespace quern {

struct McpToolsOptions : McpOptions {
  CallFormat format = CallFormat::hermes;  // of the model that is to call them
};

// Starts the server and adds its tools behind those that are there.
Result<std::shared_ptr<McpClient>> add_mcp_tools(ToolRegistry& registry, const McpServerConfig& config,
                                                 const McpToolsOptions& options, const CallContext& context);

// The servers of a run.
class McpClients {
 public:
  static Result<McpClients> start(ToolRegistry& registry, const std::vector<McpServerConfig>& configs,
                                  const McpToolsOptions& options, const CallContext& context);

  // Between two turns: true where a server's tools are others than before, and the registry's have been replaced. Where a server cannot
  // say which tools it has, the old ones stay and a warning says so.
  bool refresh(ToolRegistry& registry, const CallContext& context);

 private:
  struct Entry {
    std::shared_ptr<McpClient> server;
    int64_t generation = 0;  // of the tools in the registry
  };
  McpToolsOptions options_;
  std::vector<Entry> entries_;
};

}  // namespace quern
