#include "server/openapi.h"

#include <set>

#include "constrain/constraint.h"
#include "server/api.h"
#include "server/openai/openai_test.h"
#include "server/shape_random_test.h"
#include "server/status_routes.h"

namespace quern {
namespace {

class OpenApi : public OpenAiTest {};

std::set<std::string> names_of(const std::vector<Operation>& operations) {
  std::set<std::string> names;
  for (const Operation& operation : operations) names.insert(operation.method + " " + operation.path);
  return names;
}

TEST_F(OpenApi, TellsOfEveryRouteAndOfNoOther) {
  std::set<std::string> routed;
  Router all;
  add_api_routes(all, server().context);
  add_status_routes(all, server().context, [] { return ServerHealth{}; });
  for (const Route& route : all.routes()) routed.insert(route.method + " " + route.pattern);
  EXPECT_EQ(routed, names_of(all_operations()));
}

// Every {"$ref"} in it means something.
void expect_resolved(const Json& json, const Json& document) {
  if (json.is_array())
    for (const Json& item : json.as_array()) expect_resolved(item, document);
  if (!json.is_object()) return;
  for (const auto& [name, value] : json.as_object()) {
    if (name == "$ref") {
      const std::string prefix = "#/components/schemas/";
      ASSERT_EQ(value.as_string().substr(0, prefix.size()), prefix);
      EXPECT_TRUE(document.find("components")->find("schemas")->find(value.as_string().substr(prefix.size()))) << value.as_string();
    }
    expect_resolved(value, document);
  }
}

TEST_F(OpenApi, IsADocumentThatHoldsTogether) {
  Router own;
  add_openapi_route(own, server().context);
  FakeResponse response;
  ask(own, response, "GET", "/openapi.json");
  const Json document = response.json_body();
  EXPECT_EQ(text_at(document, "openapi"), "3.1.0");
  EXPECT_EQ(text_at(document, "info.version"), "test");
  expect_resolved(document, document);
  const Json* chat = document.find("paths")->find("/v1/chat/completions");
  ASSERT_TRUE(chat);
  EXPECT_EQ(text_at(*chat, "post.requestBody.content.application/json.schema.$ref"), "#/components/schemas/ChatRequest");
  EXPECT_TRUE(document.find("paths")->find("/v1/models/{id}"));
  const Json temperature = at(document, "components.schemas.ChatRequest.properties.temperature");
  EXPECT_EQ(at(temperature, "maximum"), Json(2));
  // Every number of a request has a range.
  for (const Operation& operation : all_operations())
    if (operation.request) {
      const std::string schema = operation.request->schema().dump();
      for (size_t place = 0; (place = schema.find("\"type\": [\"number\"", place)) != std::string::npos; ++place)
        EXPECT_LT(schema.find("minimum", place) - place, 80u);
    }
}

// What was answered is what the operation says; a body that is checked only as far as anything fits.
void expect_as_told(const Operation& operation, const FakeResponse& response, const std::string& request) {
  SCOPED_TRACE(operation.method + " " + operation.path + " " + request + "\n" + response.body().substr(0, 2000));
  EXPECT_GE(response.status(), 200);
  EXPECT_LT(response.status(), 500);
  const auto expect_shape = [](const Shape* shape, const Json& json) {
    ASSERT_TRUE(shape);
    const auto fits = shape->check(json);
    EXPECT_TRUE(fits) << fits.error().message;
    const auto schema = check_json(shape->schema(), json);
    EXPECT_TRUE(schema) << schema.error().message;
  };
  if (response.status() != 200) return expect_shape(operation.error, response.json_body());
  if (!response.begun()) return expect_shape(operation.answer, response.json_body());
  for (const std::string& data : response.events()) {
    if (data == "[DONE]") continue;
    const Json piece = json_of(data);
    expect_shape(piece.find("error") && piece.size() == 1 ? operation.error : operation.piece, piece);
  }
}

// So that a test ends: few tokens, of one answer or two.
void shorten(Json& body) {
  for (const char* name : {"max_tokens", "max_completion_tokens", "max_output_tokens"})
    if (const Json* most = body.find(name); !most || !most->is_number() || most->as_double() > 3) body[name] = 3;
  for (const char* name : {"n", "best_of"})
    if (const Json* count = body.find(name); count && count->is_number() && count->as_double() > 2) body[name] = 2;
}

class LongOpenApi : public OpenApi {};

TEST_F(LongOpenApi, HoldsForRandomRequests) {
  const int rounds = QUERN_LONG_TESTS ? 120 : 20;
  int answered = 0;
  for (const Operation& operation : openai_operations())
    for (int round = 0; round < rounds; ++round) {
      Random random(static_cast<uint64_t>(round) * 1000 + fnv1a_64(operation.path) % 1000);
      std::string body;
      if (operation.request) {
        Json made = random_value(*operation.request, random);
        made["model"] = random.chance(0.9) ? "pebble" : "nobody";
        if (random.chance(0.5)) spoil(made, random);
        if (made.is_object()) shorten(made);
        body = made.dump();
        if (random.chance(0.03)) body.resize(random.below(body.size()));
      }
      std::string path = operation.path.substr(0, operation.path.find('{'));
      if (path.size() < operation.path.size())
        path += random.chance(0.5) ? "pebble" : "resp_1" + operation.path.substr(operation.path.find('}') + 1);
      FakeResponse response;
      ask(router(), response, operation.method, path, body);
      const bool other = operation.path.ends_with("/input_items") && !path.ends_with("/input_items");  // another route's path
      if (!other) expect_as_told(operation, response, body);
      answered += response.status() == 200 ? 1 : 0;
      if (HasFailure()) return;
    }
  EXPECT_GT(answered, rounds / 2);
}

}  // namespace
}  // namespace quern
