// McpClient: an MCP server as long as a run needs it. It is started and asked what it can do; when it dies it is started again, a bounded
// number of times and after a pause that grows; a call that was under way then is an error and is never repeated behind anyone's back.
// For one thread at a time, but for cancelled() and the hooks.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/mcp/config.h"
#include "agent/mcp/connection.h"
#include "agent/tools/tool.h"

namespace quern {

struct McpOptions {
  std::filesystem::path root;            // what roots/list answers, and where programs run; empty: neither
  std::vector<std::string> environment;  // NAME=value for every program: see mcp_environment()
  std::string version;                   // of quern, for the server
  // Both may be called from other threads; the line begins with the server's name.
  std::function<void(const std::string& line)> on_warning;
  std::function<void(const std::string& line)> on_log;  // what servers log, from their level "info" on; empty: nobody looks
};

struct McpToolInfo {
  std::string name, description;
  Json input_schema;
  std::optional<Json> output_schema;           // of its structuredContent; absent also where it cannot be checked
  bool read_only = false, idempotent = false;  // as the server says
};

class McpClient {
 public:
  // Starts it and agrees on a version of the protocol.
  static Result<std::shared_ptr<McpClient>> start(McpServerConfig config, McpOptions options, const CallContext& context);
  ~McpClient();

  const McpServerConfig& config() const { return config_; }
  bool has(std::string_view capability) const;  // "tools", "resources", "prompts"
  const std::string& protocol_version() const { return protocol_version_; }

  // All pages. Of a tool only what can be read is kept: one without a name or a schema is left out with a warning, and so is an output
  // schema that cannot be checked.
  Result<std::vector<McpToolInfo>> list_tools(const CallContext& context);
  // What a model is to read about the call, whatever happened.
  ToolResult call_tool(const McpToolInfo& tool, const Json& arguments, const CallContext& context);

  Result<std::vector<Json>> list_resources(const CallContext& context);  // templates behind the resources: those have "uriTemplate"
  Result<Json> read_resource(const std::string& uri, const CallContext& context);
  Result<std::vector<Json>> list_prompts(const CallContext& context);
  Result<Json> get_prompt(const std::string& name, const Json& arguments, const CallContext& context);

  // Becomes another number when the server says that its tools have changed, and when it was started again.
  int64_t generation() const { return state_->generation; }

  void warn(const std::string& line) const;

 private:
  // What the hooks share with the server: they may run while it is being made.
  struct State {
    std::atomic<int64_t> generation = 1;
  };

  McpClient(McpServerConfig config, McpOptions options) : config_(std::move(config)), options_(std::move(options)) {}
  Result<void> connect(const CallContext& context);
  Result<void> initialize(const CallContext& context);
  Result<void> ensure_alive(const CallContext& context);
  Result<Json> request(std::string_view method, Json params, const CallContext& context);
  Result<std::vector<Json>> list(std::string_view method, std::string_view key, const CallContext& context);
  std::unique_ptr<McpChannel> make_channel() const;
  McpHooks hooks() const;

  const McpServerConfig config_;
  const McpOptions options_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
  Json capabilities_;
  std::string protocol_version_;
  int restarts_ = 0;
  std::unique_ptr<McpConnection> connection_;
};

// Of this process's environment what a server gets: what says nothing about the user, and HOME, USER, LOGNAME, SHELL, which programs
// expect to find.
std::vector<std::string> mcp_environment(const char* const* environment);

}  // namespace quern
