// The list of system calls a confined program may not make, as a seccomp program. It is a list of what is refused: the rest of Linux's
// system calls is what programs are made of. Refused calls fail with EPERM, so that a program can say what it could not do; calls of a
// foreign architecture, which would have other numbers, end it.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"

namespace quern {

struct FilterOptions {
  enum class Sockets {
    none,
    local,
    internet
  };  // local: AF_UNIX; internet: AF_INET, AF_INET6 and what name resolution asks the kernel
  Sockets sockets = Sockets::none;
  bool keeps_session = false;  // setsid is refused, so that what ends the session ends everything
};

// unsupported: libseccomp does not know this architecture.
Result<std::vector<sock_filter>> system_call_filter(const FilterOptions& options);

}  // namespace quern
