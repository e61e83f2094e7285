#include "runtime/scheduler.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/memory.h"
#include "runtime/job_queue.h"
#include "runtime/memory_plan.h"
#include "runtime/running_job.h"
#include "runtime/scheduler_step.h"
#include "runtime/sequence_budget.h"

namespace quern {

struct Scheduler::Impl {
  const Engine& engine;
  const SchedulerOptions options;

  mutable std::mutex mutex;  // of everything down to stats
  std::condition_variable wake, ended;
  JobQueue queue;
  std::set<Id> cancelled;
  std::deque<std::packaged_task<void()>> between;
  bool draining = false, cancel_all = false, stop = false;
  int64_t unfinished = 0;  // jobs that were accepted and whose on_end has not returned
  Id next_id = 1;
  SchedulerStats stats;

  // The thread's own.
  std::vector<std::unique_ptr<RunningJob>> running;  // in the order in which they began
  std::deque<std::unique_ptr<RunningJob>> parked;    // in the order in which they gave way
  int64_t gave_way = 0;
  SequenceBudget budget;
  SchedulerStep step;
  std::thread thread;

  Impl(const Engine& e, SchedulerOptions o)
      : engine(e), options(o), budget(e, limit_of(e, o), o.growth), step(e, StepBudget(o.prefill_tokens, o.step_s)) {
    stats.memory_limit = budget.limit();
    thread = std::thread([this] { loop(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stop = draining = cancel_all = true;
    }
    wake.notify_all();
    thread.join();
  }

  static size_t limit_of(const Engine& engine, const SchedulerOptions& o) {
    if (o.memory > 0) return o.memory;
    const size_t workspace = workspace_bytes(engine, o.max_running + o.prefill_tokens, o.max_running);
    return sequences_limit(engine, available_memory(), o.beside + workspace);
  }

  Result<Id> submit(Job job);
  void loop();
  void run_between(std::unique_lock<std::mutex>& lock);
  void cancel_what_was_asked(std::unique_lock<std::mutex>& lock);
  void begin_what_fits(std::unique_lock<std::mutex>& lock);
  bool begins_in_cache(const Job& job) const { return options.cache && !job.session && !job.request.embed; }
  bool is_being_read(const Job& job) const;
  bool is_being_fetched(const Job& job) const;
  int64_t first_promise(const WaitingJob& waiting) const;
  void begin(std::unique_ptr<WaitingJob> waiting);
  void unpark_what_fits();
  void let_grow();
  void park_one();
  void promise(RunningJob& job, int64_t tokens);
  void end_what_is_over();
  void end(Job job, Result<Generation> result);
  void count(const Result<Generation>& result);
};

Scheduler::Scheduler(const Engine& engine, SchedulerOptions options) : impl_(new Impl(engine, options)) {}
Scheduler::~Scheduler() = default;
Result<Scheduler::Id> Scheduler::submit(Job job) { return impl_->submit(std::move(job)); }

Result<Scheduler::Id> Scheduler::Impl::submit(Job job) {
  if (job.constraint) job.request.constraint = job.constraint.get();
  QUERN_TRY(check_request(engine, job.request));
  auto waiting = std::make_unique<WaitingJob>();
  QUERN_ASSIGN(waiting->most, budget.most(job));
  waiting->job = std::move(job);
  waiting->since = std::chrono::steady_clock::now();
  Id id = 0;
  {
    const std::lock_guard lock(mutex);
    if (draining || static_cast<int64_t>(queue.size()) >= options.max_waiting) {
      ++stats.refused;
      if (draining) return fail(Errc::busy, "no new work is taken any more");
      return fail(Errc::busy, "{} requests are waiting already", queue.size());
    }
    id = waiting->id = next_id++;
    ++unfinished;
    queue.push(std::move(waiting));
  }
  wake.notify_one();
  return id;
}

void Scheduler::cancel(Id id) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->cancelled.insert(id);
  }
  impl_->wake.notify_one();
}

void Scheduler::between_steps(const std::function<void()>& work) {
  if (std::this_thread::get_id() == impl_->thread.get_id()) return work();
  std::packaged_task<void()> task(work);
  std::future<void> done = task.get_future();
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->between.push_back(std::move(task));
  }
  impl_->wake.notify_one();
  done.get();
}

