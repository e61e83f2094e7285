// Streamable HTTP against a server of this file, which does what each test says.
#include <atomic>

#include "agent/mcp/mcp_test.h"
#include "base/http/server_test.h"

namespace quern {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// One request as the server sees it.
struct Seen {
  std::string head;
  Json message;
  bool is(std::string_view method) const { return string_member(message, "method") == method; }
  std::string id() const { return message.find("id") ? message.find("id")->dump() : ""; }
};

class McpHttp : public McpTest {
 protected:
  // False: the usual answer.
  using Special = std::function<bool(TestPeer&, const Seen&)>;

  McpServerConfig config(Special special) {
    server_.reset();
    special_ = std::move(special);
    server_.emplace([this](TestPeer& peer) { serve(peer); });
    McpServerConfig config;
    config.name = "web";
    config.url = server_->url("/mcp");
    config.headers = {{"Authorization", "Bearer t"}};
    config.call_timeout_s = 10;
    return config;
  }

  static bool answer(TestPeer& peer, const Seen& seen, std::string_view result, std::string_view headers = "") {
    return peer.answer("200 OK", fmt::format("Content-Type: application/json\r\n{}", headers),
                       fmt::format(R"({{"jsonrpc": "2.0", "id": {}, "result": {}}})", seen.id(), result));
  }
  static bool stream(TestPeer& peer) {
    return peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
  static bool event(TestPeer& peer, std::string_view data, std::string_view more = "") {
    const std::string text = fmt::format("{}data: {}\n\n", more, data);
    return peer.send(fmt::format("{:x}\r\n{}\r\n", text.size(), text));
  }
  static bool event_result(TestPeer& peer, const std::string& id, std::string_view text, std::string_view more = "") {
    return event(
        peer,
        fmt::format(R"({{"jsonrpc": "2.0", "id": {}, "result": {{"content": [{{"type": "text", "text": "{}"}}]}}}})", id, text),
        more);
  }
  std::vector<Seen> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  // What came with this method, in order.
  size_t count(std::string_view method) {
    size_t found = 0;
    for (const Seen& one : seen()) found += one.is(method) ? 1 : 0;
    return found;
  }

 private:
  void serve(TestPeer& peer) {
    Seen seen;
    const std::string request = peer.read_request();
    if (request.empty()) return;
    const size_t end = request.find("\r\n\r\n") + 4;
    seen.head = request.substr(0, end);
    if (end < request.size()) seen.message = Json::parse(request.substr(end), "request").value();
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back(seen);
    }
    if (special_ && special_(peer, seen)) return;
    if (seen.head.starts_with("GET "))
      peer.answer("405 Method Not Allowed", "", "");
    else if (seen.head.starts_with("DELETE "))
      peer.answer("204 No Content", "", "");
    else if (seen.id().empty())
      peer.answer("202 Accepted", "", "");
    else if (seen.is("initialize"))
      answer(peer, seen, R"({"protocolVersion": "2025-03-26", "capabilities": {"tools": {}}, "serverInfo": {}})",
             "Mcp-Session-Id: abc-1\r\n");
    else if (seen.is("tools/list"))
      answer(peer, seen,
             R"({"tools": [{"name": "t", "inputSchema": {"type": "object", "properties": {}, "additionalProperties": false}}]})");
    else
      answer(peer, seen, R"({"content": [{"type": "text", "text": "plain"}]})");
  }

