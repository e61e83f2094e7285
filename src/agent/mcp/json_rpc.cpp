#include "agent/mcp/json_rpc.h"

namespace quern {
namespace {

constexpr size_t kMaxDepth = 100;  // of which results put a few around what may be nested 200 deep elsewhere
constexpr size_t kMaxBatch = 100;

bool is_id(const Json& id) { return id.is_string() || (id.is_number() && id.to_int64()); }

tl::unexpected<Error> bad(std::string_view what) { return fail(Errc::malformed, "not JSON-RPC 2.0: {}", what); }

Result<RpcMessage> read_error(const Json& object, RpcMessage message) {
  const Json& error = *object.find("error");
  const Json* code = error.find("code");
  const Json* text = error.find("message");
  if (!code || !code->is_number() || !text || !text->is_string()) return bad("error: expected a code and a message");
  message.kind = RpcMessage::Kind::error;
  message.error = {code->to_int64().value_or(RpcError::kInternal), text->as_string()};
  return message;
}

Result<RpcMessage> read_message(const Json& object) {
  if (!object.is_object()) return bad(fmt::format("expected an object, found {}", object.kind_name()));
  if (string_member(object, "jsonrpc") != "2.0") return bad("jsonrpc: expected \"2.0\"");
  const Json *id = object.find("id"), *method = object.find("method"), *params = object.find("params");
  const Json *result = object.find("result"), *error = object.find("error");
  const bool nameless_error = error && (!id || id->is_null());
  if (id && !is_id(*id) && !nameless_error) return bad("id: expected a string or an integer");
  RpcMessage message;
  if (id) message.id = *id;
  if (method) {
    if (!method->is_string() || method->as_string().empty()) return bad("method: expected a name");
    if (result || error) return bad("a method together with a result or an error");
    if (params && !params->is_object() && !params->is_null()) return bad("params: expected an object");
    message.kind = id ? RpcMessage::Kind::request : RpcMessage::Kind::notification;
    message.method = method->as_string();
    if (params) message.body = *params;
    return message;
  }
  if (result && error) return bad("a result together with an error");
  if (error) return read_error(object, std::move(message));
  if (!result) return bad("neither a method nor a result nor an error");
  if (!id) return bad("a result without an id");
  message.kind = RpcMessage::Kind::result;
  message.body = *result;
  return message;
}

std::string finish(Json message) { return message.dump(Json::Spacing::compact); }

Json envelope() { return json_object({{"jsonrpc", "2.0"}}); }

}  // namespace

Result<std::vector<RpcMessage>> parse_rpc(std::string_view text) {
  QUERN_ASSIGN(const Json json, Json::parse(text, "message", {.max_depth = kMaxDepth}));
  std::vector<RpcMessage> messages;
  if (!json.is_array()) {
    QUERN_ASSIGN(messages.emplace_back(), read_message(json));
    return messages;
  }
  if (json.size() == 0 || json.size() > kMaxBatch) return bad(fmt::format("a batch of {} messages", json.size()));
  for (const Json& item : json.as_array()) {
    QUERN_ASSIGN(messages.emplace_back(), read_message(item));
  }
  return messages;
}

std::string rpc_request(const Json& id, std::string_view method, Json params) {
  Json message = envelope();
  message["id"] = id;
  message["method"] = method;
  if (!params.is_null()) message["params"] = std::move(params);
  return finish(std::move(message));
}

std::string rpc_notification(std::string_view method, Json params) {
  Json message = envelope();
  message["method"] = method;
  if (!params.is_null()) message["params"] = std::move(params);
  return finish(std::move(message));
}

std::string rpc_result(const Json& id, Json result) {
  Json message = envelope();
  message["id"] = id;
  message["result"] = std::move(result);
  return finish(std::move(message));
}

std::string rpc_error(const Json& id, const RpcError& error) {
  Json message = envelope();
  message["id"] = id;
  message["error"] = json_object({{"code", error.code}, {"message", error.message}});
  return finish(std::move(message));
}

Json json_object(std::initializer_list<std::pair<std::string_view, Json>> members) {
  Json::Object object;
  for (const auto& [key, value] : members) object.emplace_back(std::string(key), value);
  return object;
}

std::string string_member(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  return member && member->is_string() ? member->as_string() : "";
}

bool bool_member(const Json& object, std::string_view key, bool otherwise) {
  const Json* member = object.find(key);
  return member && member->is_bool() ? member->as_bool() : otherwise;
}

}  // namespace quern
