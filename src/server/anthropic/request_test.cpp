#include "server/anthropic/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

AnthropicRequest parsed(std::string_view json, AnthropicBody kind = AnthropicBody::message) {
  auto request = parse_anthropic_request(Json::parse(json, "test").value(), kind);
  EXPECT_TRUE(request) << request.error().message;
  return request ? std::move(*request) : AnthropicRequest();
}
std::string refused(std::string_view json) {
  const auto request = parse_anthropic_request(Json::parse(json, "test").value(), AnthropicBody::message);
  EXPECT_FALSE(request) << json;
  return request ? "" : request.error().message;
}
// A body with these members beside a short conversation.
std::string with(std::string_view members) {
  return fmt::format(R"({{"model": "m", "max_tokens": 9, "messages": [{{"role": "user", "content": "Hi"}}], {}}})", members);
}
std::string messages(std::string_view list) { return fmt::format(R"({{"model": "m", "max_tokens": 9, "messages": [{}]}})", list); }

std::vector<std::string> texts(const AnthropicRequest& request) {
  std::vector<std::string> all;
  for (const Message& m : request.conversation.messages) all.push_back(fmt::format("{}: {}", role_name(m.role), m.content));
  return all;
}

TEST(AnthropicRequest, TakesWhatAnAgentSends) {
  const AnthropicRequest request = parsed(R"({
    "model": "claude-opus-4-1", "max_tokens": 32000, "stream": true, "temperature": 1, "metadata": {"user_id": "user_1"},
    "system": [{"type": "text", "text": "x-billing: 1;"}, {"type": "text", "text": "You help.", "cache_control": {"type": "ephemeral"}}],
    "tools": [{"name": "Read", "description": "Reads.", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}},
              {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "messages": [
      {"role": "user", "content": [{"type": "text", "text": "<reminder>"}, {"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}}]},
      {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "a", "name": "Read", "input": {"path": "x"}}, {"type": "tool_use", "id": "b", "name": "Read", "input": {}}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "b", "is_error": true, "content": "no path"},
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"type": "text", "text": "Go on."}]}],
    "unknown": {"is": "ignored"}})");
  EXPECT_THAT(texts(request), ElementsAre("system: x-billing: 1;\nYou help.", "user: <reminder>\nLook.", "assistant: I look.",
                                          "tool: one\ntwo", "tool: Error: no path", "user: Go on."));
  const Message& answer = request.conversation.messages[2];
  EXPECT_EQ(answer.reasoning, "Hm.");
  ASSERT_EQ(answer.tool_calls.size(), 2u);
  EXPECT_EQ(answer.tool_calls[0].arguments.dump(), R"({"path": "x"})");
  ASSERT_EQ(request.conversation.tools.size(), 1u);
  EXPECT_EQ(request.conversation.tools[0].dump(),
            R"({"type": "function", "function": {"name": "Read", "description": "Reads.", "parameters": {"type": "object", )"
            R"("properties": {"path": {"type": "string"}}}}})");
  EXPECT_THAT(request.notes, ElementsAre("tool web_search_20250305 is Anthropic's own: left out"));
  EXPECT_EQ(request.max_tokens, 32000);
  EXPECT_TRUE(request.stream);
  const TurnRequest turn = request.turn({.temperature = 0.5, .top_p = 0.8});
  EXPECT_EQ(turn.sampling.temperature, 1);
  EXPECT_EQ(turn.sampling.top_p, 0.8);
  EXPECT_EQ(turn.reasoning_tokens, 2000);
  EXPECT_EQ(turn.client, "user_1");
}

TEST(AnthropicRequest, TakesStringsWhereverBlocksMayBe) {
  const AnthropicRequest request = parsed(R"({"model": "m", "max_tokens": 1, "system": "Be brief.", "messages": [
    {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "system", "content": "Now in French."},
    {"role": "user", "content": ""}]})");
  EXPECT_THAT(texts(request), ElementsAre("system: Be brief.", "user: Hi", "assistant: Hello", "system: Now in French.", "user: "));
  EXPECT_FALSE(request.stream);
  EXPECT_EQ(request.turn({}).reasoning_tokens, std::nullopt);
}

TEST(AnthropicRequest, GoesOnFromWhatTheAnswerBeginsWith) {
  const AnthropicRequest request =
      parsed(messages(R"({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{\"a"})"));
  EXPECT_EQ(request.prefill, "{\"a");
  EXPECT_THAT(texts(request), ElementsAre("user: Hi"));
  EXPECT_THAT(refused(messages(R"({"role": "assistant", "content": "Hi"})")), HasSubstr("the only one"));
  const std::string_view call = R"({"role": "user", "content": "Hi"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]})";
  EXPECT_THAT(refused(messages(call)), HasSubstr("results are missing"));
  EXPECT_FALSE(parsed(messages(call), AnthropicBody::count).conversation.add_generation_prompt);
}

TEST(AnthropicRequest, ReadsDocumentsThatAreText) {
  const AnthropicRequest request = parsed(messages(R"({"role": "user", "content": [
    {"type": "document", "title": "A \"B\"", "context": "Of 1999.", "source": {"type": "text", "media_type": "text/plain", "data": "Once."}},
    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Upon."}]}},
    {"type": "search_result", "title": "T", "source": "http://x", "content": [{"type": "text", "text": "A time."}]}]})"));
  EXPECT_THAT(texts(request),
              ElementsAre("user: <document title=\"A \\\"B\\\"\">\nOf 1999.\nOnce.\n</document>\n<document>\nUpon.\n</document>\n"
                          "<search_result title=\"T\">\nhttp://x\nA time.\n</search_result>"));
  EXPECT_THAT(refused(messages(R"({"role": "user", "content": [{"type": "document", "source": {"type": "base64", "data": ""}}]})")),
              "messages[0].content[0]: a document of type base64: only text is read");
  EXPECT_EQ(refused(messages(R"({"role": "user", "content": [{"type": "image", "source": {}}]})")),
            "messages[0].content[0]: image: the model reads text only");
}

