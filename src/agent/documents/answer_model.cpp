#include "agent/documents/answer_model.h"

#include "constrain/matcher.h"

namespace quern {
namespace {

class EngineAnswerModel : public AnswerModel {
 public:
  EngineAnswerModel(const Engine& engine, const SamplingParams& sampling)
      : engine_(engine), session_(engine), sampling_(sampling) {}

  ChatFormat format() const override { return engine_.chat_format(); }
  int64_t context() const override { return engine_.context(); }
  Result<int64_t> count_tokens(std::string_view text) const override {
    QUERN_ASSIGN(const auto ids, engine_.tokenizer()->encode(text, /*trusted=*/false));
    return static_cast<int64_t>(ids.size());
  }
  Result<int64_t> count_tokens(const Conversation& conversation) const override {
    QUERN_ASSIGN(const auto ids, encode(conversation));
    return static_cast<int64_t>(ids.size());
  }

  Result<Reply> answer(const Conversation& conversation, std::unique_ptr<Machine> constraint, int64_t max_tokens,
                       const AnswerEvents& events) override {
    Matcher matcher(std::move(constraint), engine_.vocabulary());
    GenerateRequest request;
    QUERN_ASSIGN(request.prompt, encode(conversation));
    request.sampling = sampling_;
    request.max_tokens = max_tokens;
    request.constraint = &matcher;
    request.on_prefill = events.on_prefill;
    if (events.on_text) request.on_token = [&](const GeneratedToken& token) { return events.on_text(token.text); };
    QUERN_ASSIGN(Generation generation, session_.generate(request));
    return reply_of(std::move(generation));
  }

 private:
  Result<std::vector<int32_t>> encode(const Conversation& conversation) const {
    QUERN_ASSIGN(const Prompt prompt, render(conversation, engine_.chat_format()));
    return engine_.tokenizer()->encode(prompt);
  }

  const Engine& engine_;
  Session session_;
  SamplingParams sampling_;
};

}  // namespace

Result<std::unique_ptr<AnswerModel>> make_answer_model(const Engine& engine, const SamplingParams& sampling) {
  if (!engine.tokenizer()) return fail(Errc::not_found, "the model has no tokenizer: it cannot read a question");
  return std::make_unique<EngineAnswerModel>(engine, sampling);
}

}  // namespace quern
