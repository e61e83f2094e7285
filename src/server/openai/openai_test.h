// A router with OpenAI's routes over pebble, for tests without sockets.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "server/http/fake_response_test.h"
#include "server/metrics.h"
#include "server/openai/routes.h"

namespace quern {

inline Json json_of(std::string_view text) {
  auto parsed = Json::parse(text, "test");
  EXPECT_TRUE(parsed) << text;
  return parsed ? std::move(*parsed) : Json();
}

// The value at "choices.0.message.content"; null where there is none.
inline Json at(const Json& json, std::string_view path) {
  const Json* here = &json;
  while (here && !path.empty()) {
    const std::string_view step = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), step.size() + 1));
    if (here->is_array()) {
      const auto index = static_cast<size_t>(std::stoul(std::string(step)));
      here = index < here->size() ? &here->as_array()[index] : nullptr;
    } else {
      here = here->find(step);
    }
  }
  return here ? *here : Json();
}
inline std::string text_at(const Json& json, std::string_view path) {
  const Json found = at(json, path);
  return found.is_string() ? found.as_string() : "(" + found.dump() + ")";
}

class OpenAiTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ModelPool::Options options;
    options.models = {{.name = "pebble", .path = QUERN_REPO "/models/pebble", .aliases = {"gpt-4o"}}};
    options.engine.threads = 2;
    options.engine.context = 4096;
    options.memory = size_t{1} << 30;
    auto pool = ModelPool::create(std::move(options));
    ASSERT_TRUE(pool) << pool.error().message;
    server_ = new Server{std::move(*pool)};
    ASSERT_TRUE(add_openai_routes(server_->router, server_->context));
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  static const Router& router() { return server_->router; }
  static std::unique_ptr<FakeResponse> send(std::string method, std::string path, std::string body = "") {
    auto response = std::make_unique<FakeResponse>();
    ask(router(), *response, std::move(method), std::move(path), std::move(body));
    return response;
  }
  // The answer to a request that is answered.
  static Json post(std::string path, std::string body) {
    const auto response = send("POST", std::move(path), std::move(body));
    EXPECT_EQ(response->status(), 200) << response->body();
    return response->json_body();
  }
  static std::vector<Json> stream(std::string path, std::string body) {
    const auto response = send("POST", std::move(path), std::move(body));
    EXPECT_EQ(response->status(), 200) << response->body();
    EXPECT_THAT(response->type(), testing::StartsWith("text/event-stream"));
    std::vector<Json> events;
    for (const std::string& data : response->events()) events.push_back(data == "[DONE]" ? Json("[DONE]") : json_of(data));
    return events;
  }
  // "400 param code: message" of a request that is refused.
  static std::string refusal(std::string path, std::string body) {
    const auto response = send("POST", std::move(path), std::move(body));
    if (response->status() == 200) return "it is not refused";
    const Json error = at(response->json_body(), "error");
    return fmt::format("{} {} {}: {}", response->status(), text_at(error, "param"), text_at(error, "code"),
                       text_at(error, "message"));
  }

  struct Server {
    std::unique_ptr<ModelPool> models;
    Metrics metrics = {};
    ServerContext context{.models = *models, .metrics = metrics, .version = "test"};
    Router router = {};
  };
  static Server& server() { return *server_; }

 private:
  static inline Server* server_ = nullptr;
};

}  // namespace quern