TEST(AnthropicRequest, APictureThatAToolTookIsNamed) {
  const AnthropicRequest request = parsed(messages(R"({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a",
    "content": [{"type": "text", "text": "Here:"}, {"type": "image", "source": {}}, {"type": "tool_reference", "tool_name": "Grep"}]}]})"));
  EXPECT_THAT(texts(request), ElementsAre("tool: Here:\n[image: not shown, the model reads text only]\n[tool: Grep]"));
  EXPECT_EQ(request.notes.size(), 1u);
}

TEST(AnthropicRequest, ThinkingComesBackWithItsSignature) {
  EXPECT_EQ(hidden_thinking(thinking_signature("Hm.", true)), "Hm.");
  EXPECT_EQ(hidden_thinking(thinking_signature("Hm.", false)), std::nullopt);
  EXPECT_EQ(thinking_signature("Hm.", false), thinking_signature("Hm.", false));
  Json block = Json::Object{{"type", "thinking"}, {"thinking", ""}, {"signature", thinking_signature("Why?", true)}};
  const AnthropicRequest request = parsed(messages(
      fmt::format(R"({{"role": "user", "content": "Hi"}}, {{"role": "assistant", "content": [{}, {{"type": "text", "text": "So."}},
        {{"type": "redacted_thinking", "data": "elsewhere"}}]}}, {{"role": "user", "content": "Ah"}})",
                  block.dump())));
  EXPECT_EQ(request.conversation.messages[1].reasoning, "Why?");
}

TEST(AnthropicRequest, ChoosesToolsAndThinking) {
  const std::string tools = R"("tools": [{"name": "f", "input_schema": {"type": "object"}}], )";
  using Kind = ToolChoice::Kind;
  EXPECT_EQ(parsed(with(tools + R"("tool_choice": {"type": "any", "disable_parallel_tool_use": true})")).choice.kind,
            Kind::required);
  EXPECT_FALSE(
      parsed(with(tools + R"("tool_choice": {"type": "auto", "disable_parallel_tool_use": true})")).turn({}).parallel_calls);
  EXPECT_EQ(parsed(with(tools + R"("tool_choice": {"type": "none"})")).choice.kind, Kind::none);
  EXPECT_EQ(parsed(with(tools + R"("tool_choice": {"type": "tool", "name": "f"})")).choice.name, "f");
  EXPECT_THAT(refused(with(tools + R"("tool_choice": {"type": "tool", "name": "g"})")), HasSubstr("no tool is called g"));
  EXPECT_THAT(refused(with(R"("tool_choice": {"type": "any"})")), HasSubstr("no tool is offered"));
  EXPECT_EQ(parsed(with(R"("thinking": {"type": "disabled"})")).turn({}).reasoning_tokens, 0);
  EXPECT_EQ(parsed(with(R"("thinking": {"type": "adaptive"})")).thinking, AnthropicRequest::Thinking::shown);
  EXPECT_EQ(parsed(with(R"("thinking": {"type": "adaptive", "display": "omitted"})")).thinking, AnthropicRequest::Thinking::hidden);
  EXPECT_THAT(refused(with(R"("thinking": {"type": "enabled"})")), HasSubstr("thinking.budget_tokens"));
  EXPECT_EQ(parsed(with(R"("output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}})"))
                .schema->dump(),
            R"({"type": "object"})");
  EXPECT_TRUE(parsed(with(R"("output_format": {"type": "json_schema", "schema": {}})")).schema);
}

TEST(AnthropicRequest, SaysWhichMemberIsWrong) {
  EXPECT_EQ(refused("[]"), "an array: expected an object");
  EXPECT_EQ(refused(R"({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})"),
            "max_tokens: missing: expected an integer from 1 to 2147483647");
  EXPECT_EQ(refused(with(R"("temperature": 2.5)")), "temperature: 2.5: expected a number from 0 to 2");
  EXPECT_EQ(refused(with(R"("top_k": 1.5)")), "top_k: 1.5: expected an integer from 0 to 1000000");
  EXPECT_EQ(refused(with(R"("stop_sequences": ["a", ""])")), "stop_sequences[1]: expected a string that is not empty");
  EXPECT_EQ(refused(with(R"("system": 3)")), "system: 3: expected a string or an array");
  EXPECT_EQ(refused(with(R"("tools": [{"name": "f"}])")), "tools[0].input_schema: expected an object");
  EXPECT_THAT(refused(R"({"max_tokens": 1, "messages": []})"), HasSubstr("messages: 0 items"));
  EXPECT_THAT(refused(messages(R"({"role": "robot", "content": ""})")), HasSubstr("messages[0].role"));
  EXPECT_THAT(refused(messages(R"({"role": "user"})")), HasSubstr("messages[0].content"));
  EXPECT_THAT(refused(messages(R"({"role": "user", "content": [{"type": "tool_use"}]})")),
              HasSubstr("type tool_use cannot stand here"));
  EXPECT_THAT(refused(messages(R"({"role": "user", "content": [7]})")), HasSubstr("messages[0].content[0]"));
  EXPECT_THAT(refused(messages(R"({"role": "user", "content": [{"type": "tool_result"}]})")), HasSubstr("tool_use_id"));
}

}  // namespace
}  // namespace quern
