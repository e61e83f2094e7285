#include "runtime/running_job.h"

#include <algorithm>

namespace quern {

Result<std::unique_ptr<RunningJob>> RunningJob::begin(const Engine& engine, PrefixCache* cache, std::unique_ptr<WaitingJob>& job) {
  std::unique_ptr<RunningJob> begun(new RunningJob(engine, cache));
  Job& j = job->job;
  const GenerateRequest& request = j.request;
  std::optional<uint64_t> drawn_to;
  int64_t reused = 0;
  if (j.session) {
    Session::Impl& session = j.session->impl();
    if (request.embed && !session.timeline.tokens().empty())
      return tl::unexpected(Error{Errc::invalid_argument, "an embedding needs a session that holds no tokens"});
    QUERN_ASSIGN(reused, session.align(request.prompt));
    if (request.draw_on) drawn_to = session.drawn_to;
    begun->cache_ = nullptr;
  } else if (cache && !request.embed) {
    begun->own_.emplace(cache->find(request.prompt));
    reused = static_cast<int64_t>(begun->own_->tokens().size());
    begun->pauses_ = cache->worthwhile(request.prompt.size(), j.boundaries, static_cast<size_t>(reused));
    std::reverse(begun->pauses_.begin(), begun->pauses_.end());
  } else {
    begun->own_.emplace(*engine.impl().runner);
    begun->cache_ = nullptr;
  }
  begun->decoding_.emplace(engine, request, drawn_to);
  begun->waiting_ = std::move(job);
  Generation& out = begun->result();
  out.prompt_tokens = static_cast<int64_t>(begun->job().request.prompt.size());
  out.reused_tokens = reused;
  out.queued_s = std::chrono::duration<double>(begun->begun_ - begun->waiting_->since).count();
  return begun;
}

size_t RunningJob::will_keep(std::span<const int32_t> prompt) const {
  if (!reading_ || pauses_.empty() || prompt.empty()) return 0;
  const std::span<const int32_t> own = waiting_->job.request.prompt;
  const size_t most = std::min(own.size(), prompt.size() - 1);
  const auto common = static_cast<size_t>(
      std::mismatch(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(most), prompt.begin()).first - own.begin());
  const auto furthest = std::find_if(pauses_.begin(), pauses_.end(), [&](size_t at) { return at <= common; });
  return furthest == pauses_.end() ? 0 : *furthest;
}

void RunningJob::park() {
  again_ = timeline().tokens();
  was_parked_ = true;
  if (cache_) cache_->put(timeline());
  own_.reset();
}

void RunningJob::unpark() {
  if (cache_)
    own_.emplace(cache_->find(again_));
  else
    own_.emplace(*engine_.impl().runner);
}

std::span<const int32_t> RunningJob::next() const {
  if (const auto at = static_cast<size_t>(held()); at < again_.size()) return std::span(again_).subspan(at);
  if (!reading_) return decoding_->waiting().subspan(fed_);
  const std::span<const int32_t> prompt = waiting_->job.request.prompt;
  const auto at = static_cast<size_t>(held());
  size_t end = prompt.size();
  if (!pauses_.empty()) end = std::min(end, pauses_.back());  // which is behind what is held
  return prompt.subspan(at, end - at);
}

bool RunningJob::wants_logits(size_t count) const {
  if (waiting_->job.request.embed || reading_again()) return false;
  if (!reading_) return fed_ + count == decoding_->waiting().size();
  return static_cast<size_t>(held()) + count == waiting_->job.request.prompt.size();
}

bool RunningJob::fed(std::span<const int32_t> tokens, Tensor hidden) {
  const GenerateRequest& request = job().request;
  const bool again = reading_again();
  timeline().note_fed(tokens);
  if (again) return false;
  if (!reading_) return (fed_ += tokens.size()) == decoding_->waiting().size();
  const size_t held = timeline().tokens().size();
  if (request.embed) mean_.add(hidden);
  while (!pauses_.empty() && pauses_.back() <= held) {
    if (pauses_.back() == held) cache_->put(timeline());
    pauses_.pop_back();
  }
  if (request.on_prefill && !request.on_prefill(static_cast<int64_t>(held), static_cast<int64_t>(request.prompt.size()))) {
    cancel();
    return false;
  }
  return held == request.prompt.size() && prompt_read(request);
}

bool RunningJob::prompt_read(const GenerateRequest& request) {
  reading_ = false;
  read_ = Clock::now();
  result().prefill_s = std::chrono::duration<double>(read_ - begun_).count();
  if (request.embed) {
    result().embedding = mean_.mean();
    over_ = true;
    return false;
  }
  if (job().session) job().session->impl().mark_prompt();
  decoding_->begin();
  over_ = decoding_->over();
  fed_ = 0;
  return !over_ && decoding_->waiting().empty();
}

void RunningJob::take() {
  fed_ = 0;
  if (auto taken = decoding_->take(); !taken) return fail(std::move(taken.error()));
  over_ = decoding_->over();
}

void RunningJob::fail(Error error) {
  error_ = std::move(error);
  over_ = true;
}

void RunningJob::spoil(Error error) {
  if (job().session) *job().session = Session(engine_);
  cache_ = nullptr;
  fail(std::move(error));
}

void RunningJob::cancel() {
  decoding_->cancel();
  over_ = true;
}

std::pair<Job, Result<Generation>> RunningJob::finish() {
  const auto now = Clock::now();
  Generation& out = result();
  if (reading_)
    out.prefill_s = std::chrono::duration<double>(now - begun_).count();
  else
    out.decode_s = std::chrono::duration<double>(now - read_).count();
  if (job().session && !reading_) job().session->impl().drawn_to = decoding_->drawn_to();
  if (cache_ && own_ && !error_) cache_->put(timeline());  // what was generated is the beginning of the next turn's prompt
  own_.reset();
  Result<Generation> result = error_ ? Result<Generation>(tl::unexpected(std::move(*error_))) : Result<Generation>(std::move(out));
  return {std::move(job()), std::move(result)};
}

}  // namespace quern
