// The bodies of requests to /api/chat and /api/generate: what is accepted can be rendered in every format.
#include "fuzz.h"
#include "server/ollama/request.h"
#include "text/chat_template.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = Json::parse(fuzz::text_of(data, size), "request", {.max_depth = 100});
  if (!fuzz::succeeded(json)) return 0;
  for (const OllamaCall call : {OllamaCall::chat, OllamaCall::generate}) {
    const auto request = parse_ollama_request(*json, call);
    if (!fuzz::succeeded(request)) continue;
    QUERN_CHECK(request->max_tokens >= -1 && !request->model.empty());
    const TurnRequest turn = request->turn({});
    QUERN_CHECK(turn.sampling.top_p >= 0 && turn.sampling.top_p <= 1);
    if (const auto* conversation = std::get_if<Conversation>(&request->prompt))
      for (const ChatFormat format : {ChatFormat::instruct, ChatFormat::thinking, ChatFormat::coder})
        fuzz::succeeded(render(*conversation, format));
  }
  return 0;
}
