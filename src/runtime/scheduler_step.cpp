#include "runtime/scheduler_step.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <tuple>

#include "model/forward.h"

namespace quern {

void SchedulerStep::run(std::vector<std::unique_ptr<RunningJob>>& jobs) {
  const auto start = std::chrono::steady_clock::now();
  const bool streams = std::any_of(jobs.begin(), jobs.end(), [](const auto& job) { return !job->reading(); });
  const int64_t read_before = prompt_tokens_;
  const std::vector<Part> parts = plan(jobs, budget_.tokens(streams));
  if (parts.empty()) return;
  try {
    feed(parts);
    go_on(parts);
  } catch (const std::exception& e) {
    for (const Part& part : parts) part.job->spoil({Errc::io, printable_line(fmt::format("the machine failed: {}", e.what()))});
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  budget_.measured(streams, prompt_tokens_ - read_before, took.count());
}

std::vector<SchedulerStep::Part> SchedulerStep::plan(std::vector<std::unique_ptr<RunningJob>>& jobs, int64_t budget) {
  std::vector<Part> parts;
  std::vector<RunningJob*> readers;
  const auto add = [&](RunningJob& job, int64_t most) {
    const auto next = job.next();
    const auto tokens = next.first(std::min(next.size(), static_cast<size_t>(std::max<int64_t>(most, 1))));
    parts.push_back({&job, tokens, job.wants_logits(tokens.size())});
    return static_cast<int64_t>(tokens.size());
  };
  for (const auto& job : jobs)
    if (job->reading())
      readers.push_back(job.get());
    else
      budget -= add(*job, budget) - 1;  // more than one: text that has to come

  // Higher priorities first, then who has waited longest for a turn, then who came first.
  const auto last_turn = [&](RunningJob* job) {
    const auto found = last_turns_.find(job->job().client);
    return found == last_turns_.end() ? 0 : found->second;
  };
  while (!readers.empty() && budget > 0) {
    const auto first = std::min_element(readers.begin(), readers.end(), [&](RunningJob* a, RunningJob* b) {
      return std::tuple(-a->job().priority, last_turn(a), a->id()) < std::tuple(-b->job().priority, last_turn(b), b->id());
    });
    const int64_t tokens = add(**first, budget);
    budget -= tokens, prompt_tokens_ += tokens;
    last_turns_[(*first)->job().client] = ++turn_;
    readers.erase(first);
  }
  std::erase_if(last_turns_, [&](const auto& turn) {  // a client who comes again begins with a turn
    return std::none_of(jobs.begin(), jobs.end(),
                        [&](const auto& job) { return job->reading() && job->job().client == turn.first; });
  });
  return parts;
}

void SchedulerStep::feed(const std::vector<Part>& parts) {
  const Engine::Impl& engine = engine_.impl();
  Batch batch;
  for (const Part& part : parts) {
    batch.sequences.push_back({.state = &part.job->timeline().state(),
                               .first_row = batch.tokens(),
                               .count = static_cast<int64_t>(part.tokens.size()),
                               .wants_logits = part.logits});
    batch.token_ids.insert(batch.token_ids.end(), part.tokens.begin(), part.tokens.end());
  }
  forward(*engine.ops, *engine.model, batch, *engine.workspace);
}

void SchedulerStep::go_on(const std::vector<Part>& parts) {
  const Engine::Impl& engine = engine_.impl();
  const Tensor hidden = engine.workspace->final_hidden, logits = engine.workspace->logits;
  struct Chooser {
    RunningJob* job;
    std::span<const float> logits;
  };
  std::vector<Chooser> choosers;
  int64_t row = 0, logit_row = 0;
  for (const Part& part : parts) {
    const auto count = static_cast<int64_t>(part.tokens.size());
    const int64_t of_part = part.logits ? logit_row++ : -1;
    // The tokens lie in the job and stay there until it has chosen.
    if (part.job->fed(part.tokens, hidden.row_range(row, row + count)))
      choosers.push_back({part.job, {logits.row(of_part), static_cast<size_t>(logits.cols)}});
    row += count;
  }
  engine.pool->parallel_for(static_cast<int64_t>(choosers.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) choosers[static_cast<size_t>(i)].job->choose(choosers[static_cast<size_t>(i)].logits);
  });
  for (const Chooser& chooser : choosers) chooser.job->take();
}

}  // namespace quern
