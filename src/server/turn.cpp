#include "server/turn.h"

#include <utility>

#include "base/clock.h"
#include "constrain/constraint.h"
#include "server/turn_queue.h"
#include "server/turn_updates.h"
#include "text/token_prompt.h"
#include "text/volatile_lines.h"

namespace quern {
namespace {

// Constraints are kept for the next turn up to this size, far below where they would fail; many may be in use at once.
constexpr size_t kMaxConstraintBytes = size_t{64} << 20;
constexpr auto kLookEvery = std::chrono::milliseconds(500);  // at how much of the model has come from the disk
// A model that is not in memory is read from its beginning to its end beside a prompt of so many tokens, which needs nearly all of its experts
// (256 of them 99 % of an 80B model's). A 4.2 GB slice of that, cold, medians of 3 on two cores: 512 tokens in 1.9 s instead of 3.1, but 16
// tokens in 2.1 s instead of 1.3. Reading it all before the first step was not found to be faster, in one run.
constexpr size_t kReadAheadTokens = 256;
constexpr Matcher::Limits kMatcherLimits{.mask_bytes = size_t{16} << 20};

struct TurnConstraint {
  std::string key;
  std::unique_ptr<Matcher> matcher;  // nullptr: anything may be said
  TurnMachine* machine = nullptr;    // of the matcher, where it has one for conversations
};

const Conversation* conversation_of(const TurnRequest& request) { return std::get_if<Conversation>(&request.prompt); }

// The tools that may be called.
Result<std::vector<Json>> allowed_tools(const std::vector<Json>& tools, const std::optional<std::vector<std::string>>& names) {
  if (!names) return tools;
  std::vector<Json> allowed;
  for (const std::string& name : *names) {
    const Json* tool = find_tool(tools, name);
    if (!tool) return fail(Errc::not_found, "tool '{}': it is allowed, but not offered", name);
    allowed.push_back(*tool);
  }
  return allowed;
}

// Whether the answer begins with reasoning.
bool thinks(const Engine& engine, const TurnRequest& request) {
  return conversation_of(request) && engine.chat_format() == ChatFormat::thinking && request.prefill.empty();
}

Result<TurnConstraint> constrain(const Engine& engine, const TurnRequest& request) {
  TurnConstraint made;
  const Conversation* conversation = conversation_of(request);
  TurnOptions turn;
  if (conversation) {
    using Kind = ToolChoice::Kind;
    const bool must_call = request.choice.kind == Kind::required || request.choice.kind == Kind::named;
    if (conversation->tools.empty() && !must_call && !request.schema) return made;
    QUERN_ASSIGN(std::vector<Json> tools, allowed_tools(conversation->tools, request.allowed_tools));
    turn = {.tools = std::move(tools),
            .format = engine.chat_format() == ChatFormat::coder ? CallFormat::xml : CallFormat::hermes,
            .choice = request.choice,
            .thinking = thinks(engine, request),
            .parallel_calls = request.parallel_calls,
            .answer = request.schema};
    made.key = turn.key();
  } else if (request.schema) {
    made.key = "json " + request.schema->dump();
  } else {
    return made;
  }
  made.matcher = engine.constraints().take(made.key);
  if (!made.matcher) {
    std::unique_ptr<Machine> machine;
    if (conversation) {
      QUERN_ASSIGN(machine, compile_turn(turn));
    } else {
      QUERN_ASSIGN(machine, compile_schema(*request.schema, {.schema = {.numbers = NumberSpelling::shortest}}));
    }
    made.matcher = std::make_unique<Matcher>(std::move(machine), engine.vocabulary(), kMatcherLimits);
  }
  if (conversation) made.machine = static_cast<TurnMachine*>(&made.matcher->machine());
  return made;
}

// The prompt as the model reads it. In a conversation, what the model itself said is put back as it was said, and what changes all the time
// goes behind what does not: `request` has it so from then on.
Result<TokenPrompt> read_prompt(const ServedModel& model, TurnRequest& request) {
  const Engine& engine = *model.engine;
  if (!engine.tokenizer()) return fail(Errc::not_found, "the model has no tokenizer: it can neither read nor write text");
  TokenPrompt tokens;
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&request.prompt)) {
    for (const int32_t id : *ids)
      if (id < 0 || id >= engine.tokenizer()->vocab_size())
        return fail(Errc::out_of_range, "prompt: token {}: the model has {} tokens", id, engine.tokenizer()->vocab_size());
    tokens.ids = *ids;
  } else if (const auto* text = std::get_if<std::string>(&request.prompt)) {
    QUERN_ASSIGN(tokens, encode_with_boundaries(*engine.tokenizer(), {{*text, true}}));
  } else if (request.rendered) {
    tokens.ids = *request.rendered;
  } else {
    auto& conversation = std::get<Conversation>(request.prompt);
    move_volatile_lines(conversation, {.move = request.move_volatile});
    if (model.replay) model.replay->recall(conversation);
    QUERN_ASSIGN(Prompt prompt, render(conversation, engine.chat_format()));
    if (!request.prefill.empty()) {
      if (engine.chat_format() == ChatFormat::thinking) prompt.push_back({"\n</think>\n\n", true});
      prompt.push_back({request.prefill, false});
    }
    QUERN_ASSIGN(tokens, encode_with_boundaries(*engine.tokenizer(), prompt));
  }
  if (tokens.ids.empty()) return fail(Errc::invalid_argument, "the prompt is empty");
  if (const auto length = static_cast<int64_t>(tokens.ids.size()); length > engine.context())
    // In these words clients look for the reason, and they count by how much the conversation has to be shortened.
    return fail(Errc::out_of_range, "prompt is too long: {} tokens > {}, the model's maximum context length", length,
                engine.context());
  return tokens;
}

