// The server over real sockets on 127.0.0.1.
#include "server/http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/digest.h"
#include "base/http/certificate_test.h"
#include "server/http/event_stream.h"
#include "server/http/test_server_test.h"

namespace quern {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kHead = "Host: localhost\r\n";

// What handlers and tests tell one another.
struct Signal {
  void set() {
    const std::lock_guard lock(mutex);
    on = true;
    changed.notify_all();
  }
  bool wait(std::chrono::milliseconds time = 10s) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, time, [&] { return on; });
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool on = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    router.add("GET", "/health", [](const ServerRequest&, ServerResponse& response) { response.send(200, "text/plain", "ok"); },
               {.open = true, .light = true});
    router.add("POST", "/echo", [](const ServerRequest& request, ServerResponse& response) {
      response.header("x-client", request.client);
      response.send(200, "text/plain", request.body);
    });
    router.add("GET", "/wait", [this](const ServerRequest&, ServerResponse& response) {
      response.on_closed([this] { gone.set(); });
      waiting.set();
      released.wait();
      response.on_closed(nullptr);
      response.send(200, "text/plain", "waited");
    });
    router.add("GET", "/count/{n}", [](const ServerRequest& request, ServerResponse& response) {
      EventStream events(response);
      for (int i = 0; i < std::stoi(request.parts.at("n")); ++i) events.data(std::to_string(i));
    });
    router.add("GET", "/last", [this](const ServerRequest&, ServerResponse& response) {
      EventStream events(response);
      events.last_data("end");
      released.wait();
    });
    router.add("GET", "/endless", [this](const ServerRequest&, ServerResponse& response) {
      response.on_closed([this] { gone.set(); });
      EventStream events(response);
      while (events.data(std::string(1000, 'x'))) ++written;
      response.on_closed(nullptr);
      over.set();
    });
    router.add("GET", "/silent", [this](const ServerRequest&, ServerResponse& response) {
      response.on_closed([this] { gone.set(); });
      EventStream events(response);
      waiting.set();
      released.wait();
      response.on_closed(nullptr);
      events.data("end");
    });
    router.add("GET", "/broken", [](const ServerRequest& request, ServerResponse& response) {
      if (request.query.contains("late")) {
        response.begin(200, "text/plain");
        response.write("half");
      }
      throw std::runtime_error("the disk is\non fire");
    });
    router.add("GET", "/nothing", [](const ServerRequest&, ServerResponse&) {});
  }
  void TearDown() override { released.set(); }
  HttpServerOptions recorded() {
    HttpServerOptions options;
    options.on_exchange = [this](const ExchangeRecord& record) {
      const std::lock_guard lock(mutex);
      records.push_back(record);
      recorded_one.notify_all();
    };
    return options;
  }
  std::vector<ExchangeRecord> wait_for_records(size_t count) {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(recorded_one.wait_for(lock, 10s, [&] { return records.size() >= count; })) << records.size();
    return records;
  }

  Router router;
  Signal waiting, released, gone, over;
  std::atomic<int64_t> written = 0;
  std::mutex mutex;
  std::condition_variable recorded_one;
  std::vector<ExchangeRecord> records;
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  const TestHttpServer server(router);
  RawClient client(server.port());
  for (const char* body : {"one", "", "three"}) {
    ASSERT_TRUE(client.send(fmt::format("POST /echo HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{}", kHead, std::strlen(body), body)));
    const std::string answer = client.read_answer();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nx-request-id: req_"));
    EXPECT_THAT(answer, HasSubstr("\r\nx-client: 127.0.0.1\r\n"));
    EXPECT_THAT(answer, ::testing::EndsWith(std::string("\r\n\r\n") + body));
  }
  ASSERT_TRUE(client.send("GET /health HTTP/1.1\r\n" + kHead + "Connection: close\r\n\r\n"));
  EXPECT_THAT(client.read_all(), HasSubstr("\r\nconnection: close\r\n"));
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  const TestHttpServer server(router);
  RawClient client(server.port());
  std::string all;
  for (int i = 0; i < 20; ++i)
    all += fmt::format("POST /echo HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\n\r\n2\r\n{:02}\r\n0\r\n\r\n", kHead, i);
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 20; ++i) EXPECT_THAT(client.read_answer(), ::testing::EndsWith(fmt::format("\r\n\r\n{:02}", i)));
}

