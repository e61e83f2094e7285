#include "runtime/decoding.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/check.h"
#include "base/clock.h"
#include "runtime/engine_impl.h"
#include "runtime/forced_text.h"

namespace quern {
namespace {

SamplingParams with_seed(SamplingParams sampling, std::optional<uint64_t> seed) {
  sampling.seed = seed.value_or(sampling.seed);
  return sampling;
}

Result<void> check_sampling(const SamplingParams& sampling, int64_t vocab) {
  if (!(sampling.repetition_penalty > 0 && std::isfinite(sampling.repetition_penalty)))
    return fail(Errc::invalid_argument, "repetition_penalty {}: expected a positive number", sampling.repetition_penalty);
  if (!std::isfinite(sampling.presence_penalty) || !std::isfinite(sampling.frequency_penalty))
    return fail(Errc::invalid_argument, "presence_penalty {}, frequency_penalty {}: expected numbers", sampling.presence_penalty,
                sampling.frequency_penalty);
  for (const auto& [id, bias] : sampling.logit_bias) {
    if (id < 0 || id >= vocab) return fail(Errc::out_of_range, "logit_bias: id {} is outside the vocabulary of {}", id, vocab);
    if (std::isnan(bias)) return fail(Errc::invalid_argument, "logit_bias: of id {}: expected a number", id);
  }
  return {};
}

}  // namespace

Result<void> check_request(const Engine& engine, const GenerateRequest& request) {
  const Engine::Impl& impl = engine.impl();
  const int64_t vocab = impl.model->config.vocab_size, context = impl.runner->context;
  if (request.prompt.empty()) return fail(Errc::invalid_argument, "the prompt is empty");
  for (size_t i = 0; i < request.prompt.size(); ++i)
    if (const int32_t id = request.prompt[i]; id < 0 || id >= vocab)
      return fail(Errc::out_of_range, "token {}: id {} is outside the vocabulary of {}", i, id, vocab);
  if (static_cast<int64_t>(request.prompt.size()) > context)
    return fail(Errc::out_of_range, "{} tokens do not fit the context of {} (--context sets it, --yarn extends it)",
                request.prompt.size(), context);
  if (request.constraint && !impl.tokenizer)
    return fail(Errc::not_found, "{}: no tokenizer: there is no text to constrain", impl.options.model.string());
  if (request.constraint && request.ignore_eos)
    return fail(Errc::invalid_argument, "a constrained text ends where it is complete: end-of-turn tokens cannot be ignored");
  if (request.top_logprobs && *request.top_logprobs < 0)
    return fail(Errc::invalid_argument, "top_logprobs {}: expected 0 or more", *request.top_logprobs);
  if (request.reasoning_tokens && *request.reasoning_tokens < 0)
    return fail(Errc::invalid_argument, "reasoning_tokens {}: expected 0 or more", *request.reasoning_tokens);
  return check_sampling(request.sampling, vocab);
}

Decoding::Decoding(const Engine& engine, const GenerateRequest& request, std::optional<uint64_t> seed)
    : engine_(engine),
      request_(request),
      sampler_(with_seed(request.sampling, seed)),
      stops_(request.stop),
      thought_(engine.tokenizer(), request.prompt),
      fed_(static_cast<int64_t>(request.prompt.size())) {
  if (engine.tokenizer()) decoder_.emplace(*engine.tokenizer());
  sampler_.see_prompt(request.prompt);
}

void Decoding::begin() {
  go_on();
  if (over_) flush();
}

void Decoding::choose(std::span<const float> logits) {
  QUERN_CHECK(!over_);
  choice_.token = draw(logits);
  choice_.logprob.reset();
  if (choice_.token && request_.top_logprobs)
    choice_.logprob = log_probability(logits, engine_.impl().drawable, *choice_.token, *request_.top_logprobs, choice_.top);
}

Result<void> Decoding::take() {
  fed_ += static_cast<int64_t>(waiting_.size());
  waiting_.clear();
  if (!choice_.token) {
    over_ = true;
    return tl::unexpected(std::move(choice_.token.error()));
  }
  if (is_end(*choice_.token) && !request_.ignore_eos)
    complete();
  else if (give(*choice_.token, choice_.logprob))
    go_on();
  if (over_) flush();
  return {};
}

void Decoding::cancel() {
  end(FinishReason::cancelled);
  interrupted_ = true;
}

// Up to where the model is to be asked: text that has to come, and the ends that can be told without it.
void Decoding::go_on() {
  if (request_.reasoning_tokens && thought_.open() && thought_.tokens() >= *request_.reasoning_tokens && !all_given())
    close_thought();
  if (!over_ && request_.constraint) timed([&] { obey(*request_.constraint); });
  if (over_) return;
  if (all_given())
    end(FinishReason::length);
  else if (fed_ + static_cast<int64_t>(waiting_.size()) > engine_.impl().runner->context)
    end(FinishReason::context);
}

// What `work` gives; its time is the constraint's.
template <class Work>
std::invoke_result_t<Work> Decoding::timed(const Work& work) {
  struct Timer {
    double& sum;
    Clock::time_point start = Clock::now();
    ~Timer() { sum += std::chrono::duration<double>(Clock::now() - start).count(); }
  } const timer{out_.constrain_s};
  return work();
}

bool Decoding::is_end(int32_t id) const {
  const auto& ids = engine_.impl().end_ids;
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

void Decoding::end(FinishReason why) {
  over_ = true;
  out_.finish = why;
}

void Decoding::complete() {
  end(FinishReason::stop);
  out_.complete = true;
}

bool Decoding::emit(const GeneratedToken& token) {
  out_.text += token.text;
  return !request_.on_token || request_.on_token(token);
}

// Gives out a token; false when generation is over with it.
bool Decoding::give(int32_t token, std::optional<double> logprob) {
  out_.tokens.push_back(token);
  waiting_.push_back(token);
  sampler_.see_generated(token);
  thought_.push(token);
  out_.reasoning_tokens = thought_.tokens();
  const bool silent = !decoder_ || engine_.tokenizer()->is_special(token);
  const std::string text = silent ? std::string() : stops_.push(decoder_->push(token));
  const bool wanted =
      emit({.id = token, .text = text, .logprob = logprob, .top = logprob ? choice_.top : std::span<TokenProbability>()});
  if (wanted && !stops_.stopped()) return true;
  end(stops_.stopped() ? FinishReason::stop : FinishReason::cancelled);
  if (stops_.stopped()) out_.stop = stops_.stop();
  interrupted_ = true;
  return false;
}

// What was held back while it could still become a stop string, or a whole character.
void Decoding::flush() {
  if (interrupted_) return;
  std::string rest = stops_.push(decoder_ ? decoder_->finish() : std::string());
  if (stops_.stopped())
    out_.finish = FinishReason::stop, out_.stop = stops_.stop();
  else
    rest += stops_.finish();
  if (!rest.empty()) emit({.id = -1, .text = rest, .logprob = {}, .top = {}});
}

// What the constraint says before the model does: text that has to come, and whether that was all.
void Decoding::obey(Matcher& matcher) {
  if (request_.force && !all_given()) {
    const std::vector<int32_t> forced = accept_forced(matcher, *engine_.tokenizer(), engine_.impl().drawable);
    matcher.rollback(forced.size() - give_forced(forced));
  }
  if (!over_ && is_over(matcher)) complete();
}

// The budget is spent: the thought is closed with the words of the chat format, as far as a constraint lets it. Inside a character, or where
// the constraint wants something else, the model goes on for a token.
void Decoding::close_thought() {
  if (!decoder_->between_characters()) return;
  Matcher* matcher = request_.constraint;
  const int32_t last = out_.tokens.empty() ? request_.prompt.back() : out_.tokens.back();
  const Thought::Closing closing = thought_.closing(last);
  std::vector<int32_t> ids;
  const auto accept = [&](int32_t id) {
    if (matcher && !matcher->accept(id)) return false;
    ids.push_back(id);
    return true;
  };
  for (const int32_t id : closing.before) accept(id);
  if (!accept(closing.tag)) {
    if (matcher) matcher->rollback(ids.size());
    return;
  }
  for (const int32_t id : closing.behind)
    if (!accept(id)) break;
  const size_t given = give_forced(ids);
  if (matcher) matcher->rollback(ids.size() - given);
}

// Gives out what nobody asks the model for, as much as there is room for; returns how many that were.
size_t Decoding::give_forced(std::span<const int32_t> ids) {
  const int64_t known = fed_ + static_cast<int64_t>(waiting_.size());
  const int64_t room =  // the last token of all needs no place in the context
      std::min(request_.max_tokens - static_cast<int64_t>(out_.tokens.size()), engine_.impl().runner->context + 1 - known);
  size_t given = 0;
  while (!over_ && given < ids.size() && static_cast<int64_t>(given) < room) give(ids[given++]);
  out_.forced_tokens += static_cast<int64_t>(given);
  if (!over_ && given < ids.size() && !all_given()) end(FinishReason::context);
  return given;
}

Result<int32_t> Decoding::draw(std::span<const float> logits) {
  const int64_t limit = engine_.impl().drawable;
  if (!request_.constraint) return sampler_.sample(logits, limit);
  Matcher& matcher = *request_.constraint;
  // A model that keeps to the constraint by itself needs no mask: what is likeliest of all, and allowed, is likeliest of the allowed.
  if (sampler_.greedy()) {
    const int32_t token = sampler_.sample(logits, limit);
    if (timed([&] { return matcher.accept(token); })) return token;
  }
  QUERN_ASSIGN(const TokenMask* allowed, timed([&] { return matcher.mask(); }));
  const int32_t token = sampler_.sample(logits, limit, *allowed);
  if (token < 0) return fail(Errc::unsupported, "the constraint: no token of the vocabulary goes on as it must");
  const bool accepted = timed([&] { return matcher.accept(token); });
  QUERN_TRY(matcher.machine().healthy());
  QUERN_CHECK(accepted, token);
  return token;
}

}  // namespace quern