// One answer while it is generated. Used by the scheduler's thread alone, and not kept beyond the job: it does not keep the model, whose
// scheduler may not end on its own thread.
struct Choice {
  int64_t number;
  ServedModel& model;
  std::shared_ptr<TurnQueue> queue;
  std::string key;                             // of the constraint
  std::shared_ptr<const Conversation> before;  // what it answers; nullptr: what is said is not remembered
  TurnUpdates updates;
  bool session;  // goes on in one
  std::optional<Error> failed = std::nullopt;

  bool put(std::vector<TurnUpdate>& made) {
    bool wanted = true;
    for (TurnUpdate& update : made) wanted = queue->put(number, std::move(update)) && wanted;
    return wanted;
  }

  bool token(const GeneratedToken& token) {
    std::vector<TurnUpdate> made;
    if (const auto read = updates.token(token, made); !read) failed = read.error();
    return put(made) && !failed;
  }

  void end(Result<Generation> generated, std::unique_ptr<Matcher> matcher) {
    if (model.cache) model.cache_report.note(*model.cache);
    if (!generated || failed) {
      queue->put(number, TurnFailed{failed ? *failed : generated.error()});
      return;
    }
    std::vector<TurnUpdate> made;
    updates.finish(made);
    put(made);
    if (before && generated->stop.empty() && generated->finish != FinishReason::cancelled)
      model.replay->remember(*before, generated->tokens);
    TurnEnd end;
    end.finish = generated->finish;
    end.stop = generated->stop;
    end.calls = updates.calls();
    end.prompt_tokens = generated->prompt_tokens;
    end.reused_tokens = generated->reused_tokens;
    end.tokens = static_cast<int64_t>(generated->tokens.size());
    end.reasoning_tokens = generated->reasoning_tokens;
    end.queued_s = generated->queued_s;
    end.prefill_s = generated->prefill_s;
    end.decode_s = generated->decode_s;
    if (session) end.ids = std::move(generated->tokens);
    if (matcher && matcher->bytes() < kMaxConstraintBytes) model.engine->constraints().put(key, std::move(matcher));
    queue->put(number, std::move(end));
  }
};

// What the answer begins with has been said: the constraint and the reader go on behind it.
Result<void> begin_with(const std::string& prefill, const Tokenizer& tokenizer, Matcher* matcher, TurnUpdates& updates) {
  if (prefill.empty()) return {};
  const auto wrong = [] {
    return fail(Errc::invalid_argument, "the answer cannot begin as it is given: its tools or its schema do not allow that");
  };
  if (matcher) {
    QUERN_ASSIGN(const std::vector<int32_t> tokens, tokenizer.encode(prefill, false));
    for (const int32_t token : tokens)
      if (!matcher->accept(token)) return wrong();
  }
  return updates.skip(prefill) ? Result<void>() : wrong();
}

Result<Job> make_job(ServedModel& model, const TurnRequest& request, const TokenPrompt& prompt,
                     const std::shared_ptr<const Conversation>& before, int64_t number, const std::shared_ptr<TurnQueue>& queue) {
  const Engine& engine = *model.engine;
  QUERN_ASSIGN(TurnConstraint constraint, constrain(engine, request));
  const TurnUpdates::Options options{.raw = !conversation_of(request) || request.undivided,
                                     .thinking = thinks(engine, request),
                                     .machine = constraint.machine,
                                     .tokenizer = engine.tokenizer(),
                                     .logprobs = request.top_logprobs.has_value()};
  const auto choice = std::make_shared<Choice>(
      Choice{number, model, queue, std::move(constraint.key), before, TurnUpdates(options), request.session != nullptr});
  QUERN_TRY(begin_with(request.prefill, *engine.tokenizer(), constraint.matcher.get(), choice->updates));
  Job job;
  job.request.prompt = prompt.ids;
  job.boundaries = prompt.boundaries;
  job.request.sampling = request.sampling;
  job.request.sampling.seed += static_cast<uint64_t>(number);
  const int64_t room = engine.context() + 1 - static_cast<int64_t>(prompt.ids.size());  // the last token needs no place
  job.request.max_tokens = request.max_tokens < 0 ? room : request.max_tokens;
  job.request.stop = request.stop;
  job.request.reasoning_tokens = request.reasoning_tokens;
  job.request.top_logprobs = request.top_logprobs;
  job.request.on_prefill = [choice](int64_t done, int64_t total) {
    return choice->queue->put(choice->number, TurnReading{done, total});
  };
  job.request.on_token = [choice](const GeneratedToken& token) { return choice->token(token); };
  job.constraint = std::move(constraint.matcher);
  job.client = request.client;
  job.priority = request.priority;
  job.session = request.session;
  job.on_end = [choice](Result<Generation> generated, std::unique_ptr<Matcher> matcher) {
    choice->end(std::move(generated), std::move(matcher));
  };
  return job;
}

}  // namespace

