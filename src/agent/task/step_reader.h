// What a step and a whole task have in common: budgets, files, checks, outputs; and a step itself.
#pragma once

#include "agent/task/node_reader.h"
#include "agent/task/task.h"

namespace quern {

// Where a step stands, for what it leaves out and for what its texts may name.
struct StepPlace {
  const Task* task = nullptr;
  KnownNames known;  // of the steps before it
  int64_t retries = 0;
};

// `step` becomes what the node says; what it leaves out stays as it is.
Result<void> read_step_body(const NodeReader& reader, const YamlNode& node, const KnownNames& known, TaskStep& step);
Result<TaskStep> read_step(const NodeReader& reader, const YamlNode& node, const StepPlace& place);
Result<void> read_budget(const NodeReader& reader, const YamlNode& node, Budget& budget);
// The keys `model` and `sampling` of a map.
Result<void> read_model(const NodeReader& reader, const YamlNode& map, TaskModel& model);
// The keys `check` and `checks` of a map.
Result<std::vector<Check>> read_checks(const NodeReader& reader, const YamlNode& map);

}  // namespace quern
