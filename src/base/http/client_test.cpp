#include "base/http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/http/certificate_test.h"
#include "base/http/server_test.h"

namespace quern {
namespace {

using testing::HasSubstr;
using testing::Not;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

HttpRequest get(std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  request.timeout_s = 20;
  return request;
}

Error error_of(const HttpRequest& request) {
  const auto response = http_send(request);
  EXPECT_FALSE(response) << response->status << " " << response->body;
  if (response) return {};
  EXPECT_EQ(response.error().message.find('\n'), std::string::npos);
  return response.error();
}

// What a server that sends exactly these bytes and closes leads to.
Error error_from(std::string bytes) {
  TestServer server([&](TestPeer& peer) {
    peer.read_request();
    peer.send(bytes);
  });
  return error_of(get(server.url()));
}

TEST(HttpClient, SendsARequestAndReadsTheAnswer) {
  std::string seen;
  TestServer server([&](TestPeer& peer) {
    seen = peer.read_request();
    peer.answer("201 Created", "Content-Type: Text/Plain; charset=utf-8\r\nX-One: 1\r\n", "made");
  });
  HttpRequest request = get(server.url("/things?x=1#y"));
  request.method = "POST";
  request.headers = {{"Authorization", "Bearer t"}};
  request.body = "{}";
  const auto response = http_send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, "made");
  EXPECT_EQ(*response->headers.find("x-ONE"), "1");
  EXPECT_EQ(response->media_type(), "text/plain");
  EXPECT_EQ(response->final_url, server.url("/things?x=1"));
  EXPECT_EQ(seen,
            fmt::format("POST /things?x=1 HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nAccept-Encoding: identity\r\n"
                        "Authorization: Bearer t\r\nContent-Length: 2\r\n\r\n{{}}",
                        server.port()));
}

TEST(HttpClient, ReadsEveryFormOfBody) {
  const auto body_of = [](std::string bytes, std::string method = "GET") {
    TestServer server([&](TestPeer& peer) {
      peer.read_request();
      for (const char c : bytes) peer.send({&c, 1});  // in as many parts as there are
    });
    HttpRequest request = get(server.url());
    request.method = method;
    const auto response = http_send(request);
    return response ? response->body : "error: " + response.error().message;
  };
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nTrailer: t\r\n\r\n"),
            "abcd");
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\n\r\nuntil the end"), "until the end");
  EXPECT_EQ(body_of("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nabc"), "ab");
  EXPECT_EQ(body_of("HTTP/1.1 204 No Content\r\n\r\n"), "");
  EXPECT_EQ(
      body_of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz"),
      "z");
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "HEAD"), "");
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "");
}

