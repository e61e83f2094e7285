// RunningJob: a job that has been begun: where its tokens lie, how far it is, and what it wants fed next. It belongs to the scheduler's
// thread. Where memory is short it may be parked: it keeps what it has generated and gives up its state, which is read again from its
// tokens, with the same bits, when it goes on.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "runtime/decoding.h"
#include "runtime/hidden_mean.h"
#include "runtime/job_queue.h"
#include "runtime/prefix_cache.h"
#include "runtime/session_impl.h"

namespace quern {

class RunningJob {
 public:
  // From the job's session, or the nearest state in the cache, which may be nullptr. Errors: a session's.
  static Result<std::unique_ptr<RunningJob>> begin(const Engine& engine, PrefixCache* cache, std::unique_ptr<WaitingJob>& job);

  Scheduler::Id id() const { return waiting_->id; }
  Job& job() { return waiting_->job; }
  int64_t most() const { return waiting_->most; }  // tokens that it may come to hold
  // Tokens that memory has been promised for; the scheduler keeps it above needs().
  int64_t promised() const { return promised_; }
  void promise(int64_t tokens) { promised_ = tokens; }
  int64_t needs() const { return held() + static_cast<int64_t>(next().size()); }  // to be fed what is next

  // The furthest position of `prompt` at which the cache is going to get a state from this job, which reads the same text; 0: none.
  size_t will_keep(std::span<const int32_t> prompt) const;

  bool can_park() const {
    return !waiting_->job.session && !waiting_->job.request.embed && !was_parked_;
  }  // once: it then gets all it may need
  bool parked() const { return was_parked_ && !own_; }
  void park();  // its state goes to the cache, as far as there is room
  void unpark();

  bool reading() const { return reading_ || reading_again(); }  // its prompt, or what it held before it was parked
  bool over() const { return over_; }
  Timeline& timeline() { return waiting_->job.session ? waiting_->job.session->impl().timeline : *own_; }

  // What is to be fed next, as far as one pass may: a prompt's up to where a state is to be kept.
  std::span<const int32_t> next() const;
  // Whether the pass over the first `count` of them is to give logits.
  bool wants_logits(size_t count) const;

  // These were fed; hidden [count, width]: their final states. True: the logits of the last one, which the pass has then given, are wanted
  // now: choose(), then take().
  bool fed(std::span<const int32_t> tokens, Tensor hidden);
  void choose(std::span<const float> logits) { decoding_->choose(logits); }
  void take();

  void cancel();
  // Once, when it is over: what came of it.
  std::pair<Job, Result<Generation>> finish();
  void fail(Error error);
  void spoil(Error error);  // nor is its state to be trusted: a session begins afresh
  Generation& result() { return decoding_->result(); }

 private:
  RunningJob(const Engine& engine, PrefixCache* cache) : engine_(engine), cache_(cache) {}
  bool prompt_read(const GenerateRequest& request);
  bool reading_again() const { return static_cast<size_t>(held()) < again_.size(); }
  int64_t held() const { return static_cast<int64_t>(timeline().tokens().size()); }
  const Timeline& timeline() const { return const_cast<RunningJob*>(this)->timeline(); }

  const Engine& engine_;
  PrefixCache* cache_;
  std::unique_ptr<WaitingJob> waiting_;
  std::optional<Timeline> own_;
  std::optional<Decoding> decoding_;
  std::vector<size_t> pauses_;  // positions of the prompt at which its state goes to the cache, the next one last
  size_t fed_ = 0;              // of decoding_->waiting()
  std::vector<int32_t> again_;  // what its state held when it was parked, and has to hold again before anything else
  bool was_parked_ = false;
  int64_t promised_ = 0;
  HiddenMean mean_;
  bool reading_ = true, over_ = false;
  std::optional<Error> error_;
  Clock::time_point begun_ = Clock::now(), read_ = begun_;
};

}  // namespace quern
