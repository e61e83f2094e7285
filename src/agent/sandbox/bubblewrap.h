// bwrap's command line for a policy: new namespaces, and a file system made of what the policy names and what programs need to run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/sandbox/policy.h"

namespace quern {

// Everything up to and including "--". Paths of the policy: canonical, and they exist. filter: bwrap reads a filter of system calls from
// descriptor 3.
std::vector<std::string> bubblewrap_arguments(const std::string& bwrap, const SandboxPolicy& policy,
                                              const std::filesystem::path& folder, bool filter);

}  // namespace quern
