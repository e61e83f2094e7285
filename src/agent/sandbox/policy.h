// SandboxPolicy: what a program that quern starts may reach and how much it may use. docs/sandbox.md says how each line is kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace quern {

struct SandboxPolicy {
  // none: the user's own rights (limits that are set still hold). best: as much as this machine offers. required: an error where the
  // machine cannot confine the file system and the network.
  enum class Mode { none, best, required };
  Mode mode = Mode::none;

  // Besides the system's programs and libraries, which are always readable. Absolute paths that exist; of a path in both lists and of
  // one inside another, the longer and then the writable one counts.
  std::vector<std::filesystem::path> readable, writable;
  bool network = false;
  bool use_bubblewrap = true;  // false: only what the kernel offers without namespaces

  // 0: no limit. Seconds of processor time, the size of a file and the first use of memory are each process's, the others of all
  // processes together; the latter are looked at ten times a second, so a little more may have happened before it ends.
  double wall_seconds = 0, cpu_seconds = 0;
  int64_t memory_bytes = 0, file_bytes = 0, output_bytes = 0;
  int64_t processes = 0;
};

}  // namespace quern
