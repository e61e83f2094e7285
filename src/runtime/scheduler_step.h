// SchedulerStep: one forward pass over what several running jobs want fed: the next token of each that generates, and of the prompts being
// read as much as the budget allows, clients taking turns.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/running_job.h"
#include "runtime/step_budget.h"

namespace quern {

class SchedulerStep {
 public:
  SchedulerStep(const Engine& engine, StepBudget budget) : engine_(engine), budget_(budget) {}

  // Whoever is over afterwards says so. A failure of the machine (SystemError, no memory) fails all whose state may be half advanced.
  void run(std::vector<std::unique_ptr<RunningJob>>& jobs);
  int64_t prompt_tokens() const { return prompt_tokens_; }  // read by all steps so far

 private:
  struct Part {
    RunningJob* job;
    std::span<const int32_t> tokens;
    bool logits;
  };
  std::vector<Part> plan(std::vector<std::unique_ptr<RunningJob>>& jobs, int64_t budget);
  void feed(const std::vector<Part>& parts);
  void go_on(const std::vector<Part>& parts);

  const Engine& engine_;
  StepBudget budget_;
  int64_t prompt_tokens_ = 0;
  uint64_t turn_ = 0;
  std::map<std::string, uint64_t> last_turns_;  // of clients: when a piece of a prompt of theirs was read last
};

}  // namespace quern
