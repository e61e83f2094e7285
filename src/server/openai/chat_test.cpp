#include "constrain/constraint.h"
#include "server/openai/openai_test.h"
#include "server/openai/shapes.h"

namespace quern {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kWeather =
    R"([{"type": "function", "function": {"name": "get_weather", "description": "The weather", "parameters": {"type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "minimum": 1, "maximum": 14}},
    "required": ["city"], "additionalProperties": false}}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "additionalProperties": false}}}])";

std::string chat(std::string_view more, std::string_view question = "What is the capital of France?") {
  return fmt::format(R"({{"model": "pebble", "temperature": 0, "messages": [{{"role": "user", "content": {}}}]{}{}}})",
                     Json(question).dump(), more.empty() ? "" : ", ", more);
}

class Chat : public OpenAiTest {};

TEST_F(Chat, AnswersWholeAndPieceByPieceTheSame) {
  const Json whole = post(kChat, chat(R"("max_tokens": 30)"));
  EXPECT_TRUE(openai_shapes::chat_answer().check(whole)) << openai_shapes::chat_answer().check(whole).error().message;
  EXPECT_EQ(text_at(whole, "object"), "chat.completion");
  EXPECT_EQ(text_at(whole, "model"), "pebble");
  const auto chunks = stream(kChat, chat(R"("max_tokens": 30, "stream": true, "stream_options": {"include_usage": true})"));
  ASSERT_GE(chunks.size(), 4u);
  EXPECT_EQ(chunks.back(), Json("[DONE]"));
  std::string text;
  for (size_t i = 0; i + 1 < chunks.size(); ++i) {
    EXPECT_TRUE(openai_shapes::chat_chunk().check(chunks[i])) << chunks[i].dump();
    if (const Json piece = at(chunks[i], "choices.0.delta.content"); piece.is_string()) text += piece.as_string();
  }
  EXPECT_EQ(text, text_at(whole, "choices.0.message.content"));
  EXPECT_EQ(text_at(chunks[0], "choices.0.delta.role"), "assistant");
  EXPECT_EQ(at(chunks[chunks.size() - 2], "usage.completion_tokens"), at(whole, "usage.completion_tokens"));
  EXPECT_EQ(at(chunks[chunks.size() - 2], "choices"), Json::array());
  EXPECT_EQ(at(chunks[chunks.size() - 3], "choices.0.finish_reason"), at(whole, "choices.0.finish_reason"));
  EXPECT_TRUE(at(chunks[chunks.size() - 3], "timings").is_object());
}

TEST_F(Chat, CallsTools) {
  const std::string more = fmt::format(R"("tools": {}, "max_tokens": 200, "tool_choice": {})", kWeather,
                                       R"({"type": "function", "function": {"name": "get_weather"}})");
  const Json whole = post(kChat, chat(more, "How is the weather in Ulm?"));
  ASSERT_EQ(text_at(whole, "choices.0.finish_reason"), "tool_calls") << whole.dump();
  EXPECT_TRUE(at(whole, "choices.0.message.content").is_null());
  EXPECT_EQ(text_at(whole, "choices.0.message.tool_calls.0.function.name"), "get_weather");
  EXPECT_THAT(text_at(whole, "choices.0.message.tool_calls.0.id"), StartsWith("call_"));
  const std::string arguments = text_at(whole, "choices.0.message.tool_calls.0.function.arguments");
  EXPECT_TRUE(check_json(at(json_of(kWeather), "0.function.parameters"), json_of(arguments))) << arguments;
  std::string streamed, name;
  for (const Json& chunk : stream(kChat, chat(more + R"(, "stream": true)", "How is the weather in Ulm?"))) {
    const Json call = at(chunk, "choices.0.delta.tool_calls.0");
    if (at(call, "index") != Json(0)) continue;
    if (const Json first = at(call, "function.name"); first.is_string()) name += first.as_string();
    if (const Json more_arguments = at(call, "function.arguments"); more_arguments.is_string())
      streamed += more_arguments.as_string();
  }
  EXPECT_EQ(name, "get_weather");
  EXPECT_EQ(streamed, arguments);
}

TEST_F(Chat, CallsFunctionsInTheOlderForm) {
  const Json function = at(json_of(kWeather), "0.function");
  const Json whole = post(
      kChat,
      chat(fmt::format(R"("functions": [{}], "function_call": {{"name": "get_weather"}}, "max_tokens": 200)", function.dump())));
  EXPECT_EQ(text_at(whole, "choices.0.finish_reason"), "function_call");
  EXPECT_EQ(text_at(whole, "choices.0.message.function_call.name"), "get_weather");
  EXPECT_TRUE(at(whole, "choices.0.message.tool_calls").is_null());
}

TEST_F(Chat, CallsOnlyWhatIsAllowed) {
  const std::string allowed =
      R"({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]}})";
  const Json whole = post(
      kChat,
      chat(fmt::format(R"("tools": {}, "max_tokens": 60, "tool_choice": {}, "parallel_tool_calls": false)", kWeather, allowed)));
  EXPECT_EQ(text_at(whole, "choices.0.message.tool_calls.0.function.name"), "get_time");
  EXPECT_EQ(at(whole, "choices.0.message.tool_calls").size(), 1u);
}

TEST_F(Chat, KeepsToASchema) {
  const std::string schema =
      R"({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"],
                                 "additionalProperties": false})";
  const Json whole = post(
      kChat,
      chat(fmt::format(R"("response_format": {{"type": "json_schema", "json_schema": {{"name": "a", "schema": {}}}}})", schema)));
  EXPECT_TRUE(check_json(json_of(schema), json_of(text_at(whole, "choices.0.message.content"))));
  const Json object = post(kChat, chat(R"("response_format": {"type": "json_object"}, "max_tokens": 400)"));
  if (text_at(object, "choices.0.finish_reason") == "stop") {
    EXPECT_TRUE(json_of(text_at(object, "choices.0.message.content")).is_object());
  }
}

