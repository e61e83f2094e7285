// What this machine offers to confine a program with: found out once, by trying.
#pragma once

#include <string>

namespace quern {

struct SandboxSupport {
  std::string bubblewrap;          // the program's path; empty: it is missing or does not work here
  std::string bubblewrap_problem;  // then why, one line
  int landlock = 0;                // ABI; 0: none
  bool system_call_filter = false;

  // Whether SandboxPolicy::Mode::required can be had.
  bool confines() const { return system_call_filter && (!bubblewrap.empty() || landlock >= 1); }
  // One line: what holds a confined program on this machine.
  std::string describe() const;
};

SandboxSupport find_sandbox_support();          // tries
const SandboxSupport& this_machines_sandbox();  // as it was found the first time; from any thread

}  // namespace quern
