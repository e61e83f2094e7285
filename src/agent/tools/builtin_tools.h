// All tools that quern brings along, by name: the nine file tools, and those of this folder's other files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/tools/ask_tool.h"
#include "agent/tools/command_tool.h"
#include "agent/tools/http_tool.h"
#include "agent/tools/tool.h"

namespace quern {

struct BuiltinOptions {
  std::filesystem::path root;      // of the file tools, edit_file, read_lines, grep_files, query_data and run_command
  std::vector<std::string> tools;  // names, in any order and each once or more; "files": the nine. Empty: the nine
  CommandToolOptions command;
  HttpToolOptions http;
  AskUser ask;
  std::filesystem::path memory;  // memory_store.h's default_memory_file says where it usually is
};

// In the order in which a model reads them, whatever the order asked for.
std::vector<std::string> builtin_tool_names();

// Adds those asked for, always in the same order. not_found: a name that is none of them; invalid_argument: an option is missing that a
// tool asked for needs; what opening the root and adding to the registry may fail with.
Result<void> add_builtin_tools(ToolRegistry& registry, const BuiltinOptions& options);

}  // namespace quern
