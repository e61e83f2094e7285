// The nine file tools on a real folder. What a model is told of them, and every answer, is worded in text/file_tools.h.
#pragma once

#include <filesystem>

#include "agent/tools/tool.h"

namespace quern {

constexpr size_t kMostReadBytes = 64 << 10;  // read_file shows that much of a file, and says so
constexpr size_t kMostListed = 1000;         // list_files and find_files

// Adds the nine tools, confined to `root` (see root_folder.h; its errors).
Result<void> add_file_tools(ToolRegistry& registry, const std::filesystem::path& root);

}  // namespace quern
