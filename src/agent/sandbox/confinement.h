// From a policy to what has to happen when the program starts. Made in the parent; process.cpp carries it out.
#pragma once

#include <linux/filter.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/sandbox/launch.h"
#include "agent/sandbox/policy.h"
#include "agent/sandbox/private_folder.h"
#include "agent/sandbox/support.h"
#include "base/file.h"
#include "base/result.h"

namespace quern {

struct Confinement {
  std::vector<std::string> wrapper;  // bwrap and its options, to stand in front of the arguments; empty: without it
  UniqueFd wrapper_filter;           // the filter of system calls for bwrap to install, on descriptor 3
  UniqueFd landlock;                 // a ruleset to enter before exec
  std::vector<sock_filter> filter;   // of system calls, where there is no wrapper to install it
  PrivateFolder private_folder;      // for TMPDIR; none: /tmp is its own
  std::string summary;               // one line; empty: nothing confines it
};

// program, folder: absolute. not_found, denied, invalid_argument, unsupported, io: as ChildProcess::spawn.
Result<Confinement> confine(const SandboxPolicy& policy, const std::filesystem::path& program, const std::filesystem::path& folder,
                            const SandboxSupport& support);

// Of a PATH the folders that a confined program sees: what lies elsewhere would only be in the way of what it can run.
std::string visible_path(const SandboxPolicy& policy, std::string_view path);

// The limits each process carries itself.
std::vector<std::pair<__rlimit_resource_t, rlimit>> process_limits(const SandboxPolicy& policy);

}  // namespace quern
