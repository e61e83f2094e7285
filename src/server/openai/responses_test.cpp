#include "constrain/constraint.h"
#include "server/openai/openai_test.h"
#include "server/openai/response_request.h"
#include "server/openai/shapes.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kPath = "/v1/responses";
constexpr const char* kTool =
    R"({"type": "function", "name": "get_time", "description": "The time", "parameters": {"type": "object", "additionalProperties": false}})";

class Responses : public OpenAiTest {
 protected:
  static std::vector<std::string> types(const std::vector<Json>& events) {
    std::vector<std::string> all;
    for (size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(at(events[i], "sequence_number"), Json(static_cast<int64_t>(i)));
      EXPECT_TRUE(openai_shapes::response_event().check(events[i])) << events[i].dump();
      const std::string type = text_at(events[i], "type");
      if (all.empty() || all.back() != type) all.push_back(type);
    }
    return all;
  }
};

TEST_F(Responses, AnswerWholeAndPieceByPieceTheSame) {
  const std::string body = R"("input": "What is the capital of France?", "instructions": "Be brief.", "temperature": 0,
                              "max_output_tokens": 100, "metadata": {"a": "b"})";
  const Json whole = post(kPath, "{" + body + "}");
  EXPECT_TRUE(openai_shapes::response_answer().check(whole)) << openai_shapes::response_answer().check(whole).error().message;
  EXPECT_EQ(text_at(whole, "output.0.type"), "message");
  EXPECT_EQ(text_at(whole, "metadata.a"), "b");
  const auto events = stream(kPath, "{" + body + R"(, "stream": true})");
  EXPECT_THAT(types(events),
              ElementsAre("response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
                          "response.output_text.delta", "response.output_text.done", "response.content_part.done",
                          "response.output_item.done", testing::AnyOf("response.completed", "response.incomplete")));
  std::string text;
  for (const Json& event : events)
    if (text_at(event, "type") == "response.output_text.delta") text += text_at(event, "delta");
  EXPECT_EQ(text, text_at(whole, "output.0.content.0.text"));
  EXPECT_EQ(at(events.back(), "response.usage.output_tokens"), at(whole, "usage.output_tokens"));
}

TEST_F(Responses, CallToolsAndTakeTheirResults) {
  const auto events = stream(kPath, fmt::format(R"({{"input": "What time is it?", "tools": [{}, {{"type": "web_search"}},
      {{"type": "custom", "name": "apply_patch"}}], "tool_choice": "required", "parallel_tool_calls": false, "temperature": 0, "stream": true}})",
                                                kTool));
  EXPECT_THAT(types(events), ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                                         "response.function_call_arguments.delta", "response.function_call_arguments.done",
                                         "response.output_item.done", "response.completed"));
  const Json response = at(events.back(), "response");
  EXPECT_EQ(text_at(response, "metadata.ignored_tools"), "web_search, custom apply_patch");
  EXPECT_EQ(text_at(response, "output.0.name"), "get_time");
  const Json next = post(
      kPath,
      fmt::format(R"({{"previous_response_id": {}, "input": [{{"type": "function_call_output", "call_id": {}, "output": "noon"}},
      {{"type": "image_generation_call", "id": "x"}}], "tools": [{}], "max_output_tokens": 5}})",
                  at(response, "id").dump(), at(response, "output.0.call_id").dump(), kTool));
  EXPECT_EQ(at(next, "previous_response_id"), at(response, "id"));
  EXPECT_EQ(text_at(next, "metadata.ignored_items"), "image_generation_call");
  EXPECT_GT(at(next, "usage.input_tokens").as_double(), at(response, "usage.input_tokens").as_double());
}

// Codex offers the tools of MCP servers so.
constexpr const char* kSpace = R"({"type": "namespace", "name": "mcp__clock", "description": "Clocks.", "tools": [
    {"type": "function", "name": "now", "description": "The time", "strict": false, "parameters": {"type": "object", "properties": {}, "additionalProperties": false}},
    {"type": "custom", "name": "set"}]})";

TEST_F(Responses, CallFunctionsInNamespaces) {
  const auto events = stream(kPath, fmt::format(R"({{"input": "What time is it?", "tools": [{}, {}], "parallel_tool_calls": false,
      "tool_choice": {{"type": "function", "namespace": "mcp__clock", "name": "now"}}, "temperature": 0, "stream": true}})",
                                                kTool, kSpace));
  const Json response = at(events.back(), "response");
  EXPECT_TRUE(openai_shapes::response_answer().check(response));
  EXPECT_EQ(text_at(response, "metadata.ignored_tools"), "custom mcp__clock__set");
  for (const Json& event : events) {
    if (text_at(event, "type") != "response.output_item.done") continue;
    EXPECT_EQ(text_at(event, "item.name"), "now");
    EXPECT_EQ(text_at(event, "item.namespace"), "mcp__clock");
  }
  const Json next = post(
      kPath,
      fmt::format(
          R"({{"store": false, "input": [{{"role": "user", "content": "What time is it?"}}, {}, {{"type": "function_call_output", "call_id": {},
      "output": [{{"type": "input_text", "text": "noon"}}, {{"type": "input_image", "image_url": "data:image/png;base64,"}}]}}], "tools": [{}, {}],
      "max_output_tokens": 5}})",
          at(response, "output.0").dump(), at(response, "output.0.call_id").dump(), kTool, kSpace));
  EXPECT_GT(at(next, "usage.input_tokens").as_double(), at(response, "usage.input_tokens").as_double());
}

