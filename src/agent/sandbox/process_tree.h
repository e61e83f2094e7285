// Which processes belong to one that quern started, found by looking through /proc: its process group and session, and its descendants
// wherever they moved.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace quern {

struct ProcessTree {
  // The first process itself included while it lives; those that only wait to be reaped are not.
  std::vector<pid_t> members;
  std::vector<pid_t> groups;  // theirs, each once

  // Memory that is theirs alone or shared among them, each page counted once for each process that uses it; 0 of one that is gone.
  int64_t resident_bytes() const;
  // Each group at once: no member of one can start another process meanwhile. All of them lie in sessions that the first process or
  // what it started made, so nobody else is in them.
  void kill() const;
};

ProcessTree process_tree(pid_t root);

// Processes of this user, threads counted each, as RLIMIT_NPROC does.
int64_t processes_of_this_user();

}  // namespace quern
