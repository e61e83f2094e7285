// docs/task.schema.json, the JSON Schema of task files, as it was when quern was built.
#pragma once

#include <string_view>

namespace quern {

std::string_view task_schema();

}  // namespace quern
