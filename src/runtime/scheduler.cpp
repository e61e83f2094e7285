#include "runtime/scheduler.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/memory.h"
#include "runtime/job_queue.h"
#include "runtime/memory_plan.h"
#include "runtime/running_job.h"
#include "runtime/scheduler_step.h"

namespace quern {

struct Scheduler::Impl {
  const Engine& engine;
  const SchedulerOptions options;
  const size_t limit;  // bytes of sequences

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
  std::vector<std::unique_ptr<RunningJob>> running;
  size_t promised = 0;  // to those
  SchedulerStep step;
  std::thread thread;

  Impl(const Engine& e, SchedulerOptions o)
      : engine(e), options(o), limit(limit_of(e, o)), step(e, StepBudget(o.prefill_tokens, o.step_s)) {
    stats.memory_limit = limit;
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
  Result<void> plan_memory(const GenerateRequest& request, const Session* session, int64_t& max_tokens, size_t& memory) const;
  void loop();
  void run_between(std::unique_lock<std::mutex>& lock);
  void cancel_what_was_asked(std::unique_lock<std::mutex>& lock);
  void begin_what_fits(std::unique_lock<std::mutex>& lock);
  void end_what_is_over();
  void end(Job job, Result<Generation> result);
  void count(const Result<Generation>& result);
};

Scheduler::Scheduler(const Engine& engine, SchedulerOptions options) : impl_(new Impl(engine, options)) {}
Scheduler::~Scheduler() = default;
Result<Scheduler::Id> Scheduler::submit(Job job) { return impl_->submit(std::move(job)); }

// A session's job counts as if the session were not there yet, and with the state that is kept at the end of its prompt: what a session
// holds between its jobs is in the books of whoever keeps it.
Result<void> Scheduler::Impl::plan_memory(const GenerateRequest& request, const Session* session, int64_t& max_tokens,
                                          size_t& memory) const {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const auto bytes = [&](int64_t tokens) { return quern::sequence_bytes(engine, tokens) + (session ? constant_bytes(engine) : 0); };
  if (bytes(prompt) > limit)
    return fail(Errc::out_of_range, "a prompt of {} tokens takes {} MB of the {} MB that there are for sequences", prompt,
                bytes(prompt) >> 20, limit >> 20);
  int64_t most = std::max<int64_t>(0, std::min(request.embed ? 0 : request.max_tokens, engine.context() - prompt));
  if (bytes(prompt + most) > limit) {  // as many pages as there is room for
    int64_t fits = 0, past = most;
    while (past - fits > 1) {
      const int64_t middle = fits + (past - fits) / 2;
      (bytes(prompt + middle) <= limit ? fits : past) = middle;
    }
    most = fits;
    max_tokens = fits;
  }
  memory = bytes(prompt + most);
  return {};
}

Result<Scheduler::Id> Scheduler::Impl::submit(Job job) {
  if (job.constraint) job.request.constraint = job.constraint.get();
  QUERN_TRY(check_request(engine, job.request));
  auto waiting = std::make_unique<WaitingJob>();
  QUERN_TRY(plan_memory(job.request, job.session.get(), job.request.max_tokens, waiting->memory));
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
    wake.wait(lock, [&] { return stop || !running.empty() || queue.size() > 0 || !cancelled.empty() || !between.empty(); });
    run_between(lock);
    cancel_what_was_asked(lock);
    if (stop && running.empty() && queue.size() == 0 && between.empty()) return;
    begin_what_fits(lock);
    lock.unlock();
    end_what_is_over();
    const bool stepped = !running.empty();
    if (stepped) step.run(running);
    end_what_is_over();
    lock.lock();
    stats.steps += stepped ? 1 : 0;
    stats.running = static_cast<int64_t>(running.size());
    stats.memory = promised;
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
  for (const auto& job : running)
    if (!job->over() && (cancel_all || cancelled.contains(job->id()))) job->cancel();
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
  // States are made, or fetched from a disk: while streams wait, only for so long.
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(options.step_s);
  const auto verdict = [&](const WaitingJob& job) {
    if (static_cast<int64_t>(running.size()) >= options.max_running) return JobQueue::Verdict::stop;
    if (!running.empty() && std::chrono::steady_clock::now() > until) return JobQueue::Verdict::stop;
    const auto& session = job.job.session;
    if (session && std::any_of(running.begin(), running.end(), [&](const auto& r) { return r->job().session == session; }))
      return JobQueue::Verdict::skip;
    return promised + job.memory > limit ? JobQueue::Verdict::stop : JobQueue::Verdict::take;
  };
  while (auto job = queue.pop(verdict)) {
    lock.unlock();
    const size_t memory = job->memory;
    Result<std::unique_ptr<RunningJob>> begun = nullptr;
    try {
      begun = RunningJob::begin(engine, options.cache, job);
    } catch (const std::exception& e) {
      begun = fail(Errc::io, "the machine failed: {}", e.what());
    }
    if (begun) {
      promised += memory;
      running.push_back(std::move(*begun));
    } else {
      end(std::move(job->job), tl::unexpected(std::move(begun.error())));
    }
    lock.lock();
  }
  stats.memory = promised;
  stats.running = static_cast<int64_t>(running.size());
}

void Scheduler::Impl::end_what_is_over() {
  for (size_t i = 0; i < running.size();) {
    if (!running[i]->over()) {
      ++i;
      continue;
    }
    const std::unique_ptr<RunningJob> over = std::move(running[i]);
    running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    promised -= over->memory();
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
