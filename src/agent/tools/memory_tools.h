// remember and recall: the MemoryStore as a model has it. The file is opened at the first call.
#pragma once

#include <filesystem>

#include "agent/tools/tool.h"

namespace quern {

std::vector<Tool> memory_tools(const std::filesystem::path& file);

}  // namespace quern
