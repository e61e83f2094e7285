#include "agent/mcp/json_rpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using Kind = RpcMessage::Kind;

RpcMessage one(std::string_view text) {
  auto messages = parse_rpc(text);
  EXPECT_TRUE(messages) << text << ": " << messages.error().message;
  if (!messages) return {};
  EXPECT_EQ(messages->size(), 1u);
  return messages->front();
}

TEST(JsonRpc, ReadsEveryKindOfMessage) {
  const RpcMessage request = one(R"({"jsonrpc": "2.0", "id": "a", "method": "m", "params": {"x": 1}})");
  EXPECT_EQ(request.kind, Kind::request);
  EXPECT_EQ(request.id, Json("a"));
  EXPECT_EQ(request.method, "m");
  EXPECT_EQ(request.body.dump(), R"({"x": 1})");
  EXPECT_EQ(one(R"({"jsonrpc": "2.0", "method": "m"})").kind, Kind::notification);
  const RpcMessage result = one(R"({"jsonrpc": "2.0", "id": 7, "result": {}})");
  EXPECT_EQ(result.kind, Kind::result);
  EXPECT_EQ(result.id, Json(7));
  const RpcMessage error = one(R"({"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "bad"}})");
  EXPECT_EQ(error.kind, Kind::error);
  EXPECT_EQ(error.error.code, -32700);
  EXPECT_EQ(error.error.message, "bad");
  EXPECT_EQ(one(R"({"jsonrpc": "2.0", "error": {"code": 1e300, "message": ""}})").error.code, RpcError::kInternal);
  EXPECT_EQ(parse_rpc(R"([{"jsonrpc": "2.0", "method": "a"}, {"jsonrpc": "2.0", "method": "b"}])")->size(), 2u);
}

TEST(JsonRpc, RefusesWhatIsNotExactlyThat) {
  for (const char* bad : {"",
                          "7",
                          "[]",
                          "{}",
                          "null",
                          R"({"jsonrpc": "1.0", "method": "m"})",
                          R"({"jsonrpc": 2.0, "method": "m"})",
                          R"({"method": "m"})",
                          R"({"jsonrpc": "2.0", "id": 1.5, "method": "m"})",
                          R"({"jsonrpc": "2.0", "id": null, "method": "m"})",
                          R"({"jsonrpc": "2.0", "id": {}, "result": 1})",
                          R"({"jsonrpc": "2.0", "result": 1})",
                          R"({"jsonrpc": "2.0", "id": 1})",
                          R"({"jsonrpc": "2.0", "id": 1, "result": 1, "error": {"code": 1, "message": "m"}})",
                          R"({"jsonrpc": "2.0", "id": 1, "method": "m", "result": 1})",
                          R"({"jsonrpc": "2.0", "id": 1, "error": {"code": 1}})",
                          R"({"jsonrpc": "2.0", "id": 1, "error": "bad"})",
                          R"({"jsonrpc": "2.0", "method": ""})",
                          R"({"jsonrpc": "2.0", "method": 1})",
                          R"({"jsonrpc": "2.0", "method": "m", "params": [1]})",
                          R"({"jsonrpc": "2.0", "method": "m", "params": "x"})",
                          R"({"jsonrpc": "2.0", "method": "m"} {"jsonrpc": "2.0", "method": "m"})",
                          R"([{"jsonrpc": "2.0", "method": "m"}, 3])",
                          R"([[{"jsonrpc": "2.0", "method": "m"}]])",
                          "{\"jsonrpc\": \"2.0\", \"method\": \"\xff\"}"}) {
    const auto messages = parse_rpc(bad);
    ASSERT_FALSE(messages) << bad;
    EXPECT_EQ(messages.error().code, Errc::malformed) << bad;
  }
  EXPECT_FALSE(parse_rpc(std::string(1000, '[')));
  std::string batch = "[";
  for (int i = 0; i < 200; ++i) batch += R"({"jsonrpc": "2.0", "method": "m"},)";
  batch.back() = ']';
  EXPECT_FALSE(parse_rpc(batch));
}

TEST(JsonRpc, WritesMessagesThatItReadsBack) {
  const RpcMessage request = one(rpc_request(3, "tools/call", json_object({{"text", "two\nlines"}})));
  EXPECT_EQ(request.kind, Kind::request);
  EXPECT_EQ(string_member(request.body, "text"), "two\nlines");
  EXPECT_EQ(rpc_request(3, "m", json_object({{"a", "\n"}})).find('\n'), std::string::npos);
  EXPECT_EQ(rpc_notification("n", Json()), R"({"jsonrpc":"2.0","method":"n"})");
  EXPECT_EQ(one(rpc_result("x", Json::object())).id, Json("x"));
  EXPECT_EQ(one(rpc_error(1, {-32601, "no"})).error.code, -32601);
}

}  // namespace
}  // namespace quern
