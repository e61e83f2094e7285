// edit_file and read_lines: parts of text files that are too long to be read and written as a whole. grep_files finds the lines.
#pragma once

#include <memory>

#include "agent/tools/root_folder.h"
#include "agent/tools/tool.h"

namespace quern {

constexpr size_t kMostEditBytes = 8 << 20;    // of a file that edit_file changes
constexpr size_t kMostPagedBytes = 64 << 20;  // of a file that read_lines shows part of
constexpr size_t kMostShownBytes = 64 << 10;  // of one result of read_lines and grep_files
constexpr size_t kMostLineBytes = 2000;       // of one line that they show

Tool edit_file_tool(std::shared_ptr<RootFolder> root);
Tool read_lines_tool(std::shared_ptr<RootFolder> root);

}  // namespace quern
