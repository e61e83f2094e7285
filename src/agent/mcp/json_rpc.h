// JSON-RPC 2.0 messages, read strictly: what one side of an MCP connection says, as a value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quern {

struct RpcError {
  int64_t code = 0;
  std::string message;

  static constexpr int64_t kParse = -32700, kInvalidRequest = -32600, kMethodNotFound = -32601, kInvalidParams = -32602,
                           kInternal = -32603;
};

struct RpcMessage {
  enum class Kind { request, notification, result, error };
  Kind kind = Kind::notification;
  Json id;             // of a request, result, error: a string or an integer; null in an error about a message nobody could read
  std::string method;  // of a request or notification
  Json body;           // its params (an object, or null where there are none), or the result
  RpcError error;
};

// One message, or the messages of a batch (the protocol of 2025-03-26 has them). malformed: not JSON, not JSON-RPC 2.0, too deep, an
// empty batch or one of more than 100 messages.
Result<std::vector<RpcMessage>> parse_rpc(std::string_view text);

// Messages as one line without its line break.
std::string rpc_request(const Json& id, std::string_view method, Json params);
std::string rpc_notification(std::string_view method, Json params);
std::string rpc_result(const Json& id, Json result);
std::string rpc_error(const Json& id, const RpcError& error);

// {"a": …, "b": …} in one expression.
Json json_object(std::initializer_list<std::pair<std::string_view, Json>> members);
// The member where it is a string, else ""; and where it is a boolean, else `otherwise`.
std::string string_member(const Json& object, std::string_view key);
bool bool_member(const Json& object, std::string_view key, bool otherwise);

}  // namespace quern