struct TurnStream::Impl {
  std::shared_ptr<ServedModel> model;
  std::shared_ptr<TurnQueue> queue;
  std::vector<Scheduler::Id> jobs;
  int64_t choice = 0;
  bool first = true;          // of the model nothing has been heard yet
  bool told_reading = false;  // that reading begins, which is no news of the model

  // Takes note of an update: whether the weights that the first step needs have come.
  void hear(const TurnUpdate& update) {
    if (std::holds_alternative<TurnBegun>(update)) return;
    if (std::holds_alternative<TurnReading>(update) && !std::exchange(told_reading, true)) return;
    first = false;
  }
  bool waits_for_disk() const { return first && model->weights; }
  std::optional<TurnUpdate> look() {
    if (!waits_for_disk() || Clock::now() < next_look) return std::nullopt;
    next_look = Clock::now() + kLookEvery;
    const Residency weights = model->weights->look();
    if (weights.whole()) return std::nullopt;
    return TurnFromDisk{weights};
  }
  Clock::time_point next_look = Clock::now() + kLookEvery;

  ~Impl() {
    queue->close();
    cancel();
  }
  void cancel() const {
    for (const Scheduler::Id job : jobs) model->scheduler->cancel(job);
  }
};

TurnStream::TurnStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TurnStream::TurnStream(TurnStream&&) noexcept = default;
TurnStream& TurnStream::operator=(TurnStream&&) noexcept = default;
TurnStream::~TurnStream() = default;

std::optional<TurnUpdate> TurnStream::next(double idle_s) {
  for (;;) {
    const bool looks = idle_s == 0 && impl_->waits_for_disk();
    auto item = impl_->queue->take(looks ? std::chrono::duration<double>(kLookEvery).count() : idle_s);
    if (!item) return std::nullopt;
    impl_->choice = item->choice;
    if (!std::holds_alternative<TurnIdle>(item->update)) {
      impl_->hear(item->update);
      return std::move(item->update);
    }
    if (auto told = impl_->look()) return told;
    if (!looks) return TurnIdle{};
  }
}
int64_t TurnStream::choice() const { return impl_->choice; }
void TurnStream::cancel() { impl_->cancel(); }

Result<std::vector<int32_t>> turn_prompt(const ServedModel& model, TurnRequest request) {
  QUERN_ASSIGN(TokenPrompt prompt, read_prompt(model, request));
  return std::move(prompt.ids);
}

Result<TurnStream> begin_turn(std::shared_ptr<ServedModel> model, TurnRequest request) {
  if (request.choices < 1 || (request.session && request.choices > 1))
    return fail(Errc::invalid_argument, "choices: {}: expected {}", request.choices,
                request.session ? "1 in a session" : "1 or more");
  QUERN_ASSIGN(const TokenPrompt prompt, read_prompt(*model, request));
  std::shared_ptr<const Conversation> before;  // where what is said may be sent back
  if (conversation_of(request) && request.prefill.empty() && !request.rendered && model->replay)
    before = std::make_shared<const Conversation>(*conversation_of(request));
  auto impl = std::make_unique<TurnStream::Impl>();
  impl->model = model;
  impl->queue = std::make_shared<TurnQueue>(request.choices);
  if (model->weights && prompt.ids.size() >= kReadAheadTokens) model->weights->read_ahead();
  std::vector<Job> jobs;
  for (int64_t i = 0; i < request.choices; ++i) {
    QUERN_ASSIGN(Job job, make_job(*model, request, prompt, before, i, impl->queue));
    jobs.push_back(std::move(job));
  }
  impl->queue->put(0, TurnBegun{static_cast<int64_t>(prompt.ids.size())});
  for (Job& job : jobs) {
    QUERN_ASSIGN(const Scheduler::Id id, model->scheduler->submit(std::move(job)));
    impl->jobs.push_back(id);
  }
  return TurnStream(std::move(impl));
}

}  // namespace quern
