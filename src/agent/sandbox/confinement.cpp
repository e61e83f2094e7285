#include "agent/sandbox/confinement.h"

namespace quern {

Result<Confinement> confine(const SandboxPolicy& policy, const std::filesystem::path&, const std::filesystem::path&) {
  if (policy.mode == SandboxPolicy::Mode::required) return fail(Errc::unsupported, "no sandbox on this machine");
  return Confinement{};
}

std::vector<std::pair<__rlimit_resource_t, rlimit>> process_limits(const SandboxPolicy& policy) {
  std::vector<std::pair<__rlimit_resource_t, rlimit>> limits;
  const auto add = [&](__rlimit_resource_t resource, rlim_t most) { limits.emplace_back(resource, rlimit{most, most}); };
  if (policy.mode != SandboxPolicy::Mode::none) add(RLIMIT_CORE, 0);
  if (policy.cpu_seconds > 0) add(RLIMIT_CPU, static_cast<rlim_t>(policy.cpu_seconds) + 1);
  if (policy.file_bytes > 0) add(RLIMIT_FSIZE, static_cast<rlim_t>(policy.file_bytes));
  if (policy.memory_bytes > 0) add(RLIMIT_DATA, static_cast<rlim_t>(policy.memory_bytes));
  return limits;
}

}  // namespace quern