TEST(HttpClient, SaysInOneLineWhatIsWrongWithAnAnswer) {
  EXPECT_THAT(error_from("").message, HasSubstr("closed without an answer"));
  EXPECT_THAT(error_from("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").message, HasSubstr("ends early, after 3 bytes"));
  EXPECT_THAT(error_from("HTTP/1.1 200 OK\r\nContent-Le").message, HasSubstr("ends early"));
  EXPECT_THAT(error_from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").message, HasSubstr("ends early, after 2"));
  EXPECT_THAT(error_from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").message, HasSubstr("not HTTP"));
  EXPECT_THAT(error_from("SSH-2.0-OpenSSH_9\r\n\r\n").message, HasSubstr("not HTTP"));
  EXPECT_THAT(error_from("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab").message, HasSubstr("not HTTP"));
  EXPECT_THAT(error_from("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").message,
              HasSubstr("not HTTP"));
  EXPECT_THAT(error_from("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").message, HasSubstr("not HTTP"));
  EXPECT_THAT(error_from("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n").message, HasSubstr("not HTTP"));
  EXPECT_EQ(error_from("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx").code, Errc::unsupported);
  std::string interim;
  for (int i = 0; i < 20; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_THAT(error_from(interim).message, HasSubstr("interim"));
}

TEST(HttpClient, BoundsHeaders) {
  const Error error = error_from("HTTP/1.1 200 OK\r\nX: " + std::string(1 << 20, 'x') + "\r\n\r\n");
  EXPECT_EQ(error.code, Errc::out_of_range);
  EXPECT_THAT(error.message, HasSubstr("a header of more than 65536 bytes"));
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 100000; ++i) many += "X: y\r\n";
  EXPECT_EQ(error_from(many).code, Errc::out_of_range);
  EXPECT_EQ(error_from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(1 << 20, 'x')).code,
            Errc::out_of_range);
}

TEST(HttpClient, BoundsBodiesOrCutsThem) {
  std::atomic<int64_t> sent = 0;
  TestServer server([&](TestPeer& peer) {
    peer.read_request();
    peer.send("HTTP/1.1 200 OK\r\n\r\n");
    const std::string part(1 << 16, 'x');
    while (sent < (int64_t{1} << 30) && peer.send(part)) sent += 1 << 16;
  });
  HttpRequest request = get(server.url());
  request.max_body = 1 << 20;
  EXPECT_EQ(error_of(request).code, Errc::out_of_range);
  request.max_body_truncates = true;
  const auto cut = http_send(request);
  ASSERT_TRUE(cut) << cut.error().message;
  EXPECT_TRUE(cut->truncated);
  EXPECT_EQ(cut->body, std::string(1 << 20, 'x'));
  int64_t seen = 0;
  request.on_chunk = [&](std::string_view chunk) { return (seen += static_cast<int64_t>(chunk.size())) < 100000; };
  const auto streamed = http_send(request);
  ASSERT_TRUE(streamed);
  EXPECT_TRUE(streamed->truncated);
  EXPECT_EQ(streamed->body, "");
  EXPECT_LT(seen, 200000);
  EXPECT_LT(sent, int64_t{1} << 27);  // none of the three read on
}

TEST(HttpClient, TakesABodyThatIsExactlyAsLongAsItMayBe) {
  TestServer server([](TestPeer& peer) {
    peer.read_request();
    peer.answer("200 OK", "", "12345");
  });
  HttpRequest request = get(server.url());
  request.max_body = 5;
  request.max_body_truncates = true;
  const auto response = http_send(request);
  ASSERT_TRUE(response);
  EXPECT_FALSE(response->truncated);
  request.max_body = 4;
  EXPECT_TRUE(http_send(request)->truncated);
}

TEST(HttpClient, EndsWhenTheServerIsTooSlowOrTheCallerHasHadEnough) {
  TestServer silent([](TestPeer& peer) { peer.linger(); });
  TestServer dripping([](TestPeer& peer) {
    peer.read_request();
    peer.send("HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 400 && peer.send("x"); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  });
  HttpRequest request = get(silent.url());
  request.timeout_s = 0.3;
  EXPECT_LT(seconds_of([&] { EXPECT_THAT(error_of(request).message, HasSubstr("took longer than 0.3 s")); }), 5);
  request.timeout_s = 0;
  request.idle_timeout_s = 0.2;
  EXPECT_LT(seconds_of([&] { EXPECT_THAT(error_of(request).message, HasSubstr("nothing was heard for 0.2 s")); }), 5);
  request = get(dripping.url());
  request.timeout_s = 0.5;
  EXPECT_LT(seconds_of([&] { EXPECT_THAT(error_of(request).message, HasSubstr("took longer than 0.5 s")); }), 5);
  request.timeout_s = 0;
  std::atomic<bool> stop = false;
  request.cancelled = [&] { return stop.load(); };
  request.on_chunk = [&](std::string_view) { return stop = true; };
  EXPECT_LT(seconds_of([&] { EXPECT_THAT(error_of(request).message, HasSubstr("interrupted")); }), 5);
}

TEST(HttpClient, PassesEachPieceOnBeforeItWaitsForTheNext) {
  std::atomic<int> heard = 0;
  TestServer server([&](TestPeer& peer) {
    peer.read_request();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; ++i) {
      peer.send("1\r\nx\r\n");
      for (int wait = 0; wait < 250 && heard <= i; ++wait) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      if (heard <= i) return;
    }
    peer.send("0\r\n\r\n");
  });
  HttpRequest request = get(server.url());
  request.on_chunk = [&](std::string_view) { return ++heard > 0; };
  const auto response = http_send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(heard, 3);
}

TEST(HttpClient, FollowsRedirects) {
  std::vector<std::string> seen;
  TestServer server([&](TestPeer& peer) {
    seen.push_back(peer.read_request());
    const std::string& request = seen.back();
    if (request.starts_with("GET /once "))
      peer.answer("302 Found", "Location: sub/../there\r\n", "ignored");
    else if (request.starts_with("POST /see "))
      peer.answer("303 See Other", "Location: /there\r\n", "");
    else if (request.starts_with("POST /again "))
      peer.answer("307 Temporary Redirect", "Location: /there\r\n", "");
    else if (request.starts_with("GET /loop "))
      peer.answer("301 Moved", "Location: /loop\r\n", "");
    else
      peer.answer("200 OK", "", "here");
  });
  HttpRequest request = get(server.url("/once"));
  const auto once = http_send(request);
  ASSERT_TRUE(once) << once.error().message;
  EXPECT_EQ(once->body, "here");
  EXPECT_EQ(once->final_url, server.url("/there"));

  request = get(server.url("/see"));
  request.method = "POST";
  request.body = "b";
  ASSERT_TRUE(http_send(request));
  EXPECT_THAT(seen.back(), testing::StartsWith("GET /there "));
  request.url = server.url("/again");
  ASSERT_TRUE(http_send(request));
  EXPECT_THAT(seen.back(), testing::StartsWith("POST /there "));
  EXPECT_THAT(seen.back(), testing::EndsWith("\r\n\r\nb"));

  request = get(server.url("/loop"));
  request.max_redirects = 3;
  const Error error = error_of(request);
  EXPECT_EQ(error.code, Errc::out_of_range);
  EXPECT_THAT(error.message, HasSubstr("more than 3 redirects"));
  request.max_redirects = 0;
  EXPECT_EQ(http_send(request)->status, 301);
}

TEST(HttpClient, KeepsSecretsAndBodiesFromOtherHosts) {
  std::string other_saw;
  TestServer other([&](TestPeer& peer) {
    other_saw = peer.read_request();
    peer.answer("200 OK", "", "other");
  });
  TestServer server([&](TestPeer& peer) {
    peer.read_request();
    peer.answer("307 Temporary Redirect", "Location: " + other.url("/x") + "\r\n", "");
  });
  HttpRequest request = get(server.url());
  request.headers = {
      {"Authorization", "Bearer t"}, {"Cookie", "c"}, {"X-Api-Key", "k"}, {"Accept", "text/html"}, {"Range", "bytes=3-"}};
  ASSERT_TRUE(http_send(request));
  EXPECT_THAT(other_saw, HasSubstr("Accept: text/html"));
  EXPECT_THAT(other_saw, HasSubstr("Range: bytes=3-"));
  for (const char* secret : {"Authorization", "Cookie", "X-Api-Key"}) EXPECT_THAT(other_saw, Not(HasSubstr(secret)));
  request.method = "POST";
  EXPECT_EQ(error_of(request).code, Errc::denied);
}

TEST(HttpClient, AsksAboutEveryAddressBeforeItConnects) {
  int connections = 0;
  std::string location;
  TestServer server([&](TestPeer& peer) {
    ++connections;
    peer.read_request();
    location.empty() ? peer.answer("200 OK", "", "in") : peer.answer("302 Found", "Location: " + location + "\r\n", "");
  });
  HttpRequest request = get(server.url());
  request.allow_address = is_public_address;
  const Error direct = error_of(request);
  EXPECT_EQ(direct.code, Errc::denied);
  EXPECT_THAT(direct.message, HasSubstr("connecting to 127.0.0.1 is not allowed"));
  for (const char* host : {"127.1", "2130706433", "0x7f000001", "localhost", "[::ffff:127.0.0.1]", "0"}) {
    request.url = server.url("/", host);
    EXPECT_EQ(error_of(request).code, Errc::denied) << host;
  }
  EXPECT_EQ(connections, 0);

  // "start.test" stands for a public host; what it redirects to is looked at like the first.
  request.allow_address = [](const IpAddress& address) { return address.to_string() == "127.0.0.1"; };
  request.resolve = [](const std::string& host) {
    return std::vector{*IpAddress::parse(host == "start.test" ? "127.0.0.1" : "10.0.0.1")};
  };
  request.url = server.url("/", "start.test");
  location = "http://inside.test/";
  const Error redirected = error_of(request);
  EXPECT_EQ(redirected.code, Errc::denied);
  EXPECT_THAT(redirected.message, HasSubstr("inside.test: connecting to 10.0.0.1 is not allowed"));
  EXPECT_EQ(connections, 1);

  // A name with several addresses: the ones that are refused are passed over.
  location = "";
  request.resolve = [](const std::string&) { return std::vector{*IpAddress::parse("10.0.0.1"), *IpAddress::parse("127.0.0.1")}; };
  const auto second = http_send(request);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->body, "in");
}

TEST(HttpClient, TriesTheNextAddressAndSaysWhyNoneAnswers) {
  uint16_t closed = 0;
  {
    closed = TestServer([](TestPeer&) {}).port();
  }
  HttpRequest request = get(fmt::format("http://127.0.0.1:{}/", closed));
  EXPECT_THAT(error_of(request).message, HasSubstr("cannot connect: Connection refused"));
  TestServer server([](TestPeer& peer) {
    peer.read_request();
    peer.answer("200 OK", "", "second");
  });
  request = get(server.url("/", "two.test"));
  request.resolve = [](const std::string&) { return std::vector{*IpAddress::parse("127.0.0.2"), *IpAddress::parse("127.0.0.1")}; };
  const auto response = http_send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "second");
  request.resolve = [](const std::string&) { return std::vector<IpAddress>{}; };
  EXPECT_EQ(error_of(request).code, Errc::not_found);
}

TEST(HttpClient, ResolvesNamesByItself) {
  TestServer server([](TestPeer& peer) {
    peer.read_request();
    peer.answer("200 OK", "", "local");
  });
  const auto response = http_send(get(server.url("/", "localhost")));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "local");
}

