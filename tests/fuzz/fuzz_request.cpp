// A chat request to a conversation to each prompt format: markup is trusted text, and no message's text ever is.
#include "fuzz.h"
#include "text/chat_template.h"
#include "text/conversation.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = Json::parse(fuzz::text_of(data, size), "request");
  if (!fuzz::succeeded(json)) return 0;
  const auto conversation = Conversation::from_json(*json);
  if (!fuzz::succeeded(conversation)) return 0;
  for (const ChatFormat format : {ChatFormat::instruct, ChatFormat::thinking, ChatFormat::coder}) {
    const auto prompt = render(*conversation, format);
    if (!fuzz::succeeded(prompt)) continue;
    std::string joined;
    for (const PromptPiece& piece : *prompt) joined += piece.text;
    QUERN_CHECK(joined == prompt_text(*prompt));
  }
  return 0;
}