TEST_F(Chat, TellsProbabilitiesAndSeveralChoices) {
  const Json whole = post(kChat, chat(R"("n": 3, "max_tokens": 4, "logprobs": true, "top_logprobs": 2)"));
  ASSERT_EQ(at(whole, "choices").size(), 3u);
  const Json first = at(whole, "choices.0.logprobs.content.0");
  EXPECT_LE(at(first, "logprob").as_double(), 0);
  EXPECT_EQ(at(first, "top_logprobs").size(), 2u);
  EXPECT_EQ(at(first, "top_logprobs.0.token"), at(first, "token"));
  EXPECT_TRUE(openai_shapes::chat_answer().check(whole)) << openai_shapes::chat_answer().check(whole).error().message;
  EXPECT_EQ(at(whole, "usage.completion_tokens"), Json(12));
  const Json biased = post(kChat, chat(R"("max_tokens": 3, "logit_bias": {"1000": 100})"));
  const Json plain = post(kChat, chat(R"("max_tokens": 3)"));
  EXPECT_NE(text_at(biased, "choices.0.message.content"), text_at(plain, "choices.0.message.content"));
}

TEST_F(Chat, ReadsConversationsOfAllKinds) {
  const Json whole = post(kChat, fmt::format(R"({{"messages": [
      {{"role": "developer", "content": "Be brief."}},
      {{"role": "user", "content": [{{"type": "text", "text": "How is the weather"}}, {{"type": "text", "text": "in Ulm?"}}]}},
      {{"role": "assistant", "content": null, "reasoning_content": "Hm.", "tool_calls": [
          {{"id": "a", "type": "function", "function": {{"name": "get_weather", "arguments": "{{\"city\": \"Ulm\"}}"}}}},
          {{"id": "b", "type": "function", "function": {{"name": "get_time", "arguments": ""}}}}]}},
      {{"role": "tool", "tool_call_id": "b", "content": "noon"}},
      {{"role": "tool", "tool_call_id": "a", "content": [{{"type": "text", "text": "sunny"}}]}},
      {{"role": "system", "content": "One sentence."}},
      {{"role": "user", "content": "Well?"}}], "tools": {}, "max_completion_tokens": 5, "max_tokens": 100, "user": "me",
      "metadata": {{"a": "b"}}, "store": false, "something": [1]}})",
                                             kWeather));
  EXPECT_LE(at(whole, "usage.completion_tokens").as_double(), 5);
  EXPECT_EQ(text_at(whole, "model"), "pebble");
}

TEST_F(Chat, RefusesWithThePlaceAndACode) {
  EXPECT_THAT(refusal(kChat, "{"), StartsWith("400 "));
  EXPECT_THAT(refusal(kChat, "{}"), StartsWith("400 messages invalid_value: messages: missing"));
  EXPECT_THAT(refusal(kChat, chat(R"("temperature": 3)")),
              StartsWith("400 temperature invalid_value: temperature: 3: expected a number from 0 to 2"));
  EXPECT_THAT(refusal(kChat, chat(R"("n": 0)")), HasSubstr("an integer from 1 to 16"));
  EXPECT_THAT(refusal(kChat, chat(R"("top_logprobs": 3)")), HasSubstr("only together with logprobs"));
  EXPECT_THAT(refusal(kChat, chat(R"("tool_choice": "required")")), StartsWith("400 tool_choice"));
  EXPECT_THAT(refusal(kChat, chat(fmt::format(R"("tools": {}, "tool_choice": {{"type": "function", "function": {{"name": "x"}}}})",
                                              kWeather))),
              HasSubstr("no tool of that name"));
  EXPECT_THAT(
      refusal(kChat, R"({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]})"),
      StartsWith(
          "400 messages[0].content[0].type unsupported_value: messages[0].content[0].type: image_url: the models here read text only"));
  EXPECT_THAT(refusal(kChat, R"({"messages": [{"role": "user"}]})"), HasSubstr("messages[0].content: missing"));
  EXPECT_THAT(refusal(kChat, R"({"model": "gpt-5", "messages": [{"role": "user", "content": "a"}]})"),
              StartsWith("404 model model_not_found"));
  EXPECT_THAT(refusal(kChat, chat("", std::string(20000, '7'))), StartsWith("400 (null) context_length_exceeded"));
  EXPECT_THAT(
      refusal(kChat, chat(R"("tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "http://a/"}}}])")),
      StartsWith("400 tools unsupported_value: tool 'f'"));
  EXPECT_THAT(refusal(kChat, chat(R"("logit_bias": {"a": 1})")), HasSubstr("a token's id"));
  EXPECT_THAT(refusal(kChat, chat(R"("response_format": {"type": "json_schema"})")), HasSubstr("json_schema.schema: missing"));
}

TEST_F(Chat, EndsWhenTheClientGoesAway) {
  FakeResponse response(3);
  ask(router(), response, "POST", kChat, chat(R"("stream": true, "max_tokens": 2000, "temperature": 1, "seed": 1, "response_format":
      {"type": "json_schema", "json_schema": {"schema": {"type": "array", "items": {"type": "integer"}, "minItems": 2000}}})"));
  EXPECT_EQ(response.writes().size(), 3u);
}

}  // namespace
}  // namespace quern