TEST_F(HttpServerTest, HeadOptionsAndWhatThereIsNot) {
  const TestHttpServer server(router);
  RawClient client(server.port());
  ASSERT_TRUE(client.send("HEAD /health HTTP/1.1\r\n" + kHead + "\r\nHEAD /count/3 HTTP/1.1\r\n" + kHead + "\r\n"));
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("content-length: 2\r\n"));
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("transfer-encoding: chunked\r\n"));
  ASSERT_TRUE(client.send("OPTIONS /echo HTTP/1.1\r\n" + kHead + "\r\n"));
  const std::string options = client.read_until("\r\n\r\n");
  EXPECT_THAT(options, StartsWith("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(options, HasSubstr("allow: OPTIONS, POST\r\n"));
  EXPECT_EQ(server.get("/nowhere")->status, 404);
  EXPECT_EQ(server.get("/echo")->status, 405);
  EXPECT_EQ(*server.get("/echo")->headers.find("allow"), "OPTIONS, POST");
}

TEST_F(HttpServerTest, StreamsInChunksOrUntilTheEnd) {
  const TestHttpServer server(router);
  const auto streamed = server.get("/count/3");
  ASSERT_TRUE(streamed) << streamed.error().message;
  EXPECT_EQ(streamed->media_type(), "text/event-stream");
  EXPECT_EQ(streamed->body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
  EXPECT_EQ(server.get("/count/20000")->body.size(), 10 * 9 + 90 * 10 + 900 * 11 + 9000 * 12 + 10000 * 13u);
  RawClient old(server.port());
  ASSERT_TRUE(old.send("GET /count/2 HTTP/1.0\r\n\r\n"));
  const std::string all = old.read_all();
  EXPECT_THAT(all, Not(HasSubstr("chunked")));
  EXPECT_THAT(all, ::testing::EndsWith("\r\n\r\ndata: 0\n\ndata: 1\n\n"));
}

TEST_F(HttpServerTest, ASilentStreamShowsThatItLives) {
  HttpServerOptions options;
  options.limits.silence_s = 0.05;
  const TestHttpServer server(router, options);
  RawClient client(server.port());
  ASSERT_TRUE(client.send("GET /silent HTTP/1.1\r\n" + kHead + "\r\n"));
  for (int i = 0; i < 3; ++i) EXPECT_THAT(client.read_until(": waiting\n\n"), ::testing::EndsWith(": waiting\n\n"));
  released.set();
  EXPECT_THAT(client.read_until("0\r\n\r\n"), HasSubstr("data: end\n\n"));
}

TEST_F(HttpServerTest, AHandlerHearsThatItsClientIsGone) {
  const TestHttpServer server(router, recorded());
  {
    RawClient client(server.port());
    ASSERT_TRUE(client.send("GET /wait HTTP/1.1\r\n" + kHead + "\r\n"));
    ASSERT_TRUE(waiting.wait());
  }
  EXPECT_TRUE(gone.wait()) << "while it does not write";
  released.set();
  EXPECT_TRUE(wait_for_records(1)[0].cut_off);
}

TEST_F(HttpServerTest, AQuietStreamEndsWithItsClient) {
  const TestHttpServer server(router, recorded());
  {
    RawClient client(server.port());
    ASSERT_TRUE(client.send("GET /silent HTTP/1.1\r\n" + kHead + "\r\n"));
    ASSERT_TRUE(waiting.wait());
    client.read_until("\r\n\r\n");
  }
  EXPECT_TRUE(gone.wait(5s)) << "long before the next comment is due";
  released.set();
  EXPECT_TRUE(wait_for_records(1)[0].cut_off);
}

TEST_F(HttpServerTest, WhoHasOnlyClosedTheirSideGetsTheirAnswer) {
  const TestHttpServer server(router, recorded());
  for (const char* path : {"/wait", "/silent"}) {
    waiting.on = released.on = false;
    RawClient client(server.port());
    ASSERT_TRUE(client.send(fmt::format("GET {} HTTP/1.1\r\n{}\r\n", path, kHead)));
    ASSERT_TRUE(waiting.wait());
    client.finish_sending();
    EXPECT_FALSE(gone.wait(300ms)) << path;
    released.set();
    EXPECT_THAT(client.read_all(), AllOf(HasSubstr("HTTP/1.1 200 OK\r\n"), AnyOf(HasSubstr("waited"), HasSubstr("data: end"))))
        << path;
  }
  for (const ExchangeRecord& record : wait_for_records(2)) EXPECT_FALSE(record.cut_off);
  RawClient both(server.port());
  ASSERT_TRUE(
      both.send("GET /health HTTP/1.1\r\n" + kHead + "\r\nPOST /echo HTTP/1.1\r\n" + kHead + "Content-Length: 5\r\n\r\nhello"));
  both.finish_sending();
  EXPECT_THAT(both.read_all(), AllOf(HasSubstr("ok"), HasSubstr("hello")));
}

TEST_F(HttpServerTest, WhoSpeaksHttp10AndClosesTheirSideGetsWhatIsThereAtOnce) {
  const TestHttpServer server(router, recorded());
  RawClient health(server.port());
  ASSERT_TRUE(health.send("GET /health HTTP/1.0\r\n" + kHead + "\r\n"));
  health.finish_sending();
  EXPECT_THAT(health.read_all(), AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("ok")));
  RawClient client(server.port());
  ASSERT_TRUE(client.send("GET /wait HTTP/1.0\r\n" + kHead + "\r\n"));
  ASSERT_TRUE(waiting.wait());
  client.finish_sending();
  EXPECT_TRUE(gone.wait());
  released.set();
  EXPECT_THAT(client.read_all(), "");
}

TEST_F(HttpServerTest, AStreamEndsWithItsClient) {
  const TestHttpServer server(router, recorded());
  {
    RawClient client(server.port());
    ASSERT_TRUE(client.send("GET /endless HTTP/1.1\r\n" + kHead + "\r\n"));
    EXPECT_THAT(client.read_until("xxx"), HasSubstr("data: xxx"));
  }
  EXPECT_TRUE(over.wait());
  EXPECT_TRUE(gone.wait());
  const auto record = wait_for_records(1)[0];
  EXPECT_TRUE(record.cut_off);
  EXPECT_EQ(record.status, 200);
}

TEST_F(HttpServerTest, AClientThatLeavesAtTheLastEventHasAllOfIt) {
  const TestHttpServer server(router, recorded());
  {
    RawClient client(server.port());
    ASSERT_TRUE(client.send("GET /last HTTP/1.1\r\n" + kHead + "\r\n"));
    EXPECT_THAT(client.read_until("0\r\n\r\n"), HasSubstr("data: end\n\n")) << "before its handler is done";
  }
  std::this_thread::sleep_for(20ms);
  released.set();
  EXPECT_FALSE(wait_for_records(1)[0].cut_off);
}

TEST_F(HttpServerTest, AClientThatTakesNothingIsGivenUp) {
  HttpServerOptions options = recorded();
  options.limits.write_s = 0.2;
  const TestHttpServer server(router, options);
  RawClient client(server.port(), 4096);
  ASSERT_TRUE(client.send("GET /endless HTTP/1.1\r\n" + kHead + "\r\n"));
  EXPECT_TRUE(over.wait());
  EXPECT_TRUE(gone.wait());
  EXPECT_LT(written, 20000) << "what waits to be sent is bounded";
  EXPECT_TRUE(wait_for_records(1)[0].cut_off);
}

TEST_F(HttpServerTest, HandlersThatFail) {
  const TestHttpServer server(router, recorded());
  const auto early = server.get("/broken");
  ASSERT_TRUE(early);
  EXPECT_EQ(early->status, 500);
  EXPECT_THAT(early->body, HasSubstr(R"(the disk is\\non fire)"));
  const auto late = server.get("/broken?late");
  EXPECT_FALSE(late) << "half an answer is not a whole one";
  EXPECT_EQ(server.get("/nothing")->status, 500);
  EXPECT_EQ(server.get("/health")->status, 200);
  const auto all = wait_for_records(4);
  EXPECT_EQ(all[0].notes.finish, "internal_error");
  EXPECT_TRUE(all[1].cut_off);
}

TEST_F(HttpServerTest, RecordsSayWhatHappened) {
  HttpServerOptions options = recorded();
  options.transcripts = true;
  const TestHttpServer server(router, options);
  EXPECT_EQ(server.post("/echo?a=b", "hello", {{"Authorization", "Bearer secret"}, {"X-Other", "kept"}})->status, 200);
  const auto record = wait_for_records(1)[0];
  EXPECT_EQ(record.method, "POST");
  EXPECT_EQ(record.route, "/echo");
  EXPECT_EQ(record.status, 200);
  EXPECT_EQ(record.client, "127.0.0.1");
  EXPECT_EQ(record.received, 5u);
  EXPECT_EQ(record.sent, 5u);
  EXPECT_FALSE(record.cut_off);
  EXPECT_GE(record.seconds, record.first_byte_s);
  ASSERT_TRUE(record.transcript);
  EXPECT_EQ(record.transcript->body, "hello");
  EXPECT_EQ(*record.transcript->headers.find("authorization"), "(removed)");
  EXPECT_EQ(*record.transcript->headers.find("x-other"), "kept");
  ASSERT_EQ(record.transcript->answer.size(), 1u);
  EXPECT_EQ(record.transcript->answer[0].bytes, "hello");
}

// Each ends with one answer of that status and a closed connection.
TEST_F(HttpServerTest, WhatIsRefusedIsToldWhyAndClosed) {
  HttpServerOptions options;
  options.limits.request = {.header = 2000, .fields = 20, .target = 1000, .body = 100};
  options.keys = {{"ann", sha256_hex("correct-horse-battery")}};
  const TestHttpServer server(router, options);
  const std::string key = "x-api-key: correct-horse-battery\r\n";
  const struct {
    int status;
    std::string text;
  } kBad[] = {
      {400, "POST /echo HTTP/1.1\r\n" + kHead + key +
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\n\r\n"},
      {400, "POST /echo HTTP/1.1\r\n" + kHead + key + "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n\r\n"},
      {400, "nonsense\r\n\r\n"},
      {400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
      {413, "POST /echo HTTP/1.1\r\n" + kHead + key + "Content-Length: 101\r\n\r\n" + std::string(101, 'x')},
      {413, "POST /echo HTTP/1.1\r\n" + kHead + key + "Transfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x') +
                "\r\n0\r\n\r\n"},
      {431, "GET /health HTTP/1.1\r\n" + kHead + "X: " + std::string(3000, 'x') + "\r\n\r\n"},
      {414, "GET /" + std::string(1500, 'x') + " HTTP/1.1\r\n" + kHead + "\r\n"},
      {421, "POST /echo HTTP/1.1\r\nHost: evil.example\r\n" + key + "Content-Length: 4\r\n\r\nbody"},
      {401, "POST /echo HTTP/1.1\r\n" + kHead + "Content-Length: 4\r\n\r\nbody"},
      {401, "POST /echo HTTP/1.1\r\n" + kHead + "x-api-key: wrong\r\nContent-Length: 4\r\n\r\nbody"},
      {403, "POST /echo HTTP/1.1\r\n" + kHead + key + "Origin: https://evil.example\r\nContent-Length: 4\r\n\r\nbody"},
      {505, "GET / HTTP/3.0\r\n" + kHead + "\r\n"},
  };
  for (const auto& [status, text] : kBad) {
    RawClient client(server.port());
    client.send(text);
    const std::string all = client.read_all();
    EXPECT_THAT(all, StartsWith(fmt::format("HTTP/1.1 {} ", status))) << text;
    EXPECT_THAT(all, HasSubstr("\r\nconnection: close\r\n")) << text;
    EXPECT_THAT(all, HasSubstr("\r\nx-request-id: req_")) << text;
    EXPECT_THAT(all, HasSubstr(R"({"error":{"message":")")) << text;
    EXPECT_EQ(all.find("\nHTTP/1.1 "), std::string::npos) << "one answer, and nothing of what was smuggled: " << all;
  }
  EXPECT_EQ(server.get("/health")->status, 200) << "needs no key";
  EXPECT_EQ(*server.post("/echo", "b", {{"Authorization", "Bearer correct-horse-battery"}})->headers.find("x-client"), "ann");
  EXPECT_EQ(*server.post("/echo", "b")->headers.find("www-authenticate"), "Bearer");
}

TEST_F(HttpServerTest, WhoIsSlowIsNotWaitedFor) {
  HttpServerOptions options;
  options.limits.header_s = 1;
  options.limits.body_s = 1;
  options.limits.idle_s = 1;
  const TestHttpServer server(router, options);
  RawClient silent(server.port()), header(server.port()), body(server.port()), idle(server.port());
  ASSERT_TRUE(header.send("GET /health HTTP/1.1\r\nHost: loc"));
  ASSERT_TRUE(body.send("POST /echo HTTP/1.1\r\n" + kHead + "Content-Length: 5\r\n\r\nhel"));
  ASSERT_TRUE(idle.send("GET /health HTTP/1.1\r\n" + kHead + "\r\n"));
  EXPECT_THAT(idle.read_answer(), HasSubstr("200 OK"));
  std::this_thread::sleep_for(500ms);
  header.send("alhost\r\nX");  // a byte now and then is no excuse
  EXPECT_THAT(header.read_all(), StartsWith("HTTP/1.1 408 Request Timeout"));
  EXPECT_THAT(body.read_all(), StartsWith("HTTP/1.1 408 Request Timeout"));
  EXPECT_TRUE(silent.closed_within(20s));
  EXPECT_TRUE(idle.closed_within(20s));
}

TEST_F(HttpServerTest, AnExchangeMayHaveATimeLimit) {
  HttpServerOptions options = recorded();
  options.limits.exchange_s = 0.2;
  const TestHttpServer server(router, options);
  RawClient client(server.port());
  ASSERT_TRUE(client.send("GET /wait HTTP/1.1\r\n" + kHead + "\r\n"));
  EXPECT_TRUE(gone.wait());
  EXPECT_TRUE(client.closed_within(5s));
  released.set();
  EXPECT_TRUE(wait_for_records(1)[0].cut_off);
}

// Bodies of refused requests are thrown away; what they weighed is not counted against later ones.
TEST_F(HttpServerTest, BodiesInAllAreBounded) {
  HttpServerOptions options;
  options.limits.bodies = 1000;
  const TestHttpServer server(router, options);
  for (int i = 0; i < 3; ++i) {
    RawClient wrong(server.port());
    wrong.send("POST /echo HTTP/1.1\r\nHost: evil\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 'x'));
    EXPECT_THAT(wrong.read_all(), StartsWith("HTTP/1.1 421 "));
  }
  EXPECT_EQ(server.post("/echo", std::string(900, 'x'))->body.size(), 900u);
  RawClient first(server.port()), second(server.port());
  const std::string head = "POST /echo HTTP/1.1\r\n" + kHead + "Content-Length: 900\r\n\r\n";
  ASSERT_TRUE(first.send(head + std::string(600, 'x')));
  std::this_thread::sleep_for(100ms);
  ASSERT_TRUE(second.send(head + std::string(600, 'x')));
  const std::string refused = second.read_all();
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(refused, HasSubstr("too many large requests"));
  ASSERT_TRUE(first.send(std::string(300, 'x')));
  EXPECT_THAT(first.read_answer(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(server.post("/echo", std::string(900, 'x'))->body.size(), 900u);
}

TEST_F(HttpServerTest, ExpectContinueIsAnsweredBeforeTheBody) {
  const TestHttpServer server(router);
  RawClient client(server.port());
  const std::string head = "POST /echo HTTP/1.1\r\n" + kHead + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  ASSERT_TRUE(client.send(head));
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("ok"));
  EXPECT_THAT(client.read_answer(), HasSubstr("\r\n\r\nok"));
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: evil\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 421 ")) << "whose body is not even asked for";
}

TEST_F(HttpServerTest, ConnectionsAndHandlersAreBounded) {
  HttpServerOptions options;
  options.limits.connections = 8;
  options.limits.per_address = 4;
  options.limits.handlers = 2;
  options.retry_after = [] { return 17; };
  const TestHttpServer server(router, options);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(clients.back()->send("GET /wait HTTP/1.1\r\n" + kHead + "\r\n"));
    if (i == 0) {
      ASSERT_TRUE(waiting.wait());
    }
  }
  const std::string busy = clients[2]->read_answer();
  EXPECT_THAT(busy, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(busy, HasSubstr("retry-after: 17\r\n"));
  ASSERT_TRUE(clients[2]->send("GET /health HTTP/1.1\r\n" + kHead + "\r\n"));
  EXPECT_THAT(clients[2]->read_answer(), StartsWith("HTTP/1.1 200 ")) << "light requests are served even then";
  clients.push_back(std::make_unique<RawClient>(server.port()));
  ASSERT_TRUE(clients[3]->send("GET /health HTTP/1.1\r\n" + kHead + "\r\n"));
  EXPECT_THAT(clients[3]->read_answer(), StartsWith("HTTP/1.1 200 "));
  RawClient fifth(server.port());
  EXPECT_THAT(fifth.read_all(), AllOf(HasSubstr("too_many_connections"), HasSubstr("retry-after: 17\r\n")));
  EXPECT_EQ(server->connections(), 4);
  released.set();
  EXPECT_THAT(clients[0]->read_answer(), HasSubstr("waited"));
  clients.clear();
  for (int i = 0; i < 100 && server->connections() > 0; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(server->connections(), 0);
  EXPECT_EQ(server.get("/health")->status, 200) << "room again";
}

TEST_F(HttpServerTest, DrainingFinishesWhatRunsAndTakesNothingNew) {
  TestHttpServer server(router);
  RawClient running(server.port()), kept(server.port()), started(server.port());
  ASSERT_TRUE(running.send("GET /wait HTTP/1.1\r\n" + kHead + "\r\n"));
  ASSERT_TRUE(waiting.wait());
  ASSERT_TRUE(kept.send("GET /health HTTP/1.1\r\n" + kHead + "\r\n"));
  EXPECT_THAT(kept.read_answer(), HasSubstr("200 OK"));
  ASSERT_TRUE(started.send("POST /echo HTTP/1.1\r\n"));
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(server->drain(0.1)) << "one runs on";
  EXPECT_TRUE(kept.closed_within(5s));
  ASSERT_TRUE(started.send(kHead + "Content-Length: 0\r\n\r\n"));
  EXPECT_THAT(started.read_all(), HasSubstr("shutting_down"));
  released.set();
  EXPECT_TRUE(server->drain(10));
  EXPECT_THAT(running.read_all(), HasSubstr("waited"));
  EXPECT_FALSE(server.get("/health"));
  server.stop();
}

TEST_F(HttpServerTest, StoppingCutsOffWhatRuns) {
  TestHttpServer server(router, recorded());
  RawClient endless(server.port());
  ASSERT_TRUE(endless.send("GET /endless HTTP/1.1\r\n" + kHead + "\r\n"));
  endless.read_until("xxx");
  server.stop();
  EXPECT_TRUE(gone.wait(0ms));
  EXPECT_TRUE(wait_for_records(1)[0].cut_off);
}

TEST_F(HttpServerTest, ManyClientsAtOnce) {
  const TestHttpServer server(router, recorded());
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        RawClient client(server.port());
        const std::string body = fmt::format("{}-{}", t, i);
        if (i % 4 == 3) {
          client.send("GET /count/100000 HTTP/1.1\r\n" + kHead + "\r\n");
          client.read_until("data: 5\n");
          continue;  // gone in the middle
        }
        client.send(fmt::format("POST /echo HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{}", kHead, body.size(), body));
        if (!client.read_answer().ends_with("\r\n\r\n" + body)) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(wait_for_records(160).size(), 160u);
  for (int i = 0; i < 100 && server->requests() + server->connections() > 0; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(server->requests(), 0);
  EXPECT_EQ(server->connections(), 0);
}

TEST_F(HttpServerTest, Tls) {
  const TestCertificate certificate;
  HttpServerOptions options = recorded();
  options.tls_cert = certificate.path, options.tls_key = certificate.key_path;
  options.limits.handshake_s = 5;
  const TestHttpServer server(router, options);
  EXPECT_THAT(server.url("/"), StartsWith("https://127.0.0.1:"));
  const auto ask = [&](std::string path, std::string body = "") {
    HttpRequest request{.url = server.url(path), .body = body, .timeout_s = 30, .ca_file = certificate.path};
    if (!body.empty()) request.method = "POST";
    return http_send(request);
  };
  const auto plain = ask("/health");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->body, "ok");
  EXPECT_EQ(ask("/count/3")->body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
  const std::string large(3 << 20, 'x');
  EXPECT_EQ(ask("/echo", large)->body, large);
  EXPECT_EQ(ask("/broken")->status, 500);
  RawClient speaks_http(server.port()), says_nothing(server.port());
  speaks_http.send("GET /health HTTP/1.1\r\n" + kHead + "\r\n");
  EXPECT_THAT(speaks_http.read_all(), Not(HasSubstr("200")));
  EXPECT_TRUE(says_nothing.closed_within(20s)) << "a handshake takes a while, not forever";
  {
    const RawClient short_lived(server.port());
    short_lived.send("\x16\x03\x01");
  }
  HttpRequest endless{.url = server.url("/endless"), .timeout_s = 30, .ca_file = certificate.path};
  endless.on_chunk = [](std::string_view) { return false; };
  EXPECT_TRUE(http_send(endless));
  EXPECT_TRUE(over.wait());
  for (int i = 0; i < 100 && server->connections() > 0; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(server->connections(), 0);
}

TEST_F(HttpServerTest, TlsAndWhatIsOlder) {
  const TestCertificate certificate;
  HttpServerOptions options;
  options.tls_cert = certificate.path, options.tls_key = certificate.key_path;
  const TestHttpServer server(router, options);
  for (const int version : {TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION}) {
    const std::unique_ptr<::SSL_CTX, decltype([](::SSL_CTX* c) { ::SSL_CTX_free(c); })> context(
        ::SSL_CTX_new(::TLS_client_method()));
    ::SSL_CTX_set_security_level(context.get(), 0);
    ::SSL_CTX_ctrl(context.get(), SSL_CTRL_SET_MIN_PROTO_VERSION, version, nullptr);
    ::SSL_CTX_ctrl(context.get(), SSL_CTRL_SET_MAX_PROTO_VERSION, version, nullptr);
    const std::unique_ptr<::SSL, decltype([](::SSL* s) { ::SSL_free(s); })> ssl(::SSL_new(context.get()));
    const RawClient client(server.port());
    ::SSL_set_fd(ssl.get(), client.fd());
    EXPECT_EQ(::SSL_connect(ssl.get()) == 1, version >= TLS1_2_VERSION) << version;
  }
}

TEST(HttpServerStart, WhatCannotBeListenedOn) {
  const Router router;
  const auto error = [&](HttpServerOptions options) {
    const auto started = HttpServer::start(router, std::move(options));
    return started ? std::string("started") : started.error().message;
  };
  EXPECT_THAT(error({.host = "0.0.0.0"}), HasSubstr("--api-key-file is needed"));
  EXPECT_THAT(error({.host = "256.1.1.1"}), HasSubstr("--host 256.1.1.1"));
  EXPECT_THAT(error({.tls_cert = "/nowhere"}), HasSubstr("TLS needs a certificate and its key"));
  EXPECT_THAT(error({.tls_cert = "/nowhere", .tls_key = "/nowhere"}), HasSubstr("/nowhere: cannot be used as a certificate"));
  const TestHttpServer first(router);
  EXPECT_THAT(error({.port = first.port()}), HasSubstr(fmt::format("cannot listen on 127.0.0.1:{}", first.port())));
}

}  // namespace
}  // namespace quern
