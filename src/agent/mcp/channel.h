// A way to one MCP server: texts of JSON-RPC go there and come back. What they say is not this layer's business.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace quern {

// Bounds on what a server may make quern hold. Whatever is larger is not kept.
struct McpLimits {
  size_t message_bytes = size_t{16} << 20;  // one JSON-RPC text
  double messages_per_s = 1000;             // that nobody asked for, on average, of which
  double burst = 5000;                      //   so many may come at once
  int64_t faults = 100;                     // texts that are no message, answers that nobody waits for
};

class McpChannel {
 public:
  // Called from the channel's own threads, one call at a time per channel, until close() returns.
  struct Events {
    std::function<bool(std::string_view text)> on_text;      // false: enough of it, the channel ends by itself
    std::function<void(const Json& id, Error why)> on_lost;  // there will be no answer to this request
    std::function<void(Error why)> on_too_long;              // a text past the limit, whichever request it may have answered
    std::function<void(Error why)> on_fault;                 // something else that was not even a text
    std::function<void(Error why)> on_end;                   // once, the last: the server cannot be reached any more
  };

  virtual ~McpChannel() = default;
  // Once, before anything else. Errors as the channel's own header says.
  virtual Result<void> start(Events events) = 0;
  // `request` is the id of what is sent if it is a request. io: the channel has ended, or takes no more. Never waits for the server.
  virtual Result<void> send(std::string text, const Json& request) = 0;
  // Nobody waits for the answer to this request any more.
  virtual void abandon(const Json& request) = 0;
  // The protocol version that was agreed upon: from here on notifications may come at any time.
  virtual void opened(const std::string& protocol_version) = 0;
  // Ends the server or the session with it. No event comes afterwards. May be called twice.
  virtual void close() = 0;
};

}  // namespace quern
