#include "agent/engine_model.h"

namespace quern {

Result<std::unique_ptr<EngineModel>> EngineModel::create(const Engine& engine, const SamplingParams& sampling) {
  if (!engine.tokenizer()) return fail(Errc::not_found, "the model has no tokenizer.json: it cannot read a task");
  return std::unique_ptr<EngineModel>(new EngineModel(engine, sampling));
}

Result<Reply> EngineModel::reply(const Conversation& conversation, int64_t max_tokens,
                                 const std::function<bool(std::string_view)>& on_token) {
  QUERN_ASSIGN(const Prompt prompt, render(conversation, engine_.chat_format()));
  GenerateRequest request;
  QUERN_ASSIGN(request.prompt, engine_.tokenizer()->encode(prompt));
  Reply reply;
  reply.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (reply.prompt_tokens >= engine_.context()) {
    reply.finish = FinishReason::context;
    return reply;
  }
  request.sampling = sampling_;
  request.max_tokens = max_tokens;
  request.on_prefill = [&](int64_t, int64_t) { return on_token(""); };
  request.on_token = [&](int32_t, std::string_view text) { return on_token(text); };
  QUERN_ASSIGN(Generation generation, session_.generate(request));
  reply.text = std::move(generation.text);
  reply.finish = generation.finish;
  reply.reused_tokens = generation.reused_tokens;
  reply.tokens = static_cast<int64_t>(generation.tokens.size());
  reply.prefill_s = generation.prefill_s;
  reply.decode_s = generation.decode_s;
  return reply;
}

}  // namespace quern
