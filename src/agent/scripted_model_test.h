// A ChatModel that says what a test wrote for it.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "agent/chat_model.h"

namespace quern {

inline std::string call_text(std::string_view name, std::string_view arguments) {
  return fmt::format("<tool_call>\n{{\"name\": \"{}\", \"arguments\": {}}}\n</tool_call>", name, arguments);
}

// Says its lines one after the other and keeps the conversations it was shown; the last line again and again.
class ScriptedModel : public ChatModel {
 public:
  explicit ScriptedModel(std::vector<std::string> lines) : lines_(std::move(lines)) {}
  ChatFormat format() const override { return ChatFormat::instruct; }
  Result<Reply> reply(const Conversation& conversation, int64_t max_tokens,
                      const std::function<bool(std::string_view)>& on_token) override {
    shown.push_back(conversation);
    last_max_tokens = max_tokens;
    if (fails) return fail(Errc::io, "the model is gone");
    Reply reply;
    reply.text = lines_[std::min(shown.size(), lines_.size()) - 1];
    reply.finish = on_token(reply.text) ? finish : FinishReason::cancelled;
    reply.prompt_tokens = 10;
    reply.tokens = 5;
    reply.decode_s = 0.5;
    return reply;
  }
  // The texts of the tool results it saw in the end.
  std::vector<std::string> results() const {
    std::vector<std::string> texts;
    for (const Message& m : shown.back().messages)
      if (m.role == Role::tool) texts.push_back(m.content);
    return texts;
  }

  std::vector<Conversation> shown;
  int64_t last_max_tokens = 0;
  FinishReason finish = FinishReason::stop;
  bool fails = false;

 private:
  std::vector<std::string> lines_;
};

}  // namespace quern
