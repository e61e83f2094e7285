// Which processes belong to one that quern started, found by looking through /proc: its process group and session, and its descendants
// wherever they moved.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace quern {

struct ProcessTree {
  std::vector<pid_t> members;  // the first process itself included while it lives; those that only wait to be reaped are not

  // Memory that is theirs alone or shared among them, each page counted once for each process that uses it; 0 of one that is gone.
  int64_t resident_bytes() const;
  void kill() const;
};

ProcessTree process_tree(pid_t root);

// Processes of this user, threads counted each, as RLIMIT_NPROC does.
int64_t processes_of_this_user();

}  // namespace quern