void Scheduler::drain(double seconds) {
  std::unique_lock lock(impl_->mutex);
  impl_->draining = true;
  const auto all_over = [&] { return impl_->unfinished == 0; };
  const std::chrono::duration<double> patience(std::clamp(seconds, 0.0, 1e8));
  if (impl_->ended.wait_for(lock, patience, all_over)) return;
  impl_->cancel_all = true;
  impl_->wake.notify_one();
  impl_->ended.wait(lock, all_over);
}

SchedulerStats Scheduler::stats() const {
  const std::lock_guard lock(impl_->mutex);
  SchedulerStats stats = impl_->stats;
  stats.waiting = static_cast<int64_t>(impl_->queue.size());
  return stats;
}

void Scheduler::Impl::loop() {
  std::unique_lock lock(mutex);
  for (;;) {
    wake.wait(lock, [&] {
      return stop || !running.empty() || !parked.empty() || queue.size() > 0 || !cancelled.empty() || !between.empty();
    });
    run_between(lock);
    cancel_what_was_asked(lock);
    if (stop && running.empty() && parked.empty() && queue.size() == 0 && between.empty()) return;
    begin_what_fits(lock);
    lock.unlock();
    end_what_is_over();
    let_grow();
    const bool stepped = !running.empty();
    if (stepped) step.run(running);
    end_what_is_over();
    lock.lock();
    stats.steps += stepped ? 1 : 0;
    stats.running = static_cast<int64_t>(running.size());
    stats.parked = static_cast<int64_t>(parked.size());
    stats.gave_way = gave_way;
    stats.memory = budget.promised();
    stats.prompt_tokens = step.prompt_tokens();
  }
}

