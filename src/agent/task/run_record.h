// What a journal keeps of how a run began, so that it can be continued knowing nothing but its id; and runs as a list.
#pragma once

#include <string>
#include <vector>

#include "agent/journal/journal.h"
#include "agent/task/task.h"

namespace quern {

// What the command said besides the task; absent and empty: nothing.
struct RunChoices {
  std::string model;
  std::optional<uint64_t> seed;
  std::optional<double> temperature;
  int64_t max_turns = 0;
  bool unconstrained = false;
  std::vector<std::string> mcp;      // servers beside the task's
  std::vector<std::string> budgets;  // "calls=200", in place of the task's
};

// Of a task whose inputs have their values; secrets are left out.
RunDescription describe_run(const Task& task, const std::filesystem::path& root, const RunChoices& choices);

struct DescribedRun {
  Task task;                                  // as it was then, whatever its file says now
  std::map<std::string, std::string> inputs;  // for fill(); secrets are looked up again
  RunChoices choices;
};
// malformed: not written by describe_run.
Result<DescribedRun> described_run(const RunDescription& description);

// One line a run, the newest first: id, when it began, name, state, turns and calls.
std::string list_of_runs(const std::vector<RunSummary>& runs);
Json json_of_runs(const std::vector<RunSummary>& runs);

}  // namespace quern
