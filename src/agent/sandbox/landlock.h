// Landlock: the kernel's own confinement of one process and its descendants, without namespaces or privileges. Spoken to through syscall(2):
// neither the C library nor older kernel headers know it. What a kernel offers is its "ABI":
//   1 files (Linux 5.13)   2 moving between folders (5.19)   3 truncating (6.2)   4 TCP (6.7)   5 ioctl of devices (6.10)
//   6 abstract sockets and signals (6.12)
#pragma once

#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace quern {

int landlock_abi();  // 0: none

struct LandlockRules {
  bool confine_files = false;  // then only what stands in the lists may be reached
  std::vector<std::filesystem::path> readable, writable,
      devices;                     // readable: and executable. A path that does not exist is left out
  bool confine_tcp = false;        // no TCP at all, where ABI >= 4
  bool confine_to_itself = false;  // no signals to and no abstract sockets of processes outside, where ABI >= 6
};

// A ruleset to enter with landlock_restrict_self; none where the kernel offers nothing of what the rules ask. io.
Result<UniqueFd> landlock_ruleset(const LandlockRules& rules, int abi);

}  // namespace quern
