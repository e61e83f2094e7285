// What this machine brings along for running models, one line for each part of it, and what would make it better.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace quern {

struct MachineCheck {
  enum class State { ok, better, missing };  // as it should be; works, and could be better; something does not work
  std::string name;                          // "memory bandwidth"
  State state = State::ok;
  std::string found;   // one line
  std::string advice;  // what to change; empty where state is ok
};

std::string_view state_name(MachineCheck::State state);  // "ok", "could be better", "missing"

struct MachineReport {
  std::vector<MachineCheck> checks;
  // For who computes with them; 0 where not known.
  size_t memory_bytes = 0, available_bytes = 0;
  double bandwidth = 0;  // bytes per second
};

// root: where /proc, /sys and /dev are. measure: memory bandwidth too, which takes up to a second and 1 GiB.
MachineReport check_machine(const std::filesystem::path& root, bool measure);

// MemTotal of /proc/meminfo, but no more than the control groups allow; 0: the system does not say.
size_t machine_memory(const std::filesystem::path& root);

// "AVX-512 with VNNI, 16 cores, 128 GiB of memory (112 GiB free)", for one line.
std::string machine_line();

}  // namespace quern
