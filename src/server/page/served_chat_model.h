// The agent's ChatModel over a served model: a turn on its scheduler beside everybody else's, from the nearest state in its prefix cache.
#pragma once

#include <functional>
#include <memory>

#include "agent/chat_model.h"
#include "server/models.h"
#include "server/turn.h"

namespace quern {

class ServedChatModel : public ChatModel {
 public:
  // What is told while a reply is made, besides its text.
  struct Watcher {
    std::function<void(int64_t done, int64_t total)> on_reading;  // of a prompt's tokens, as they are read
    std::function<void(const Residency& weights)> on_disk;      // what of the model has come from the disk, while it is waited for
    std::function<void(const std::string& name)> on_call;       // the model begins to call that
    std::function<void(const std::string& json)> on_arguments;  // the next piece of that call's arguments
  };
  // `turn`: how to answer; its prompt is each conversation's.
  ServedChatModel(std::shared_ptr<ServedModel> model, TurnRequest turn, Watcher watcher);

  ChatFormat format() const override { return model_->engine->chat_format(); }
  int64_t context() const override { return model_->engine->context(); }
  Result<int64_t> count_tokens(const Conversation& conversation) const override;
  Result<Reply> reply(const Conversation& conversation, int64_t max_tokens,
                      const std::function<bool(std::string_view)>& on_token) override;

 private:
  TurnRequest request_for(const Conversation& conversation) const;

  std::shared_ptr<ServedModel> model_;
  TurnRequest turn_;
  Watcher watcher_;
};

}  // namespace quern
