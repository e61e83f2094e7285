// The files that a task puts behind its instruction.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/task/task.h"

namespace quern {

inline constexpr size_t kMaxAttachedBytes = 1 << 20;  // of all files of one instruction

// Each file's text between <file path="…"> and </file>, from the first of the folders that has it; links that lead out of a folder are
// not followed. not_found; out_of_range: longer than it may be, or all together are; malformed: no text.
Result<std::string> attached_files(const std::vector<AttachedFile>& files, const Scope& scope,
                                   const std::vector<std::filesystem::path>& folders);

}  // namespace quern
