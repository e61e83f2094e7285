// A ChatModel over one session of an engine: each turn's prompt begins with the tokens the session already holds, so only what is new
// is read.
#pragma once

#include "agent/chat_model.h"

namespace quern {

// Not shared between threads; must not outlive the engine.
class EngineModel : public ChatModel {
 public:
  // not_found when the model has no tokenizer.
  static Result<std::unique_ptr<EngineModel>> create(const Engine& engine, const SamplingParams& sampling);

  ChatFormat format() const override { return engine_.chat_format(); }
  Result<Reply> reply(const Conversation& conversation, int64_t max_tokens,
                      const std::function<bool(std::string_view)>& on_token) override;

 private:
  EngineModel(const Engine& engine, const SamplingParams& sampling) : engine_(engine), session_(engine), sampling_(sampling) {}

  const Engine& engine_;
  Session session_;
  SamplingParams sampling_;
};

}  // namespace quern
