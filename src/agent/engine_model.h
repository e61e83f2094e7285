// A ChatModel over one session of an engine: each turn's prompt begins with the tokens the session already holds, so only what is new
// is read. Replies are constrained: whatever the weights, a call in them is a valid call of one of the conversation's tools.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/chat_model.h"
#include "constrain/matcher.h"
#include "constrain/turn_machine.h"

namespace quern {

struct EngineModelOptions {
  SamplingParams sampling;
  bool constrained = true;  // false: the model writes calls freely, and whoever reads them finds out what is wrong
  ToolChoice choice;
};

// Not shared between threads; must not outlive the engine.
class EngineModel : public ChatModel {
 public:
  // not_found when the model has no tokenizer.
  static Result<std::unique_ptr<EngineModel>> create(const Engine& engine, EngineModelOptions options);
  ~EngineModel() override { put_back(); }

  ChatFormat format() const override { return engine_.chat_format(); }
  // Compiles what replies in conversations with these tools, and this schema of answers without calls, are held to; reply() does so where nobody did before. It is kept until a
  // conversation has other tools, and after that among the engine's constraints. Errors: compile_turn's, naming the tool whose schema cannot be enforced.
  Result<void> prepare(const std::vector<Json>& tools, const std::optional<Json>& answer_schema = std::nullopt);
  Result<Reply> reply(const Conversation& conversation, int64_t max_tokens,
                      const std::function<bool(std::string_view)>& on_token) override;
  int64_t context() const override { return engine_.context(); }
  Result<int64_t> count_tokens(const Conversation& conversation) const override;
  Result<void> save_state(const std::filesystem::path& path) const override { return session_.save(path); }
  Result<void> restore_state(const std::filesystem::path& path) override;
  std::unique_ptr<ChatModel> fork() const override;
  void set_sampling(const SamplingParams& sampling) { options_.sampling = sampling; }  // of the replies that come

 private:
  EngineModel(const Engine& engine, EngineModelOptions options) : engine_(engine), session_(engine), options_(std::move(options)) {}

  const Engine& engine_;
  Session session_;
  void put_back();

  EngineModelOptions options_;
  std::unique_ptr<Matcher> constraint_;  // taken from the engine's, or made
  std::string key_;                      // what it was made of
};

}  // namespace quern