  Special special_;
  std::mutex mutex_;
  std::vector<Seen> seen_;
  std::optional<TestServer> server_;  // the last: its threads use the rest
};

TEST_F(McpHttp, SpeaksInPostsAndEndsItsSession) {
  {
    const auto server = start(config(nullptr));
    ASSERT_TRUE(server);
    EXPECT_EQ(server->protocol_version(), "2025-03-26");
    EXPECT_EQ(text("web__t"), "plain");
    registry = ToolRegistry();
  }
  const auto all = seen();
  EXPECT_TRUE(all.at(0).is("initialize"));
  EXPECT_THAT(all.at(0).head, AllOf(HasSubstr("POST /mcp "), HasSubstr("Accept: application/json, text/event-stream\r\n"),
                                    HasSubstr("Authorization: Bearer t\r\n"), Not(HasSubstr("Mcp-Session-Id"))));
  size_t initialized = 0, list = 0;
  for (size_t i = 1; i < all.size(); ++i) {
    EXPECT_THAT(all[i].head, AllOf(HasSubstr("Mcp-Session-Id: abc-1\r\n"), HasSubstr("Authorization: Bearer t\r\n")));
    if (all[i].is("notifications/initialized")) initialized = i;
    if (all[i].is("tools/list")) list = i;
  }
  EXPECT_LT(initialized, list);
  EXPECT_THAT(all.at(list).head, HasSubstr("MCP-Protocol-Version: 2025-03-26\r\n"));
  EXPECT_THAT(all.back().head, HasSubstr("DELETE /mcp "));
  EXPECT_THAT(warnings(), testing::IsEmpty());
}

TEST_F(McpHttp, ReadsAnswersOutOfAStream) {
  ASSERT_TRUE(start(config([](TestPeer& peer, const Seen& seen) {
    if (!seen.is("tools/call")) return false;
    stream(peer);
    const std::string token = seen.message.find("params")->find("_meta")->find("progressToken")->dump();
    event(peer, fmt::format(
                    R"({{"jsonrpc": "2.0", "method": "notifications/progress", "params": {{"progressToken": {}, "progress": 1}}}})",
                    token));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    event_result(peer, seen.id(), "streamed", "event: message\n");
    peer.linger();  // a server need not close the stream
    return true;
  })));
  EXPECT_EQ(text("web__t"), "streamed");
  EXPECT_THAT(output, Contains("web: 1"));
}

TEST_F(McpHttp, TakesABrokenStreamUpWhereItBroke) {
  std::string waiting;
  std::mutex mutex;
  ASSERT_TRUE(start(config([&](TestPeer& peer, const Seen& seen) {
    const std::lock_guard lock(mutex);
    if (seen.is("tools/call")) {
      waiting = seen.id();
      stream(peer);
      event(peer, R"({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "first"}})",
            "id: e1\nretry: 60\n");
      return true;  // cut off
    }
    if (!seen.head.starts_with("GET ") || waiting.empty()) return false;
    stream(peer);
    if (seen.head.find("Last-Event-ID: e1\r\n") != std::string::npos) return event(peer, "", "id: e2\n");  // and again
    if (seen.head.find("Last-Event-ID: e2\r\n") != std::string::npos) event_result(peer, waiting, "resumed", "id: e3\n");
    return true;
  })));
  EXPECT_EQ(text("web__t"), "resumed");
  EXPECT_EQ(count("tools/call"), 1u);
  EXPECT_THAT(logs(), ElementsAre("MCP server web: first"));
}

TEST_F(McpHttp, NeverAsksAgainWhereAStreamIsLost) {
  ASSERT_TRUE(start(config([&](TestPeer& peer, const Seen& seen) {
    if (!seen.is("tools/call")) return false;
    stream(peer);
    return event(peer, R"({"jsonrpc": "2.0", "method": "x"})");
  })));
  EXPECT_THAT(error("web__t"), AllOf(HasSubstr("error: the server web: 127.0.0.1"), HasSubstr("the answer ends early")));
  EXPECT_EQ(count("tools/call"), 1u);
}

TEST_F(McpHttp, GivesUpOnAStreamThatAlwaysBreaks) {
  ASSERT_TRUE(start(config([&](TestPeer& peer, const Seen& seen) {
    if (!seen.is("tools/call") && seen.head.find("Last-Event-ID") == std::string::npos) return false;
    stream(peer);
    return event(peer, "", "id: same\nretry: 1\n");
  })));
  EXPECT_THAT(error("web__t"), HasSubstr("the answer ends early"));
  EXPECT_EQ(count("tools/call"), 1u);
}

TEST_F(McpHttp, StartsAgainWhereTheSessionIsForgotten) {
  std::atomic<bool> forgotten = true;
  ASSERT_TRUE(start(config([&](TestPeer& peer, const Seen& seen) {
    return seen.is("tools/call") && forgotten.exchange(false) && peer.answer("404 Not Found", "", "");
  })));
  EXPECT_THAT(error("web__t"), AllOf(HasSubstr("the server has forgotten the session"), HasSubstr("is not known")));
  EXPECT_EQ(text("web__t"), "plain");
  EXPECT_EQ(count("initialize"), 2u);
}

TEST_F(McpHttp, HearsWhatTheServerSaysOnItsOwn) {
  std::atomic<bool> once = true;
  auto servers = McpClients::start(registry, {config([&](TestPeer& peer, const Seen& seen) {
                                     if (!seen.head.starts_with("GET ") || !once.exchange(false)) return false;
                                     while (count("tools/list") == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
                                     stream(peer);
                                     event(peer, R"({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})");
                                     event(peer, R"({"jsonrpc": "2.0", "id": "p", "method": "ping"})");
                                     peer.linger();
                                     return true;
                                   })},
                                   options, context);
  ASSERT_TRUE(servers) << servers.error().message;
  const auto answered = [&] {
    for (const Seen& one : seen())
      if (one.id() == "\"p\"" && one.message.find("result")) return true;
    return false;
  };
  for (int i = 0; i < 200 && !answered(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(answered());
  EXPECT_FALSE(servers->refresh(registry, context));  // it was asked again, and has the same tools
  EXPECT_EQ(count("tools/list"), 2u);
}

TEST_F(McpHttp, SaysWhatIsWrongWithTheServer) {
  const auto said = [&](std::string_view status, std::string_view headers, std::string body) {
    return start_error(config([=](TestPeer& peer, const Seen&) { return peer.answer(status, headers, body); }));
  };
  EXPECT_EQ(said("401 Unauthorized", "", "no"),
            "MCP server web: HTTP status 401: no (the server wants credentials: give them as a header)");
  EXPECT_THAT(said("404 Not Found", "", ""), HasSubstr("HTTP status 404 (expected the address of a streamable HTTP endpoint)"));
  EXPECT_THAT(said("200 OK", "Content-Type: text/html\r\n", "<html>"),
              HasSubstr("an answer of type 'text/html', expected application/json"));
  EXPECT_THAT(said("200 OK", "Content-Type: application/json\r\n", "{}"), HasSubstr("the answer was to something else"));
  EXPECT_THAT(said("500 Oops", "", "line\n\x1b[2Jtwo"), HasSubstr("HTTP status 500: line\\n\\x1b[2Jtwo"));
  EXPECT_THAT(said("200 OK", "Content-Type: application/json\r\n", std::string(17 << 20, 'x')),
              HasSubstr("a message of more than 16777216 bytes"));
  EXPECT_THAT(said("307 Elsewhere", "Location: http://127.0.0.2:9/\r\n", ""),
              HasSubstr("a redirect of POST to http://127.0.0.2:9 is not followed"));
  McpServerConfig nobody = config(nullptr);
  nobody.url = "http://127.0.0.1:1/";
  EXPECT_THAT(start_error(nobody), HasSubstr("127.0.0.1:1: cannot connect: Connection refused"));
}

TEST_F(McpHttp, BoundsAnEventAndLetsAHangingCallGo) {
  McpServerConfig limited = config([&](TestPeer& peer, const Seen& seen) {
    if (!seen.is("tools/call")) return false;
    stream(peer);
    if (count("tools/call") == 1) {
      const std::string part(1 << 20, 'x');
      event(peer, "{\"jsonrpc\": \"2.0\"}");
      while (peer.send(fmt::format("{:x}\r\n{}\r\n", part.size(), part))) {
      }
    }
    peer.linger();
    return true;
  });
  limited.call_timeout_s = 2;
  ASSERT_TRUE(start(limited));
  EXPECT_THAT(error("web__t"), HasSubstr("a message of more than 16777216 bytes"));
  EXPECT_THAT(error("web__t"), HasSubstr("no answer to tools/call within 2 s"));
  for (int i = 0; i < 200 && count("notifications/cancelled") == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(count("notifications/cancelled"), 1u);
}

}  // namespace
}  // namespace quern
