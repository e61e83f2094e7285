// ChatModel: who answers. The engine behind a real run, a script in tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/engine.h"
#include "text/chat_template.h"
#include "text/conversation.h"

namespace quern {

struct Reply {
  std::string text;  // the whole turn as generated, reasoning and calls included, without the end-of-turn token
  FinishReason finish = FinishReason::stop;  // context also when the prompt alone did not fit
  int64_t prompt_tokens = 0, reused_tokens = 0, tokens = 0;
  int64_t forced_tokens = 0;  // of `tokens`, those that a constraint left no choice about
  double prefill_s = 0, decode_s = 0;
  double constrain_s = 0;  // of decode_s
};

// What a session generated, as a reply.
Reply reply_of(Generation generation);

class ChatModel {
 public:
  virtual ~ChatModel() = default;
  virtual ChatFormat format() const = 0;
  // on_token is called with each token's text, and without text while the prompt is read; false cancels.
  virtual Result<Reply> reply(const Conversation& conversation, int64_t max_tokens,
                              const std::function<bool(std::string_view)>& on_token) = 0;

  // Another model that has read and said the same, and goes on by itself; nullptr: there is no state that could be shared.
  virtual std::unique_ptr<ChatModel> fork() const { return nullptr; }
  // Tokens that a prompt and its answer may have together; 0: not known.
  virtual int64_t context() const { return 0; }
  // Of the conversation's prompt; an estimate where nothing better is known.
  virtual Result<int64_t> count_tokens(const Conversation& conversation) const {
    QUERN_ASSIGN(const Prompt prompt, render(conversation, format()));
    return static_cast<int64_t>(prompt_text(prompt).size() / 4);
  }
  // Saves what the model has read and said as a file, and takes it up again, so that the next prompt need not be read from its beginning.
  // A file that cannot be used is an error and changes nothing. unsupported: there is nothing to save.
  virtual Result<void> save_state(const std::filesystem::path&) const {
    return fail(Errc::unsupported, "this model keeps no state");
  }
  virtual Result<void> restore_state(const std::filesystem::path&) { return fail(Errc::unsupported, "this model keeps no state"); }
};

}  // namespace quern
