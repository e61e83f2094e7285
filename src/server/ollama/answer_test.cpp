#include "server/ollama/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using testing::ElementsAre;

OllamaAnswer::Options options(OllamaCall call) {
  auto seconds = std::make_shared<int>(0);
  return {.call = call, .model = "m", .now = [seconds] {
            return std::chrono::system_clock::time_point(std::chrono::seconds((*seconds)++));
          }};
}
std::vector<std::string> lines(OllamaAnswer& answer, const std::vector<TurnUpdate>& turn) {
  std::vector<std::string> all;
  for (const TurnUpdate& update : turn)
    for (const Json& json : answer.on(update)) all.push_back(json.dump(Json::Spacing::compact));
  return all;
}

TEST(OllamaAnswer, StreamsLinesWithWholeCalls) {
  OllamaAnswer answer(options(OllamaCall::chat));
  answer.loaded();
  EXPECT_THAT(
      lines(answer, {TurnBegun{.prompt_tokens = 5}, TurnThinking{"Hm."}, TurnText{"I look.", {}},
                     TurnCall{.index = 0, .id = "a", .name = "f"}, TurnArguments{.index = 0, .json = "{\"x\": "},
                     TurnArguments{.index = 0, .json = "1}"}, TurnCall{.index = 1, .id = "b", .name = "g"},
                     TurnEnd{.calls = 2, .prompt_tokens = 5, .tokens = 7, .prefill_s = 0.5, .decode_s = 1.5}}),
      ElementsAre(
          R"({"model":"m","created_at":"1970-01-01T00:00:02.000000Z","message":{"role":"assistant","content":"","thinking":"Hm."},"done":false})",
          R"({"model":"m","created_at":"1970-01-01T00:00:03.000000Z","message":{"role":"assistant","content":"I look."},"done":false})",
          R"({"model":"m","created_at":"1970-01-01T00:00:04.000000Z","message":{"role":"assistant","content":"",)"
          R"("tool_calls":[{"function":{"index":0,"name":"f","arguments":{"x":1}}}]},"done":false})",
          R"({"model":"m","created_at":"1970-01-01T00:00:05.000000Z","message":{"role":"assistant","content":"",)"
          R"("tool_calls":[{"function":{"index":1,"name":"g","arguments":{}}}]},"done":false})",
          R"({"model":"m","created_at":"1970-01-01T00:00:07.000000Z","message":{"role":"assistant","content":""},"done":true,)"
          R"("done_reason":"stop","total_duration":6000000000,"load_duration":1000000000,"prompt_eval_count":5,)"
          R"("prompt_eval_duration":500000000,"eval_count":7,"eval_duration":1500000000})"));
  const Json whole = answer.whole();
  EXPECT_EQ(whole.find("message")->dump(),
            R"({"role": "assistant", "content": "I look.", "thinking": "Hm.", "tool_calls": [{"function": {"index": 0, )"
            R"("name": "f", "arguments": {"x": 1}}}, {"function": {"index": 1, "name": "g", "arguments": {}}}]})");
  EXPECT_EQ(whole.find("eval_count")->to_int64().value(), 7);
}

TEST(OllamaAnswer, GenerateSaysResponse) {
  OllamaAnswer answer(options(OllamaCall::generate));
  const auto said =
      lines(answer, {TurnBegun{},
                     TurnText{"a", {{{.token = 1, .bytes = "\xff", .logprob = -0.5}, {{.token = 2, .bytes = "b", .logprob = -1}}}}},
                     TurnEnd{.finish = FinishReason::length}});
  ASSERT_EQ(said.size(), 2u);
  EXPECT_EQ(said[0],
            R"({"model":"m","created_at":"1970-01-01T00:00:01.000000Z","response":"a","done":false,"logprobs":[{"token":"�",)"
            R"("logprob":-0.5,"bytes":[255],"top_logprobs":[{"token":"b","logprob":-1,"bytes":[98]}]}]})");
  EXPECT_EQ(answer.whole().find("response")->as_string(), "a");
  EXPECT_EQ(answer.whole().find("done_reason")->as_string(), "length");
  EXPECT_EQ(answer.whole().find("logprobs")->size(), 1u);
}

TEST(OllamaAnswer, TellsOfLoadingAndOfErrors) {
  OllamaAnswer answer(options(OllamaCall::chat));
  EXPECT_EQ(answer.nothing("load").dump(),
            R"({"model": "m", "created_at": "1970-01-01T00:00:01.000000Z", "message": {"role": "assistant", "content": ""}, )"
            R"("done": true, "done_reason": "load"})");
  EXPECT_THAT(lines(answer, {TurnFailed{{Errc::io, "no disk"}}}), ElementsAre(R"({"error":"no disk"})"));
}

}  // namespace
}  // namespace quern
