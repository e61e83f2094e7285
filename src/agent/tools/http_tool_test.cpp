#include "agent/tools/http_tool.h"

#include "agent/task/policy.h"
#include "agent/tools/builtin_test.h"
#include "base/http/server_test.h"

namespace quern {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class HttpRequestTool : public BuiltinTest {
 protected:
  HttpRequestTool() : server([this](TestPeer& peer) { serve(peer); }), other([this](TestPeer& peer) { serve(peer); }) {
    // Names of this test, as the system would find them.
    options.http.resolve = [](const std::string& host) {
      const char* address = host == "public.test" ? "93.184.216.34" : host == "metadata.test" ? "169.254.169.254" : "127.0.0.1";
      return std::vector<IpAddress>{IpAddress::parse(address).value()};
    };
  }

  void serve(TestPeer& peer) {
    const std::string request = peer.read_request();
    {
      const std::lock_guard lock(mutex);
      requests.push_back(request);
    }
    const std::string path = request.substr(request.find(' ') + 1, request.find(" HTTP") - request.find(' ') - 1);
    if (path == "/json") return void(peer.answer("200 OK", "Content-Type: application/json; charset=utf-8\r\n", R"({"a": 1})"));
    if (path == "/other") return void(peer.answer("302 Found", "Location: " + other.url("/json", "other.test") + "\r\n", ""));
    if (path == "/forbidden") return void(peer.answer("302 Found", "Location: http://elsewhere.test/\r\n", ""));
    if (path == "/metadata") return void(peer.answer("302 Found", "Location: http://metadata.test/latest\r\n", ""));
    if (path == "/loop") return void(peer.answer("302 Found", "Location: /loop\r\n", ""));
    if (path == "/kept")
      return void(peer.answer("307 Temporary Redirect", "Location: " + other.url("/json", "other.test") + "\r\n", ""));
    if (path == "/binary") return void(peer.answer("200 OK", "Content-Type: image/png\r\n", std::string("\x89PNG\0\xFF", 6)));
    if (path == "/large") return void(peer.answer("200 OK", "", std::string(100'000, 'x')));
    if (path == "/missing") return void(peer.answer("404 Not Found", "Content-Type: text/plain\r\n", "no such page"));
    peer.answer("200 OK", "Content-Type: text/plain\r\n", "hello");
  }
  void allow(std::vector<std::string> hosts) {
    options.http.allowed_hosts = std::move(hosts);
    registry = ToolRegistry();
  }
  std::string at(std::string_view path, std::string_view host = "api.test", std::string_view more = "") const {
    return fmt::format(R"({{"url": "{}"{}}})", server.url(path, host), more);
  }

  std::mutex mutex;
  std::vector<std::string> requests;
  TestServer server, other;
};

TEST_F(HttpRequestTool, SendsAndShows) {
  allow({"api.test"});
  EXPECT_EQ(said("http_request", at("/json")),
            fmt::format("HTTP 200 application/json\nfrom {}\n\n{{\"a\": 1}}", server.url("/json", "api.test")));
  said("http_request", at("/", "api.test", R"(, "method": "POST", "json": {"x": [1, "ü"]}, "headers": {"X-Token": "t0p"})"));
  EXPECT_THAT(requests[1], AllOf(HasSubstr("POST / HTTP/1.1"), HasSubstr("X-Token: t0p"),
                                 HasSubstr("Content-Type: application/json"), HasSubstr("\r\n\r\n{\"x\":[1,\"ü\"]}")));
  said("http_request", at("/", "api.test", R"(, "method": "PUT", "body": "plain", "headers": {"Content-Type": "text/plain"})"));
  EXPECT_THAT(requests[2], AllOf(HasSubstr("PUT /"), HasSubstr("Content-Type: text/plain"), testing::EndsWith("plain")));
  EXPECT_THAT(refused("http_request", at("/missing")), AllOf(HasSubstr("HTTP 404 text/plain"), HasSubstr("no such page")));
  EXPECT_THAT(said("http_request", at("/binary")), HasSubstr("(6 bytes that are not text)"));
  EXPECT_THAT(said("http_request", at("/large")), HasSubstr("(only the first 65536 of 100000 bytes are shown)"));
  EXPECT_TRUE(tool("http_request").changes);
}

TEST_F(HttpRequestTool, ReachesOnlyAllowedHosts) {
  EXPECT_EQ(refused("http_request", at("/")), fmt::format("error: api.test:{}: no host is allowed in this run", server.port()));
  allow({"api.test:1", "*.example.com"});
  EXPECT_EQ(refused("http_request", at("/")),
            fmt::format("error: api.test:{}: this host is not allowed; allowed are api.test:1, *.example.com", server.port()));
  allow({fmt::format("api.test:{}", server.port())});
  said("http_request", at("/"));
  allow({"API.test"});
  said("http_request", at("/"));
  EXPECT_EQ(requests.size(), 2u);
  // Tricks with the shape of an address.
  for (const char* url : {"http://api.test@elsewhere.test/", "http://elsewhere.test#api.test", "http://elsewhere.test/api.test",
                          "file:///etc/passwd", "http://elsewhere.test?x=api.test", "gopher://api.test/",
                          "http://api.test.elsewhere.test/", "//api.test/", "api.test", "http://api.test\\r\\nHost: x/", ""})
    EXPECT_THAT(refused("http_request", fmt::format(R"({{"url": "{}"}})", url)), Not(HasSubstr("HTTP 2"))) << url;
  EXPECT_EQ(requests.size(), 2u);
}

TEST_F(HttpRequestTool, ConnectsToNoPrivateAddressUnlessTheHostIsNamed) {
  allow({"*"});
  for (const char* host :
       {"api.test", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "10.0.0.1", "metadata.test", "169.254.169.254"})
    EXPECT_THAT(refused("http_request", at("/", host)), Not(HasSubstr("HTTP 2"))) << host;
  allow({"*.test"});
  refused("http_request", at("/", "api.test"));
  EXPECT_TRUE(requests.empty());
  allow({"*", "127.0.0.1"});
  said("http_request", at("/", "127.0.0.1"));
  EXPECT_THAT(refused("http_request", at("/", "api.test")), HasSubstr("api.test"));
  EXPECT_EQ(requests.size(), 1u);
}

TEST_F(HttpRequestTool, HoldsEveryRedirectAgainstTheList) {
  allow({"api.test"});
  EXPECT_EQ(refused("http_request", at("/forbidden")), "error: elsewhere.test: this host is not allowed; allowed are api.test");
  allow({"api.test", "*.test"});  // metadata.test may be asked, but not at that address
  EXPECT_THAT(refused("http_request", at("/metadata")), HasSubstr("metadata.test"));
  EXPECT_THAT(refused("http_request", at("/loop")), HasSubstr("more than 5 redirects"));
  allow({"api.test", "other.test"});
  requests.clear();
  EXPECT_THAT(said("http_request", at("/other", "api.test", R"(, "headers": {"Authorization": "Bearer s3cret", "Accept": "*/*"})")),
              HasSubstr("{\"a\": 1}"));
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_THAT(requests[0], HasSubstr("s3cret"));
  EXPECT_THAT(requests[1], AllOf(Not(HasSubstr("s3cret")), HasSubstr("Accept: */*")));
  EXPECT_THAT(refused("http_request", at("/kept", "api.test", R"(, "method": "POST", "body": "private")")),
              HasSubstr("redirects the body"));
  requests.clear();
  said("http_request", at("/other", "api.test", R"(, "method": "POST", "body": "private")"));
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_THAT(requests[1], AllOf(HasSubstr("GET /json"), Not(HasSubstr("private"))));
}

TEST_F(HttpRequestTool, NobodyIsAskedAboutLookingAtAHostThatIsNamed) {
  const auto asks = [&](std::string_view host, std::string_view more = "") {
    const Json arguments = parsed("http_request", at("/", host, more));
    const ToolCall call{"http_request", arguments};
    EXPECT_EQ(tool("http_request").changes_by(arguments), Policy().decide(tool("http_request"), call) == Verdict::ask);
    return tool("http_request").changes_by(arguments);
  };
  allow({"api.test", "*.below.test", "*"});
  EXPECT_FALSE(asks("api.test"));
  EXPECT_FALSE(asks("a.below.test"));
  EXPECT_FALSE(asks("api.test", R"(, "method": "HEAD")"));
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"})
    EXPECT_TRUE(asks("api.test", fmt::format(R"(, "method": "{}")", method))) << method;
  EXPECT_TRUE(asks("below.test")) << "only * allows it";
  EXPECT_TRUE(asks("public.test"));
  EXPECT_TRUE(asks("api.test.public.test"));
  allow({"api.test:1"});
  EXPECT_FALSE(asks("api.test")) << "it is refused: there is nothing to ask";
  refused("http_request", at("/"));

  // What nobody was asked about stays with what is named.
  allow({"api.test", "*"});
  EXPECT_THAT(refused("http_request", at("/other")), HasSubstr("has to be asked for by itself"));
  allow({"api.test", "other.test", "*"});
  EXPECT_THAT(said("http_request", at("/other")), HasSubstr("{\"a\": 1}"));
}

TEST_F(HttpRequestTool, RefusesHeadersThatChangeTheMessage) {
  allow({"api.test"});
  for (const char* headers : {R"({"Host": "x"})", R"({"content-length": "5"})", R"({"Transfer-Encoding": "chunked"})",
                              R"({"A B": "x"})", R"({"X": "a\r\nEvil: 1"})", R"({"X\r\nEvil": "1"})", R"({"": "x"})"})
    refused("http_request", at("/", "api.test", fmt::format(R"(, "headers": {})", headers)));
  EXPECT_THAT(refused("http_request", at("/", "api.test", R"(, "body": "x")")), HasSubstr("GET has no body"));
  EXPECT_THAT(refused("http_request", at("/", "api.test", R"(, "method": "POST", "body": "x", "json": {})")), HasSubstr("either"));
  EXPECT_TRUE(requests.empty());
}

TEST_F(HttpRequestTool, APreviewSendsNothing) {
  allow({"api.test"});
  const Json arguments = parsed("http_request", at("/", "api.test", R"(, "method": "DELETE")"));
  EXPECT_EQ(tool("http_request").preview(arguments, {}).text,
            fmt::format("would send DELETE {} with 0 bytes", server.url("/", "api.test")));
  EXPECT_TRUE(requests.empty());
}

TEST_F(HttpRequestTool, SaysWhichHostsItCannotRead) {
  for (const char* host : {"", "http://x", "a/b", "*.*", "x:99999", "*x.com", "a b"}) {
    HttpToolOptions wrong{.allowed_hosts = {host}, .ca_file = "", .resolve = {}};
    EXPECT_FALSE(http_request_tool(wrong)) << host;
  }
  EXPECT_TRUE(http_request_tool({.allowed_hosts = {"[::1]", "[::1]:80", "x", "*.x.org:443", "*"}, .ca_file = "", .resolve = {}}));
}

}  // namespace
}  // namespace quern
