// A task file's YAML as a Task. Old files stay valid: a task without `steps:` is one step without a name.
#pragma once

#include "agent/task/node_reader.h"
#include "agent/task/task.h"

namespace quern {

Result<Task> read_task(const NodeReader& reader, const YamlNode& root);

}  // namespace quern