TEST(HttpClient, RefusesRequestsThatWouldSmuggleAnother) {
  HttpRequest request = get("http://127.0.0.1:1/");
  request.method = "GET / HTTP/1.1\r\nX:";
  EXPECT_EQ(error_of(request).code, Errc::invalid_argument);
  request.method = "GET";
  request.headers = {{"X", "a\r\nY: b"}};
  EXPECT_EQ(error_of(request).code, Errc::invalid_argument);
  request.headers = {{"X: y", "a"}};
  EXPECT_EQ(error_of(request).code, Errc::invalid_argument);
  request.headers = {{"content-length", "7"}};
  EXPECT_EQ(error_of(request).code, Errc::invalid_argument);
}

TEST(HttpClient, HearsAnAnswerThatComesBeforeTheWholeRequestIsRead) {
  TestServer server([](TestPeer& peer) {
    peer.answer("413 Content Too Large", "", "no");
    ::shutdown(peer.fd(), SHUT_WR);
    peer.linger();
  });
  HttpRequest request = get(server.url());
  request.method = "POST";
  request.body = std::string(4 << 20, 'x');
  const auto response = http_send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 413);
}

// Answers one request over TLS.
void serve(const TestCertificate& certificate, TestPeer& peer) {
  const std::unique_ptr<::SSL_CTX, decltype([](::SSL_CTX* c) { ::SSL_CTX_free(c); })> context(::SSL_CTX_new(::TLS_server_method()));
  ::SSL_CTX_use_certificate(context.get(), certificate.certificate());
  ::SSL_CTX_use_PrivateKey(context.get(), certificate.key());
  const std::unique_ptr<::SSL, decltype([](::SSL* s) { ::SSL_free(s); })> ssl(::SSL_new(context.get()));
  ::SSL_set_fd(ssl.get(), peer.fd());
  if (::SSL_accept(ssl.get()) != 1) return;
  char buffer[4096];
  const int got = ::SSL_read(ssl.get(), buffer, sizeof buffer);
  if (got <= 0) return;
  const bool cut = std::string_view(buffer, static_cast<size_t>(got)).starts_with("GET /cut ");
  const std::string_view answer =
      cut ? "HTTP/1.1 200 OK\r\n\r\nhal" : "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 4\r\n\r\nsafe";
  ::SSL_write(ssl.get(), answer.data(), static_cast<int>(answer.size()));
  if (!cut) ::SSL_shutdown(ssl.get());
}

