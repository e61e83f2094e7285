// SequenceBudget: the memory of sequences, promised to jobs before they take it. A job is promised its prompt and a piece of what it may
// generate, and more when it comes to the end of that: most answers are far shorter than their max_tokens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "runtime/scheduler.h"

namespace quern {

class SequenceBudget {
 public:
  // limit: bytes; growth: tokens of a piece.
  SequenceBudget(const Engine& engine, size_t limit, int64_t growth) : engine_(engine), limit_(limit), growth_(growth) {}

  // Tokens that the job may come to hold: its prompt's and max_tokens, which are cut down to what would fit alone. out_of_range: not even
  // the prompt would. A session's job counts as if the session were not there yet, and with the state that is kept at the end of its
  // prompt: what a session holds between its jobs is in the books of whoever keeps it.
  Result<int64_t> most(Job& job) const;
  // Tokens that a job is promised when it needs `needed` now and may come to `most`. A session's are all promised at once, since it cannot
  // give its state up for others.
  int64_t promise(const Job& job, int64_t needed, int64_t most) const {
    return job.session ? most : needed < most - growth_ ? needed + growth_ : most;
  }

  // Whether `tokens` can be promised to the job, which has been promised `before` already.
  bool fits(const Job& job, int64_t tokens, int64_t before = 0) const {
    return promised_ - taken(job, before) + taken(job, tokens) <= limit_;
  }
  void change(const Job& job, int64_t before, int64_t tokens) { promised_ = promised_ - taken(job, before) + taken(job, tokens); }

  size_t promised() const { return promised_; }
  size_t limit() const { return limit_; }

 private:
  size_t bytes(const Job& job, int64_t tokens) const;
  size_t taken(const Job& job, int64_t tokens) const { return tokens > 0 ? bytes(job, tokens) : 0; }

  const Engine& engine_;
  size_t limit_, promised_ = 0;
  int64_t growth_;
};

}  // namespace quern
