// AnswerModel: who answers a question about documents. The engine behind a real run, a script in tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "agent/chat_model.h"
#include "constrain/machine.h"

namespace quern {

struct AnswerEvents {
  std::function<bool(int64_t done, int64_t total)> on_prefill;  // tokens of the prompt; false cancels
  std::function<bool(std::string_view text)> on_text;           // false cancels
};

class AnswerModel {
 public:
  virtual ~AnswerModel() = default;
  virtual ChatFormat format() const = 0;
  virtual int64_t context() const = 0;  // tokens
  virtual Result<int64_t> count_tokens(std::string_view text) const = 0;
  virtual Result<int64_t> count_tokens(const Conversation& conversation) const = 0;  // as it is rendered
  // The next turn, held to `constraint`.
  virtual Result<Reply> answer(const Conversation& conversation, std::unique_ptr<Machine> constraint, int64_t max_tokens,
                               const AnswerEvents& events) = 0;
};

// Must not outlive the engine. not_found when the model has no tokenizer.
Result<std::unique_ptr<AnswerModel>> make_answer_model(const Engine& engine, const SamplingParams& sampling);

}  // namespace quern
