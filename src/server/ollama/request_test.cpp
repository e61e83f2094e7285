#include "server/ollama/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using testing::HasSubstr;

OllamaRequest parsed(std::string_view json, OllamaCall call = OllamaCall::chat) {
  auto request = parse_ollama_request(Json::parse(json, "test").value(), call);
  EXPECT_TRUE(request) << request.error().message;
  return request ? std::move(*request) : OllamaRequest();
}
std::string refused(std::string_view json, OllamaCall call = OllamaCall::chat) {
  const auto request = parse_ollama_request(Json::parse(json, "test").value(), call);
  EXPECT_FALSE(request) << json;
  return request ? "" : request.error().message;
}
double kept(std::string_view json) {
  const auto time = parse_keep_alive(Json::parse(json, "test").value());
  EXPECT_TRUE(time) << json;
  return time ? time->count() : -2;
}

TEST(OllamaRequest, TakesWhatAChatIs) {
  const OllamaRequest request =
      parsed(R"({"model": "m", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
    {"role": "assistant", "content": "", "thinking": "t", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
    {"role": "tool", "tool_name": "f", "content": "r"}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
    "options": {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.01, "seed": 42, "num_predict": 99, "num_ctx": 4096, "num_gpu": 1,
      "stop": ["x"], "repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": 0.25},
    "format": {"type": "object"}, "keep_alive": "5m", "think": "low", "logprobs": true, "top_logprobs": 2})");
  const auto& conversation = std::get<Conversation>(request.prompt);
  ASSERT_EQ(conversation.messages.size(), 4u);
  EXPECT_EQ(conversation.messages[2].reasoning, "t");
  EXPECT_EQ(conversation.messages[2].tool_calls[0].arguments.dump(), R"({"a": 1})");
  EXPECT_EQ(conversation.messages[3].role, Role::tool);
  EXPECT_EQ(conversation.tools.size(), 1u);
  EXPECT_FALSE(request.only_load);
  EXPECT_TRUE(request.stream);
  EXPECT_EQ(request.keep_alive->count(), 300);
  const TurnRequest turn = request.turn({});
  EXPECT_EQ(turn.sampling.temperature, 0.7);
  EXPECT_EQ(turn.sampling.top_k, 20);
  EXPECT_EQ(turn.sampling.seed, 42u);
  EXPECT_EQ(turn.max_tokens, 99);
  EXPECT_EQ(turn.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(turn.reasoning_tokens, 1024);
  EXPECT_EQ(turn.top_logprobs, 2);
  EXPECT_EQ(turn.schema->dump(), R"({"type": "object"})");
}

TEST(OllamaRequest, TakesAPromptWithOrWithoutItsFormat) {
  const OllamaRequest chat =
      parsed(R"({"model": "m", "prompt": "p", "system": "s", "format": "json", "stream": false})", OllamaCall::generate);
  EXPECT_EQ(std::get<Conversation>(chat.prompt).messages.size(), 2u);
  EXPECT_EQ(chat.schema->dump(), "{}");
  EXPECT_FALSE(chat.stream);
  const OllamaRequest raw = parsed(R"({"model": "m", "prompt": "p", "raw": true, "think": false})", OllamaCall::generate);
  EXPECT_EQ(std::get<std::string>(raw.prompt), "p");
  EXPECT_EQ(raw.turn({}).reasoning_tokens, 0);
  EXPECT_THAT(refused(R"({"model": "m", "prompt": "p", "suffix": "s"})", OllamaCall::generate), HasSubstr("suffix: "));
  EXPECT_THAT(refused(R"({"model": "m", "prompt": "p", "template": "s"})", OllamaCall::generate), HasSubstr("template: "));
  EXPECT_THAT(refused(R"({"model": "m", "prompt": "p", "context": [1]})", OllamaCall::generate), HasSubstr("/api/chat"));
}

TEST(OllamaRequest, OnlyLoadsWhereThereIsNothingToAnswer) {
  EXPECT_TRUE(parsed(R"({"model": "m"})").only_load);
  EXPECT_TRUE(parsed(R"({"model": "m", "messages": [], "keep_alive": 0})").only_load);
  EXPECT_TRUE(parsed(R"({"name": "m", "prompt": ""})", OllamaCall::generate).only_load);
}

TEST(OllamaRequest, ReadsHowLongAModelStays) {
  EXPECT_EQ(kept("90"), 90);
  EXPECT_EQ(kept("0"), 0);
  EXPECT_EQ(kept("-1"), -1);
  EXPECT_EQ(kept(R"("-1")"), -1);
  EXPECT_EQ(kept(R"("0")"), 0);
  EXPECT_EQ(kept(R"("1h30m")"), 5400);
  EXPECT_DOUBLE_EQ(kept(R"("1m1.5s300ms")"), 61.8);
  EXPECT_EQ(kept(R"("-5m")"), -1);
  EXPECT_EQ(kept("1e300"), -1);
  for (const char* wrong : {R"("")", R"("-")", R"("5x")", R"("m")", R"("5m3")", "true", "[]", R"("nan")", R"("1e9s")"})
    EXPECT_FALSE(parse_keep_alive(Json::parse(wrong, "test").value())) << wrong;
}

TEST(OllamaRequest, SaysWhichMemberIsWrong) {
  EXPECT_EQ(refused("{}"), "model: which one is not said");
  EXPECT_EQ(refused(R"({"model": "m", "messages": [{"role": "user", "content": "", "images": ["x"]}]})"),
            "messages[0].images: the model reads text only");
  EXPECT_EQ(refused(R"({"model": "m", "options": {"temperature": -1}})"), "options.temperature: -1: expected a number from 0 to 2");
  EXPECT_EQ(refused(R"({"model": "m", "options": {"num_ctx": 0}})"),
            "options.num_ctx: 0: expected an integer from 1 to 2147483647");
  EXPECT_THAT(refused(R"({"model": "m", "format": "xml"})"), HasSubstr("format: "));
  EXPECT_THAT(refused(R"({"model": "m", "think": "much"})"), HasSubstr("think: "));
  EXPECT_THAT(refused(R"({"model": "m", "tools": [{}]})"), HasSubstr("tools[0].function"));
  EXPECT_THAT(refused(R"({"model": "m", "messages": [{"role": "user", "tool_calls": [{"function": {"name": "f"}}]}]})"),
              HasSubstr("only the assistant"));
}

}  // namespace
}  // namespace quern