TEST(HttpClientTls, TrustsOnlyCertificatesItCanVerifyForTheHostItAskedFor) {
  const TestCertificate certificate;
  TestServer server([&](TestPeer& peer) { serve(certificate, peer); });
  HttpRequest request = get(server.url("/", "localhost", "https"));
  request.max_redirects = 0;
  request.resolve = [](const std::string&) { return std::vector{*IpAddress::parse("127.0.0.1")}; };
  EXPECT_THAT(error_of(request).message, HasSubstr("TLS: certificate refused: self-signed certificate"));
  request.ca_file = certificate.path;
  const auto trusted = http_send(request);
  ASSERT_TRUE(trusted) << trusted.error().message;
  EXPECT_EQ(trusted->body, "safe");
  request.url = server.url("/", "127.0.0.1", "https");
  EXPECT_TRUE(http_send(request));
  request.url = server.url("/", "other.test", "https");
  EXPECT_THAT(error_of(request).message, HasSubstr("TLS: certificate refused: hostname mismatch"));
  request.ca_file = "/nowhere.pem";
  EXPECT_THAT(error_of(request).message, HasSubstr("/nowhere.pem: cannot read certificates"));
}

TEST(HttpClientTls, NeverGoesBackToPlainTextNorTakesACutAnswer) {
  const TestCertificate certificate;
  TestServer server([&](TestPeer& peer) { serve(certificate, peer); });
  HttpRequest request = get(server.url("/", "localhost", "https"));
  request.ca_file = certificate.path;
  const Error error = error_of(request);
  EXPECT_EQ(error.code, Errc::denied);
  EXPECT_THAT(error.message, HasSubstr("a redirect from https to http://127.0.0.1 is not followed"));
  request.url = server.url("/cut", "localhost", "https");
  EXPECT_THAT(error_of(request).message, HasSubstr("cut off"));
}

TEST(HttpClientTls, SaysSoWhenTheServerSpeaksNoTls) {
  TestServer server([](TestPeer& peer) {
    peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    peer.linger();
  });
  EXPECT_THAT(error_of(get(server.url("/", "127.0.0.1", "https"))).message, HasSubstr("TLS: "));
}

}  // namespace
}  // namespace quern
