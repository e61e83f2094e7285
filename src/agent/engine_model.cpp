#include "agent/engine_model.h"

namespace quern {
namespace {

// What a constraint learns about its tools is kept from turn to turn up to this size, far below where it would fail.
constexpr size_t kMaxConstraintBytes = size_t{64} << 20;

}  // namespace

Result<std::unique_ptr<EngineModel>> EngineModel::create(const Engine& engine, EngineModelOptions options) {
  if (!engine.tokenizer()) return fail(Errc::not_found, "the model has no tokenizer: it cannot read a task");
  return std::unique_ptr<EngineModel>(new EngineModel(engine, std::move(options)));
}

void EngineModel::put_back() {
  if (constraint_ && constraint_->machine().bytes() < kMaxConstraintBytes) engine_.constraints().put(key_, std::move(constraint_));
  constraint_.reset();
}

Result<void> EngineModel::prepare(const std::vector<Json>& tools, const std::optional<Json>& answer_schema) {
  if (!options_.constrained) return {};
  const ChatFormat format = engine_.chat_format();
  TurnOptions turn{.tools = tools,
                   .format = format == ChatFormat::coder ? CallFormat::xml : CallFormat::hermes,
                   .choice = options_.choice,
                   .thinking = format == ChatFormat::thinking,
                   .answer = answer_schema};
  std::string key = turn.key();
  if (constraint_ && key == key_ && constraint_->machine().bytes() < kMaxConstraintBytes) return {};
  put_back();
  key_ = std::move(key);
  constraint_ = engine_.constraints().take(key_);
  if (constraint_) return {};
  QUERN_ASSIGN(auto machine, compile_turn(turn));
  constraint_ = std::make_unique<Matcher>(std::move(machine), engine_.vocabulary());
  return {};
}

Result<int64_t> EngineModel::count_tokens(const Conversation& conversation) const {
  QUERN_ASSIGN(const Prompt prompt, render(conversation, engine_.chat_format()));
  QUERN_ASSIGN(const std::vector<int32_t> tokens, engine_.tokenizer()->encode(prompt));
  return static_cast<int64_t>(tokens.size());
}

Result<void> EngineModel::restore_state(const std::filesystem::path& path) {
  QUERN_ASSIGN(session_, Session::restore(engine_, path));
  return {};
}

std::unique_ptr<ChatModel> EngineModel::fork() const {
  std::unique_ptr<EngineModel> other(new EngineModel(engine_, options_));
  other->session_ = session_.fork();
  return other;
}

Result<Reply> EngineModel::reply(const Conversation& conversation, int64_t max_tokens,
                                 const std::function<bool(std::string_view)>& on_token) {
  QUERN_ASSIGN(const Prompt prompt, render(conversation, engine_.chat_format()));
  GenerateRequest request;
  QUERN_ASSIGN(request.prompt, engine_.tokenizer()->encode(prompt));
  if (const auto tokens = static_cast<int64_t>(request.prompt.size()); tokens >= engine_.context()) {
    Reply reply;
    reply.prompt_tokens = tokens;
    reply.finish = FinishReason::context;
    return reply;
  }
  request.sampling = options_.sampling;
  request.max_tokens = max_tokens;
  request.on_prefill = [&](int64_t, int64_t) { return on_token(""); };
  request.on_token = [&](const GeneratedToken& token) { return on_token(token.text); };
  QUERN_TRY(prepare(conversation.tools, conversation.answer_schema));
  if (constraint_) {
    constraint_->restart();
    request.constraint = &*constraint_;
  }
  auto generated = session_.generate(request);
  if (!generated) {
    constraint_.reset();  // after an error it is of no use
    return tl::unexpected(generated.error());
  }
  return reply_of(std::move(*generated));
}

}  // namespace quern
