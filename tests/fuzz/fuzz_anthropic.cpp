// The body of a request to /v1/messages: what is accepted can be rendered in every format, and nothing in it becomes markup.
#include "fuzz.h"
#include "server/anthropic/request.h"
#include "text/chat_template.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = Json::parse(fuzz::text_of(data, size), "request", {.max_depth = 100});
  if (!fuzz::succeeded(json)) return 0;
  for (const AnthropicBody kind : {AnthropicBody::message, AnthropicBody::count}) {
    const auto request = parse_anthropic_request(*json, kind);
    if (!fuzz::succeeded(request)) continue;
    QUERN_CHECK(kind == AnthropicBody::count || request->max_tokens > 0);
    const TurnRequest turn = request->turn({});
    QUERN_CHECK(turn.sampling.temperature >= 0 && turn.sampling.temperature <= 2);
    for (const ChatFormat format : {ChatFormat::instruct, ChatFormat::thinking, ChatFormat::coder})
      fuzz::succeeded(render(request->conversation, format));
  }
  return 0;
}
