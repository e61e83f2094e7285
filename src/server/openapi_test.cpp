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
  ASSERT_TRUE(add_api_routes(all, server().context));
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

// Pieces of an answer: events, or lines.
std::vector<Json> pieces_of(const Operation& operation, const FakeResponse& response) {
  std::vector<Json> pieces;
  if (operation.pieces == "text/event-stream") {
    for (const std::string& data : response.events())
      if (data != "[DONE]") pieces.push_back(json_of(data));
    return pieces;
  }
  for (size_t at = 0, end; (end = response.body().find('\n', at)) != std::string::npos; at = end + 1)
    pieces.push_back(json_of(response.body().substr(at, end - at)));
  return pieces;
}

void expect_shape(const Shape* shape, const Json& json) {
  if (!shape) {
    EXPECT_TRUE(json.find("error")) << "as plain_problem has it";
    return;
  }
  const auto fits = shape->check(json);
  EXPECT_TRUE(fits) << fits.error().message;
  const auto schema = check_json(shape->schema(), json);
  EXPECT_TRUE(schema) << schema.error().message;
}

// What was answered is what the operation says.
void expect_as_told(const Operation& operation, const FakeResponse& response, const std::string& request) {
  SCOPED_TRACE(operation.method + " " + operation.path + " " + request + "\n" + response.body().substr(0, 2000));
  EXPECT_GE(response.status(), 200);
  const bool refused = !operation.answer && operation.other_answer.empty();  // always
  EXPECT_TRUE(response.status() < 500 || (refused && response.status() == 501)) << response.status();
  if (response.status() != 200) return expect_shape(operation.error, response.json_body());
  if (response.begun()) {
    for (const Json& piece : pieces_of(operation, response))
      expect_shape(piece.find("error") && piece.size() == 1 ? operation.error : operation.piece, piece);
  } else if (operation.answer) {
    expect_shape(operation.answer, response.json_body());
  }
}

// So that a test ends: few tokens, of one answer or two.
void shorten(Json& body) {
  for (const char* name : {"max_tokens", "max_completion_tokens", "max_output_tokens"})
    if (const Json* most = body.find(name); !most || !most->is_number() || most->as_double() > 3) body[name] = 3;
  for (const char* name : {"n", "best_of"})
    if (const Json* count = body.find(name); count && count->is_number() && count->as_double() > 2) body[name] = 2;
  if (Json* options = body.find("options"); options && options->is_object())
    (*options)["num_predict"] = 3;
  else
    body["options"] = Json::Object{{"num_predict", 3}};
}

class LongOpenApi : public OpenApi {
 protected:
  void SetUp() override { ASSERT_TRUE(add_api_routes(all_, server().context)); }
  // The answer to a random request, which is spoilt half of the time; `body` is what was asked.
  std::unique_ptr<FakeResponse> ask_something(const Operation& operation, Random& random, std::string& body) {
    if (operation.request) {
      Json made = random_value(*operation.request, random);
      made["model"] = random.chance(0.9) ? "pebble" : "nobody";
      if (random.chance(0.5)) spoil(made, random);
      if (made.is_object()) shorten(made);
      body = made.dump();
      if (random.chance(0.03)) body.resize(random.below(body.size()));
    }
    std::string path = operation.path;
    if (const size_t open = path.find('{'); open != std::string::npos)
      path.replace(open, path.find('}') + 1 - open, random.chance(0.5) ? "pebble" : "resp_1");
    auto response = std::make_unique<FakeResponse>();
    ask(all_, *response, operation.method, path, body);
    return response;
  }

  Router all_;
};

TEST_F(LongOpenApi, HoldsForRandomRequests) {
  const int rounds = QUERN_LONG_TESTS ? 100 : 10;
  int answered = 0;
  for (const Operation& operation : all_operations()) {
    if (operation.path == "/health" || operation.path == "/metrics") continue;  // of the server around this
    for (int round = 0; round < rounds; ++round) {
      Random random(static_cast<uint64_t>(round) * 1000 + fnv1a_64(operation.path) % 1000);
      std::string body;
      const auto response = ask_something(operation, random, body);
      expect_as_told(operation, *response, body);
      answered += response->status() == 200 ? 1 : 0;
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(answered, rounds);
}

}  // namespace
}  // namespace quern