TEST_F(Responses, AreKeptForTheirClient) {
  const Json made =
      post(kPath, R"({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}], "max_output_tokens": 3})");
  const std::string id = text_at(made, "id");
  EXPECT_EQ(send("GET", "/v1/responses/" + id)->json_body(), made);
  const Json items = send("GET", "/v1/responses/" + id + "/input_items")->json_body();
  EXPECT_TRUE(openai_shapes::response_items().check(items));
  EXPECT_EQ(text_at(items, "data.0.content.0.text"), "Hello");
  FakeResponse other;
  ServerRequest request = make_request("GET", "/v1/responses/" + id);
  request.client = "somebody else";
  router().dispatch(request, other);
  EXPECT_EQ(other.status(), 404);
  EXPECT_EQ(at(send("DELETE", "/v1/responses/" + id)->json_body(), "deleted"), Json(true));
  EXPECT_EQ(send("DELETE", "/v1/responses/" + id)->status(), 404);
  EXPECT_THAT(refusal(kPath, fmt::format(R"({{"input": "a", "previous_response_id": "{}"}})", id)),
              StartsWith("400 previous_response_id previous_response_not_found"));
  const Json forgotten = post(kPath, R"({"input": "a", "store": false, "max_output_tokens": 1})");
  EXPECT_EQ(send("GET", "/v1/responses/" + text_at(forgotten, "id"))->status(), 404);
}

TEST_F(Responses, KeepToASchema) {
  const std::string schema =
      R"({"type": "object", "properties": {"n": {"type": "boolean"}}, "required": ["n"], "additionalProperties": false})";
  const Json made =
      post(kPath,
           fmt::format(R"({{"input": "a", "text": {{"format": {{"type": "json_schema", "name": "x", "schema": {}}}}}}})", schema));
  EXPECT_TRUE(check_json(json_of(schema), json_of(text_at(made, "output.0.content.0.text"))));
}

TEST_F(Responses, CountTokensAndRefuse) {
  const Json counted = post("/v1/responses/input_tokens", R"({"input": "Hello", "instructions": "Be brief."})");
  EXPECT_TRUE(openai_shapes::response_input_tokens().check(counted));
  EXPECT_GT(at(counted, "input_tokens").as_double(), 5);
  EXPECT_THAT(refusal(kPath, "{}"), HasSubstr("nothing to answer"));
  EXPECT_THAT(refusal(kPath, R"({"input": "a", "background": true})"), StartsWith("400 background unsupported_value"));
  EXPECT_THAT(refusal(kPath, R"({"input": [{"type": "item_reference", "id": "nothing"}]})"), HasSubstr("input[0].id"));
  EXPECT_THAT(refusal(kPath, R"({"input": [{"role": "user", "content": [{"type": "input_image"}]}]})"),
              HasSubstr("input[0].content[0].type: input_image"));
  EXPECT_THAT(refusal(kPath, R"({"input": "a", "max_output_tokens": 0})"), StartsWith("400 max_output_tokens"));
}

Conversation conversation_of(const char* body) {
  auto request = parse_response_request(json_of(body), [](const std::string&) { return nullptr; });
  EXPECT_TRUE(request) << request.error().message;
  return request->conversation({}).value();
}

TEST(ResponseRequest, MakesOneMessageOfWhatAnAssistantDoesInARow) {
  const Conversation made = conversation_of(R"({"instructions": "S", "input": [
      {"role": "user", "content": "Q"},
      {"type": "reasoning", "summary": [], "encrypted_content": "quern1.SG0u"},
      {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A"}]},
      {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
      {"type": "custom_tool_call", "call_id": "2", "name": "patch", "input": "x"},
      {"type": "custom_tool_call_output", "call_id": "2", "output": "second"},
      {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "first"}]},
      {"type": "message", "role": "assistant", "content": "B"}]})");
  ASSERT_EQ(made.messages.size(), 6u);
  EXPECT_EQ(made.messages[0].role, Role::system);
  EXPECT_EQ(made.messages[2].reasoning, "Hm.");
  EXPECT_EQ(made.messages[2].content, "A");
  ASSERT_EQ(made.messages[2].tool_calls.size(), 2u);
  EXPECT_EQ(made.messages[2].tool_calls[1].arguments, json_of(R"({"input": "x"})"));
  EXPECT_EQ(made.messages[3].content, "first");
  EXPECT_EQ(made.messages[4].content, "second");
  EXPECT_EQ(made.messages[5].content, "B");
}

TEST(ResponseRequest, KnowsFunctionsInNamespacesByBothNames) {
  const Conversation made = conversation_of(fmt::format(R"({{"tools": [{}], "input": [{{"role": "user", "content": "Q"}},
      {{"type": "function_call", "call_id": "1", "namespace": "mcp__clock", "name": "now", "arguments": "{{}}"}},
      {{"type": "function_call_output", "call_id": "1", "output": [{{"type": "input_image", "image_url": "x"}}]}}]}})",
                                                        kSpace)
                                                .c_str());
  ASSERT_EQ(made.tools.size(), 1u);
  EXPECT_EQ(text_at(made.tools[0], "function.name"), "mcp__clock__now");
  EXPECT_EQ(text_at(made.tools[0], "function.description"), "mcp__clock: Clocks.\n\nThe time");
  EXPECT_EQ(made.messages[1].tool_calls[0].name, "mcp__clock__now");
  EXPECT_EQ(made.messages[2].content, "[input_image: not shown, the model reads text only]")
      << "an error could not be gone on from";
}

TEST(ResponseRequest, PacksReasoning) {
  EXPECT_EQ(unpack_reasoning(pack_reasoning("Grüße\n")), "Grüße\n");
  EXPECT_FALSE(unpack_reasoning("gAAAA"));
  EXPECT_FALSE(unpack_reasoning("quern1.!!!!"));
  EXPECT_FALSE(unpack_reasoning("quern1.//8="));
}

}  // namespace
}  // namespace quern
