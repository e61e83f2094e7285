// One conversation with one MCP server, from its beginning to its end: requests and their answers, what the server asks and announces,
// and where its patience with a server that breaks the rules ends. McpClient (client.h) makes a new one when a server has died.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agent/mcp/channel.h"
#include "agent/mcp/json_rpc.h"

namespace quern {

struct McpHooks {
  // Called from other threads, one at a time per server.
  std::function<void(const std::string& line)> on_warning;                                   // what is wrong with the server
  std::function<void(std::string_view level, const std::string& line)> on_log;               // its own log messages
  std::function<void(const std::string& method)> on_change;                                  // notifications/tools/list_changed, …
  std::function<std::optional<Json>(const std::string& method, const Json& params)> answer;  // its requests; nullopt: unknown
};

struct McpRequestOptions {
  double timeout_s = 60;   // without a word about this request: its progress counts as one
  double max_s = 3600;     // all in all
  bool may_cancel = true;  // false: of "initialize", which the protocol does not let cancel
  std::function<bool()> cancelled;
  std::function<void(std::string_view line)> on_progress;
};

class McpConnection {
 public:
  // Starts the channel; fails as that does.
  static Result<std::unique_ptr<McpConnection>> open(std::unique_ptr<McpChannel> channel, const McpLimits& limits, McpHooks hooks);
  ~McpConnection();

  // Waits for the answer. The error says in one line what happened: the server's own error, no answer in time, cancelled, lost, or why
  // the connection ended.
  Result<Json> request(std::string_view method, Json params, const McpRequestOptions& options);
  Result<void> notify(std::string_view method, Json params);
  void opened(const std::string& protocol_version) { channel_->opened(protocol_version); }

  // Why it ended; nullopt while it lives.
  std::optional<std::string> end_reason() const;

 private:
  struct Pending {
    std::optional<Result<Json>> answer;
    std::chrono::steady_clock::time_point heard;
    std::string progress;  // the last line that nobody has seen
  };

  McpConnection(const McpLimits& limits, McpHooks hooks) : limits_(limits), hooks_(std::move(hooks)), tokens_(limits.burst) {}
  bool take(std::string_view text);
  void take_message(RpcMessage message);
  void take_answer(RpcMessage message);
  void take_request(const RpcMessage& message);
  void take_notification(const RpcMessage& message);
  void take_progress(const Json& params);
  void take_log(const Json& params);
  void fault(const std::string& what);
  bool spend();
  void end(const std::string& why);
  void lose(const Json& id, const Error& why);
  void lose_all(const Error& why);
  void warn(const std::string& line) const;
  void give_up(int64_t id, std::string_view reason, const McpRequestOptions& options);

  const McpLimits limits_;
  const McpHooks hooks_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::map<int64_t, Pending> pending_;
  int64_t next_id_ = 1, faults_ = 0, logged_ = 0;
  double tokens_;
  std::chrono::steady_clock::time_point refilled_ = std::chrono::steady_clock::now();
  std::optional<std::string> end_reason_;

  std::unique_ptr<McpChannel> channel_;  // the last: its threads use the rest
};

// Text of a server for one line on a terminal: no control characters, valid UTF-8, bounded.
std::string mcp_line(std::string_view text, size_t max_bytes = 300);

}  // namespace quern
