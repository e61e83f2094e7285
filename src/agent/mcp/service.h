// An MCP server: offers tools and texts to whoever writes JSON-RPC to it, a message a line. Requests about the server itself are answered
// at once; calls of tools are carried out one after the other by a thread of the service's own, so that one can be cancelled while it runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/mcp/json_rpc.h"
#include "base/json.h"
#include "base/result.h"

namespace quern {

// What a call may need of the service.
struct ServiceCall {
  std::function<bool()> cancelled;
  std::function<void(int64_t done, int64_t total, std::string_view message)> progress;  // total 0: not known
};

struct ServiceAnswer {
  std::string text;
  Json structured;  // an object, or null
};

struct ServiceTool {
  std::string name, description;
  Json input_schema;
  bool read_only = true;
  // An error is told to the caller as the tool's result.
  std::function<Result<ServiceAnswer>(const Json& arguments, const ServiceCall& call)> run;
};

struct ServiceResource {
  std::string uri, name, description;
  std::function<Json()> read;
};

class McpService {
 public:
  struct Options {
    std::string version, instructions;
    std::vector<ServiceTool> tools;
    std::vector<ServiceResource> resources;
    std::function<void(std::string_view line)> write;  // with its line break; called from two threads, one at a time
  };

  explicit McpService(Options options);
  ~McpService();  // cancels what runs and waits for it

  // A line of input. From one thread.
  void take(std::string_view line);
  // A line that was too long to be kept.
  void refuse_line(std::string_view why);
  // Waits until everything that was asked for is answered: the input has ended in the middle of work.
  void finish();

 private:
  struct Work {
    Json id, progress_token, arguments;
    const ServiceTool* tool = nullptr;
    std::atomic<bool> cancelled = false;
  };

  void take_request(const RpcMessage& request);
  void take_notification(const RpcMessage& notification);
  Result<Json> answer(const RpcMessage& request);
  Json initialize(const Json& params);
  Json list_tools() const;
  Result<Json> read_resource(const Json& params) const;
  void call_tool(const RpcMessage& request);
  void work();
  void carry_out(Work& work);
  void write(const std::string& text);

  const Options options_;
  bool initialized_ = false;
  std::mutex write_mutex_;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Work>> queue_;
  std::shared_ptr<Work> running_;
  bool closing_ = false;

  std::thread worker_;  // the last: it uses the rest
};

}  // namespace quern
