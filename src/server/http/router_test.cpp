#include "server/http/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/http/event_stream.h"
#include "server/http/fake_response_test.h"

namespace quern {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Answers with the pattern and what stood at its names.
void add(Router& router, const std::string& method, const std::string& pattern) {
  router.add(method, pattern, [method, pattern](const ServerRequest& request, ServerResponse& response) {
    std::string text = method + " " + pattern;
    for (const auto& [name, value] : request.parts) text += " " + name + "=" + value;
    response.send(200, "text/plain", text);
  });
}

std::string answer(const Router& router, std::string method, std::string path) {
  FakeResponse response;
  ask(router, response, std::move(method), std::move(path));
  return response.status() == 200 ? response.body() : std::to_string(response.status());
}

TEST(Router, NamesStandForOnePartOrTheRest) {
  Router router;
  add(router, "GET", "/v1/models");
  add(router, "GET", "/v1/models/{model...}");
  add(router, "GET", "/v1/sessions/{id}");
  add(router, "POST", "/v1/sessions/{id}/fork");
  add(router, "GET", "/v1/sessions/last");
  EXPECT_EQ(answer(router, "GET", "/v1/models"), "GET /v1/models");
  EXPECT_EQ(answer(router, "GET", "/v1/models/qwen/next:80b"), "GET /v1/models/{model...} model=qwen/next:80b");
  EXPECT_EQ(answer(router, "GET", "/v1/sessions/a b"), "GET /v1/sessions/{id} id=a b");
  EXPECT_EQ(answer(router, "GET", "/v1/sessions/last"), "GET /v1/sessions/last");
  EXPECT_EQ(answer(router, "POST", "/v1/sessions/7/fork"), "POST /v1/sessions/{id}/fork id=7");
  for (const char* missing :
       {"/", "", "v1/models", "/v1", "/v1/models/", "/v1/sessions/", "/v1/sessions//fork", "/v1/sessions/7/", "//v1/models"})
    EXPECT_EQ(answer(router, "GET", missing), "404") << missing;
}

TEST(Router, AMethodThatDoesNotFitIsToldWhichDo) {
  Router router;
  add(router, "GET", "/a");
  add(router, "DELETE", "/{any}");
  FakeResponse refused;
  ask(router, refused, "POST", "/a");
  EXPECT_EQ(refused.status(), 405);
  EXPECT_EQ(*refused.headers().find("Allow"), "DELETE, GET, HEAD, OPTIONS");
  EXPECT_EQ(refused.notes().finish, "method_not_allowed");
  FakeResponse options;
  ask(router, options, "OPTIONS", "/a");
  EXPECT_EQ(options.status(), 204);
  EXPECT_EQ(*options.headers().find("allow"), "DELETE, GET, HEAD, OPTIONS");
  EXPECT_EQ(answer(router, "HEAD", "/a"), "GET /a");
  EXPECT_EQ(answer(router, "DELETE", "/a"), "DELETE /{any} any=a");
  EXPECT_EQ(answer(router, "HEAD", "/b"), "405");
}

TEST(Router, ErrorsLookAsTheLongestPrefixSays) {
  Router router;
  router.shape_problems("/api/", [](const Problem& problem) {
    Json body = Json::object();
    body["error"] = problem.message;
    return body;
  });
  router.shape_problems("/api/odd/", [](const Problem& problem) { return Json(problem.status); });
  const auto body = [&](const char* path) {
    FakeResponse response;
    ask(router, response, "GET", path);
    EXPECT_EQ(response.status(), 404);
    EXPECT_EQ(response.type(), "application/json");
    return response.body();
  };
  EXPECT_EQ(body("/v1/x"),
            R"({"error":{"message":"/v1/x: there is no such path","type":"invalid_request_error","code":"not_found"}})");
  EXPECT_EQ(body("/api/x"), R"({"error":"/api/x: there is no such path"})");
  EXPECT_EQ(body("/api/odd/x"), "404");
  EXPECT_THAT(body("/line\nbreak\x1b"), HasSubstr(R"(/line\\nbreak\\x1b)"));
}

TEST(EventStream, EventsAreWholeWritesAndStopWithTheClient) {
  FakeResponse response(2);
  EventStream stream(response);
  EXPECT_EQ(response.type(), "text/event-stream; charset=utf-8");
  EXPECT_EQ(response.silent(), ": waiting\n\n");
  EXPECT_TRUE(stream.data("one"));
  EXPECT_FALSE(stream.json_event("two", Json::object()));
  EXPECT_FALSE(stream.json(Json()));
  EXPECT_FALSE(stream.open());
  EXPECT_THAT(response.writes(), ElementsAre("data: one\n\n", "event: two\ndata: {}\n\n"));
  EXPECT_THAT(response.events(), ElementsAre("one", "{}"));
}

}  // namespace
}  // namespace quern