void Scheduler::Impl::run_between(std::unique_lock<std::mutex>& lock) {
  while (!between.empty()) {
    auto task = std::move(between.front());
    between.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

void Scheduler::Impl::cancel_what_was_asked(std::unique_lock<std::mutex>& lock) {
  std::vector<std::unique_ptr<WaitingJob>> gone;
  for (const Id id : cancelled)
    if (auto job = queue.remove(id)) gone.push_back(std::move(job));
  const auto cancel = [&](const auto& jobs) {
    for (const auto& job : jobs)
      if (!job->over() && (cancel_all || cancelled.contains(job->id()))) job->cancel();
  };
  cancel(running);
  cancel(parked);
  cancelled.clear();
  if (cancel_all)
    while (auto job = queue.pop([](const WaitingJob&) { return JobQueue::Verdict::take; })) gone.push_back(std::move(job));
  if (gone.empty()) return;
  lock.unlock();
  for (auto& job : gone) {
    Generation none;
    none.finish = FinishReason::cancelled;
    none.prompt_tokens = static_cast<int64_t>(job->job.request.prompt.size());
    end(std::move(job->job), std::move(none));
  }
  lock.lock();
}

void Scheduler::Impl::begin_what_fits(std::unique_lock<std::mutex>& lock) {
  if (!parked.empty()) {
    lock.unlock();
    unpark_what_fits();
    lock.lock();
  }
  // States are made: while streams wait, only for so long.
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(options.step_s);
  const auto verdict = [&](const WaitingJob& job) {
    if (!parked.empty() || static_cast<int64_t>(running.size()) >= options.max_running) return JobQueue::Verdict::stop;
    if (!running.empty() && std::chrono::steady_clock::now() > until) return JobQueue::Verdict::stop;
    const auto& session = job.job.session;
    if (session && std::any_of(running.begin(), running.end(), [&](const auto& r) { return r->job().session == session; }))
      return JobQueue::Verdict::skip;
    if (is_being_read(job.job)) return JobQueue::Verdict::skip;
    if (!budget.fits(job.job, first_promise(job))) return JobQueue::Verdict::stop;
    return is_being_fetched(job.job) ? JobQueue::Verdict::skip : JobQueue::Verdict::take;
  };
  while (auto job = queue.pop(verdict)) {
    lock.unlock();
    begin(std::move(job));
    lock.lock();
  }
  stats.memory = budget.promised();
  stats.running = static_cast<int64_t>(running.size());
}

int64_t Scheduler::Impl::first_promise(const WaitingJob& waiting) const {
  return budget.promise(waiting.job, static_cast<int64_t>(waiting.job.request.prompt.size()), waiting.most);
}

// Whether somebody is reading the beginning of this prompt: it is better begun from there, in a moment, than read at the same time.
bool Scheduler::Impl::is_being_read(const Job& job) const {
  constexpr size_t kWorthwhile = 64;  // tokens
  if (!begins_in_cache(job)) return false;
  size_t kept = 0;
  for (const auto& other : running)
    if (other->job().priority >= job.priority) kept = std::max(kept, other->will_keep(job.request.prompt));
  return kept >= kWorthwhile && kept >= options.cache->reach(job.request.prompt) + kWorthwhile;
}

// Whether its state is on its way from a disk. Where nobody's stream goes on meanwhile, beginning may as well wait for it.
bool Scheduler::Impl::is_being_fetched(const Job& job) const {
  return !running.empty() && begins_in_cache(job) && !options.cache->ready(job.request.prompt);
}

void Scheduler::Impl::begin(std::unique_ptr<WaitingJob> waiting) {
  const int64_t first = first_promise(*waiting);
  Result<std::unique_ptr<RunningJob>> begun = nullptr;
  try {
    begun = RunningJob::begin(engine, options.cache, waiting);
  } catch (const std::exception& e) {
    begun = fail(Errc::io, "the machine failed: {}", e.what());
  }
  if (!begun) return end(std::move(waiting->job), tl::unexpected(std::move(begun.error())));
  running.push_back(std::move(*begun));
  promise(*running.back(), first);
}

void Scheduler::Impl::promise(RunningJob& job, int64_t tokens) {
  budget.change(job.job(), job.promised(), tokens);
  job.promise(tokens);
}

void Scheduler::Impl::unpark_what_fits() {
  while (!parked.empty()) {
    RunningJob& job = *parked.front();
    if (!job.over()) {  // cancelled
      if (!budget.fits(job.job(), job.most())) return;
      promise(job, job.most());
      try {
        job.unpark();
      } catch (const std::exception& e) {
        job.fail({Errc::io, printable_line(fmt::format("the machine failed: {}", e.what()))});
      }
    }
    running.push_back(std::move(parked.front()));
    parked.pop_front();
  }
}

// Whoever needs more than was promised is promised a piece more, those that began first before the others.
void Scheduler::Impl::let_grow() {
  std::vector<RunningJob*> growing;
  for (const auto& job : running)
    if (job->needs() > job->promised()) growing.push_back(job.get());
  for (RunningJob* job : growing) {
    const int64_t wanted = budget.promise(job->job(), job->needs(), job->most());
    while (!job->parked() && !budget.fits(job->job(), wanted, job->promised()))
      park_one();  // at last the job itself, unless it is alone
    if (!job->parked()) promise(*job, wanted);
  }
}

void Scheduler::Impl::park_one() {
  auto gives_way = running.end();
  for (auto job = running.begin(); job != running.end(); ++job)
    if ((*job)->can_park() && (gives_way == running.end() || (*job)->job().priority <= (*gives_way)->job().priority))
      gives_way = job;
  QUERN_CHECK(gives_way != running.end(), running.size());  // what grows can be parked
  (*gives_way)->park();
  promise(**gives_way, 0);
  parked.push_back(std::move(*gives_way));
  running.erase(gives_way);
  ++gave_way;
}

void Scheduler::Impl::end_what_is_over() {
  for (size_t i = 0; i < running.size();) {
    if (!running[i]->over()) {
      ++i;
      continue;
    }
    const std::unique_ptr<RunningJob> over = std::move(running[i]);
    running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    promise(*over, 0);
    auto [job, result] = over->finish();
    end(std::move(job), std::move(result));
  }
}

// The end of a job that is neither waiting nor running any more; its memory is free.
void Scheduler::Impl::end(Job job, Result<Generation> result) {
  count(result);
  job.session.reset();
  if (job.on_end) job.on_end(std::move(result), std::move(job.constraint));
  job = {};  // what its callbacks hold goes before anybody is told that all is over
  const std::lock_guard lock(mutex);
  --unfinished;
  ended.notify_all();
}

void Scheduler::Impl::count(const Result<Generation>& result) {
  const std::lock_guard lock(mutex);
  if (!result) {
    ++stats.failed;
    return;
  }
  ++(result->finish == FinishReason::cancelled ? stats.cancelled : stats.finished);
  stats.reused_tokens += result->reused_tokens;
  stats.generated_tokens += static_cast<int64_t>(result->tokens.size());
}

}  // namespace quern
