// Bodies of requests to OpenAI's API: what is accepted can be rendered in every format, and its numbers are in their ranges.
#include "fuzz.h"
#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"
#include "server/openai/response_request.h"
#include "text/chat_template.h"

using namespace quern;

namespace {

void check_turn(const TurnRequest& turn, const OpenAiSampling& sampling) {
  QUERN_CHECK(turn.choices >= 1 && turn.choices <= 16 && (turn.max_tokens == -1 || turn.max_tokens >= 1), turn.choices,
              turn.max_tokens);
  const SamplingParams params = sampling.over({});
  QUERN_CHECK(params.temperature >= 0 && params.temperature <= 2 && params.repetition_penalty > 0);
  if (const auto* conversation = std::get_if<Conversation>(&turn.prompt))
    for (const ChatFormat format : {ChatFormat::instruct, ChatFormat::thinking, ChatFormat::coder})
      fuzz::succeeded(render(*conversation, format));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = Json::parse(fuzz::text_of(data, size), "request", {.max_depth = 100});
  if (!fuzz::succeeded(json)) return 0;
  if (const auto chat = parse_chat_request(*json); fuzz::succeeded(chat)) check_turn(chat->turn, chat->sampling);
  if (const auto completion = parse_completion_request(*json); fuzz::succeeded(completion)) {
    QUERN_CHECK(!completion->prompts.empty());
    check_turn(completion->turn, completion->sampling);
  }
  auto response = parse_response_request(*json, [](const std::string& id) {
    return id.empty() ? nullptr : std::make_shared<const Json>(Json::Object{{"type", "message"}, {"id", id}, {"content", "kept"}});
  });
  if (!fuzz::succeeded(response)) return 0;
  auto conversation = response->conversation({});
  if (!fuzz::succeeded(conversation)) return 0;
  response->turn.prompt = std::move(*conversation);
  check_turn(response->turn, response->sampling);
  return 0;
}
