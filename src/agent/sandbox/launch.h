// The half of starting a program that lies between fork and exec. Everything is prepared before: there, memory is still the parent's, and
// only functions that are safe in a signal handler may be called.
#pragma once

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace quern {

struct Launch {
  std::string program;                   // a path
  std::vector<std::string> arguments;    // the program's name first
  std::vector<std::string> environment;  // NAME=value, all of it
  std::string folder;
  // Become descriptors 0, 1, 2 and, where it is not -1, 3; every other one is closed at exec.
  std::array<int, 4> descriptors{-1, -1, -1, -1};

  std::vector<std::pair<__rlimit_resource_t, rlimit>> limits;
  bool no_new_privileges = false, drop_capabilities = false;
  int landlock = -1;                // a ruleset to enter
  std::vector<sock_filter> filter;  // of system calls, entered last; may be empty
};

// The new process: in a session and process group of its own, with default signal handling, and killed when the calling *thread* ends.
// io: it could not be started; the message names program or folder.
Result<pid_t> launch(const Launch& launch);

}  // namespace quern
