#include "server/http/request_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using ::testing::HasSubstr;
using State = RequestParser::State;

const RequestLimits kSmall{.header = 400, .fields = 6, .target = 100, .body = 50};

// Fed in pieces of this size, going on where the parser stops at the head's end.
struct Fed {
  Fed(std::string_view bytes, size_t piece, const RequestLimits& limits = kSmall) : parser(limits) {
    while (!bytes.empty() && parser.state() != State::complete && parser.state() != State::failed) {
      const size_t used = parser.feed(bytes.substr(0, piece));
      EXPECT_LE(used, piece);
      bytes.remove_prefix(used);
    }
    left = bytes;
  }
  RequestParser parser;
  std::string left;
};

TEST(RequestParser, ARequestInPiecesOfAnySize) {
  const std::string first =
      "POST /v1/a%20b/%C3%A9?x=1&y=a+b%26&x=2&z HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: 5\r\n\r\nhello";
  for (const size_t piece : {1u, 2u, 7u, 1000u}) {
    Fed fed(first + "GET / HTTP", piece);
    ASSERT_EQ(fed.parser.state(), State::complete) << fed.parser.problem().message;
    const ServerRequest& request = fed.parser.request();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/v1/a b/é");
    EXPECT_EQ(request.query, (std::map<std::string, std::string>{{"x", "1"}, {"y", "a b&"}, {"z", ""}}));
    EXPECT_EQ(request.body, "hello");
    EXPECT_EQ(fed.parser.host(), "localhost:80");
    EXPECT_EQ(fed.left, "GET / HTTP");
    EXPECT_TRUE(fed.parser.keep_alive());
  }
}

TEST(RequestParser, ChunksExtensionsAndTrailers) {
  const std::string text =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Api-Key: late\r\n\r\nnext";
  for (const size_t piece : {1u, 3u, 1000u}) {
    Fed fed(text, piece);
    ASSERT_EQ(fed.parser.state(), State::complete) << fed.parser.problem().message;
    EXPECT_EQ(fed.parser.request().body, "abc0123456789");
    EXPECT_EQ(fed.parser.request().headers.find("x-api-key"), nullptr) << "a trailer is no header";
    EXPECT_EQ(fed.left, "next");
  }
}

TEST(RequestParser, AnEmptyChunkedBodyByteByByte) {
  Fed fed("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1);
  EXPECT_EQ(fed.parser.state(), State::complete) << fed.parser.problem().message;
  EXPECT_EQ(fed.parser.request().body, "");
}

TEST(RequestParser, OldClientsAndProxies) {
  Fed old("\r\n\r\nGET /a HTTP/1.0\r\n\r\n", 4);
  ASSERT_EQ(old.parser.state(), State::complete) << old.parser.problem().message;
  EXPECT_FALSE(old.parser.keep_alive());
  EXPECT_TRUE(old.parser.http10());
  Fed proxied("GET http://one.example:8080/p?q HTTP/1.1\r\nHost: other\r\n\r\n", 4);
  ASSERT_EQ(proxied.parser.state(), State::complete);
  EXPECT_EQ(proxied.parser.host(), "one.example:8080") << "the target's host counts, RFC 9112, section 3.2.2";
  EXPECT_EQ(proxied.parser.request().path, "/p");
  Fed asking("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", 1000);
  EXPECT_EQ(asking.parser.state(), State::body);
  EXPECT_TRUE(asking.parser.expects_continue());
}

// Each is refused with that status, however it is cut up: what is dangerous is that somebody else reads it differently.
TEST(RequestParser, WhatCanBeReadInTwoWaysIsRefused) {
  const std::string h = "Host: h\r\n";
  const struct {
    int status;
    std::string text;
  } kBad[] = {
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length: 1, 1\r\n\r\na"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length: +1\r\n\r\na"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length: -1\r\n\r\na"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length: 0x1\r\n\r\na"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length: 1 1\r\n\r\na"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length:\r\n\r\na"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length : 1\r\n\r\na"},
      {400, "POST / HTTP/1.1\r\n" + h + " Content-Length: 1\r\n\r\na"},
      {400, "POST / HTTP/1.1\r\n" + h + "Content-Length: 99999999999999999999\r\n\r\na"},
      {413, "POST / HTTP/1.1\r\n" + h + "Content-Length: 51\r\n\r\na"},
      {501, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: gzip\r\n\r\na"},
      {501, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {501, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
      {501, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"},
      {400, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n-1\r\n"},
      {400, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"},
      {413, "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n33\r\n"},
      {400, "POST / HTTP/1.0\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"},
      {400, "GET / HTTP/1.1\n" + h + "\n"},
      {400, "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: h\r\nnothing\r\n\r\n"},
      {400, std::string("GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 35)},
      {400, "GET  / HTTP/1.1\r\n" + h + "\r\n"},
      {400, "GET / / HTTP/1.1\r\n" + h + "\r\n"},
      {400, "GET a HTTP/1.1\r\n" + h + "\r\n"},
      {400, "GET /%zz HTTP/1.1\r\n" + h + "\r\n"},
      {400, "GET /%0d%0aX HTTP/1.1\r\n" + h + "\r\n"},
      {400, "GET /%00 HTTP/1.1\r\n" + h + "\r\n"},
      {400, "GET /%ff HTTP/1.1\r\n" + h + "\r\n"},
      {400, "GET /a#b HTTP/1.1\r\n" + h + "\r\n"},
      {400, "GET /?%z HTTP/1.1\r\n" + h + "\r\n"},
      {400, " GET / HTTP/1.1\r\n" + h + "\r\n"},
      {400, "\x16\x03\x01\x02"},
      {505, "GET / HTTP/2.0\r\n" + h + "\r\n"},
      {417, "GET / HTTP/1.1\r\n" + h + "Expect: more\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n" + h + "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"},
      {414, "GET /" + std::string(200, 'a') + " HTTP/1.1\r\n" + h + "\r\n"},
      {414, "GET /" + std::string(200, 'a')},
      {431, "GET / HTTP/1.1\r\n" + h + "X: " + std::string(400, 'a') + "\r\n\r\n"},
      {431, "GET / HTTP/1.1\r\n" + h + "X: " + std::string(500, 'a')},
      {431, "GET / HTTP/1.1\r\n" + h + "A:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\n\r\n"},
  };
  for (const auto& [status, text] : kBad)
    for (const size_t piece : {1u, 5u, 10000u}) {
      const Fed fed(text, piece);
      ASSERT_EQ(fed.parser.state(), State::failed) << text;
      EXPECT_EQ(fed.parser.problem().status, status) << text << fed.parser.problem().message;
      EXPECT_FALSE(fed.parser.problem().message.empty());
      EXPECT_EQ(fed.parser.problem().message.find('\n'), std::string::npos);
    }
}

TEST(RequestParser, ALongChunkHeaderOrTrailerEnds) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& endless : {"1;" + std::string(20000, 'x'), "0\r\nX: " + std::string(20000, 'x')}) {
    const Fed fed(head + endless, 100);
    ASSERT_EQ(fed.parser.state(), State::failed);
    EXPECT_EQ(fed.parser.problem().status, 400);
  }
}

}  // namespace
}  // namespace quern
