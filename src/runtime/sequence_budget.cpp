#include "runtime/sequence_budget.h"

#include <algorithm>

#include "runtime/memory_plan.h"

namespace quern {

size_t SequenceBudget::bytes(const Job& job, int64_t tokens) const {
  return sequence_bytes(engine_, tokens) + (job.session ? constant_bytes(engine_) : 0);
}

Result<int64_t> SequenceBudget::most(Job& job) const {
  GenerateRequest& request = job.request;
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (bytes(job, prompt) > limit_)
    return fail(Errc::out_of_range, "a prompt of {} tokens takes {} MB of the {} MB that there are for sequences", prompt,
                bytes(job, prompt) >> 20, limit_ >> 20);
  const int64_t wanted = std::max<int64_t>(0, std::min(request.embed ? 0 : request.max_tokens, engine_.context() - prompt));
  if (bytes(job, prompt + wanted) <= limit_) return prompt + wanted;
  int64_t fits = 0, past = wanted;  // as many pages as there is room for
  while (past - fits > 1) {
    const int64_t middle = fits + (past - fits) / 2;
    (bytes(job, prompt + middle) <= limit_ ? fits : past) = middle;
  }
  request.max_tokens = fits;
  return prompt + fits;
}

}  // namespace quern
