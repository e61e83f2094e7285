#include "server/anthropic/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using testing::HasSubstr;
using Thinking = AnthropicRequest::Thinking;

const std::vector<TurnUpdate>& agents_turn() {
  static const std::vector<TurnUpdate> turn = {TurnBegun{.prompt_tokens = 12},
                                               TurnThinking{"Let me"},
                                               TurnThinking{" see."},
                                               TurnText{"I ", {}},
                                               TurnText{"look.", {}},
                                               TurnCall{.index = 0, .id = "call_1", .name = "Read"},
                                               TurnArguments{.index = 0, .json = "{\"path\": "},
                                               TurnArguments{.index = 0, .json = "\"x\"}"},
                                               TurnCall{.index = 1, .id = "call_2", .name = "List"},
                                               TurnArguments{.index = 1, .json = "{}"},
                                               TurnEnd{.calls = 2, .prompt_tokens = 12, .reused_tokens = 8, .tokens = 30}};
  return turn;
}

std::string events(Thinking thinking, const std::vector<TurnUpdate>& turn) {
  AnthropicEvents events({.id = "msg_1", .model = "m", .thinking = thinking});
  std::string all;
  for (const TurnUpdate& update : turn) all += events.on(update);
  return all;
}
Json message(Thinking thinking, const std::vector<TurnUpdate>& turn) {
  AnthropicMessage message({.id = "msg_1", .model = "m", .thinking = thinking});
  for (const TurnUpdate& update : turn) message.on(update);
  return message.message();
}

TEST(AnthropicAnswer, StreamsBlocksOneAfterTheOther) {
  const std::string signature = thinking_signature("Let me see.", false);
  EXPECT_EQ(
      events(Thinking::shown, agents_turn()),
      "event: message_start\n"
      R"(data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],)"
      R"("stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":0,)"
      R"("cache_read_input_tokens":0,"output_tokens":0}}})"
      "\n\nevent: content_block_start\n"
      R"(data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})"
      "\n\nevent: content_block_delta\n"
      R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me"}})"
      "\n\nevent: content_block_delta\n"
      R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":" see."}})"
      "\n\nevent: content_block_delta\n"
      R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":")" +
          signature +
          "\"}}\n\nevent: content_block_stop\n"
          R"(data: {"type":"content_block_stop","index":0})"
          "\n\nevent: content_block_start\n"
          R"(data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})"
          "\n\nevent: content_block_delta\n"
          R"(data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"I "}})"
          "\n\nevent: content_block_delta\n"
          R"(data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"look."}})"
          "\n\nevent: content_block_stop\n"
          R"(data: {"type":"content_block_stop","index":1})"
          "\n\nevent: content_block_start\n"
          R"(data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_1","name":"Read","input":{}}})"
          "\n\nevent: content_block_delta\n"
          R"(data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"path\": "}})"
          "\n\nevent: content_block_delta\n"
          R"(data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\"x\"}"}})"
          "\n\nevent: content_block_stop\n"
          R"(data: {"type":"content_block_stop","index":2})"
          "\n\nevent: content_block_start\n"
          R"(data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"call_2","name":"List","input":{}}})"
          "\n\nevent: content_block_delta\n"
          R"(data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{}"}})"
          "\n\nevent: content_block_stop\n"
          R"(data: {"type":"content_block_stop","index":3})"
          "\n\nevent: message_delta\n"
          R"(data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":4,)"
          R"("cache_creation_input_tokens":0,"cache_read_input_tokens":8,"output_tokens":30}})"
          "\n\nevent: message_stop\n"
          R"(data: {"type":"message_stop"})"
          "\n\n");
}

TEST(AnthropicAnswer, ShowsThinkingToThoseWhoAskedForIt) {
  for (const Thinking thinking : {Thinking::absent, Thinking::disabled}) {
    EXPECT_EQ(events(thinking, agents_turn()).find("thinking"), std::string::npos);
    EXPECT_THAT(events(thinking, agents_turn()), HasSubstr("event: ping\n"));
    EXPECT_EQ(message(thinking, agents_turn()).find("content")->size(), 3u);
  }
  const std::string hidden = events(Thinking::hidden, agents_turn());
  EXPECT_EQ(hidden.find("thinking_delta"), std::string::npos);
  EXPECT_THAT(hidden, HasSubstr(R"({"type":"signature_delta","signature":"quern-thinking:Let me see."})"));
  const Json block = message(Thinking::hidden, agents_turn()).find("content")->as_array()[0];
  EXPECT_EQ(block.dump(), R"({"type": "thinking", "thinking": "", "signature": "quern-thinking:Let me see."})");
}

TEST(AnthropicAnswer, IsOneMessageToThoseWhoWait) {
  const Json said = message(Thinking::shown, agents_turn());
  EXPECT_EQ(said.find("content")->dump(),
            R"([{"type": "thinking", "thinking": "Let me see.", "signature": ")" + thinking_signature("Let me see.", false) +
                R"("}, {"type": "text", "text": "I look."}, {"type": "tool_use", "id": "call_1", "name": "Read", )"
                R"("input": {"path": "x"}}, {"type": "tool_use", "id": "call_2", "name": "List", "input": {}}])");
  EXPECT_EQ(said.find("stop_reason")->as_string(), "tool_use");
  EXPECT_EQ(said.find("usage")->find("cache_read_input_tokens")->to_int64().value(), 8);
}

TEST(AnthropicAnswer, SaysWhyItEnded) {
  const auto reason = [](const TurnEnd& end) {
    const Json said = message(Thinking::absent, {TurnBegun{}, TurnText{"a", {}}, end});
    return said.find("stop_reason")->as_string() + "/" + said.find("stop_sequence")->dump();
  };
  EXPECT_EQ(reason({}), "end_turn/null");
  EXPECT_EQ(reason({.stop = "\n"}), R"(stop_sequence/"\n")");
  EXPECT_EQ(reason({.finish = FinishReason::length}), "max_tokens/null");
  EXPECT_EQ(reason({.finish = FinishReason::context}), "model_context_window_exceeded/null");
}

TEST(AnthropicAnswer, ACallThatWasCutOffIsNone) {
  const Json said =
      message(Thinking::absent, {TurnBegun{}, TurnText{"a", {}}, TurnCall{.index = 0, .id = "i", .name = "f"},
                                 TurnArguments{.index = 0, .json = "{\"pa"}, TurnEnd{.finish = FinishReason::length}});
  EXPECT_EQ(said.find("content")->size(), 1u);
}

TEST(AnthropicAnswer, TellsErrorsByTheirType) {
  const auto type = [](int status) { return anthropic_error(status, "m").find("error")->find("type")->as_string(); };
  EXPECT_EQ(type(400), "invalid_request_error");
  EXPECT_EQ(type(401), "authentication_error");
  EXPECT_EQ(type(403), "permission_error");
  EXPECT_EQ(type(404), "not_found_error");
  EXPECT_EQ(type(413), "request_too_large");
  EXPECT_EQ(type(429), "rate_limit_error");
  EXPECT_EQ(type(500), "api_error");
  EXPECT_THAT(events(Thinking::absent, {TurnBegun{}, TurnFailed{{Errc::io, "no disk"}}}),
              HasSubstr("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"no disk\"}"));
}

}  // namespace
}  // namespace quern
