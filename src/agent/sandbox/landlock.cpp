#include "agent/sandbox/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace quern {
namespace {

// The kernel's interface, as its documentation gives it (Documentation/userspace-api/landlock.rst).
struct RulesetAttributes {
  uint64_t files = 0, tcp = 0, scoped = 0;
};
struct __attribute__((packed)) PathBeneath {
  uint64_t allowed = 0;
  int32_t parent = -1;
};
constexpr uint32_t kAskVersion = 1;
constexpr int kPathBeneath = 1;

constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadFolder = 1 << 3;
constexpr uint64_t kMakeDevices = (1 << 6) | (1 << 11);  // character and block
constexpr uint64_t kFirstAbi = (1 << 13) - 1;            // all rights of ABI 1
constexpr uint64_t kRefer = 1 << 13, kTruncate = 1 << 14, kIoctlDevice = 1 << 15;
constexpr uint64_t kBindAndConnectTcp = 3;
constexpr uint64_t kAbstractSocketsAndSignals = 3;
constexpr uint64_t kOfAFile = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;  // the rest is a folder's

uint64_t known_file_rights(int abi) {
  return kFirstAbi | (abi >= 2 ? kRefer : 0) | (abi >= 3 ? kTruncate : 0) | (abi >= 5 ? kIoctlDevice : 0);
}

Result<void> allow(const UniqueFd& ruleset, const std::filesystem::path& path, uint64_t rights) {
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == EACCES)) return {};
  struct stat info{};
  if (!fd || ::fstat(fd.get(), &info) != 0) return fail(Errc::io, "{}: {}", path.string(), std::strerror(errno));
  const PathBeneath rule{.allowed = S_ISDIR(info.st_mode) ? rights : rights & kOfAFile, .parent = fd.get()};
  if (rule.allowed != 0 && ::syscall(SYS_landlock_add_rule, ruleset.get(), kPathBeneath, &rule, 0) != 0)
    return fail(Errc::io, "{}: cannot be made a rule of Landlock: {}", path.string(), std::strerror(errno));
  return {};
}

}  // namespace

int landlock_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

Result<UniqueFd> landlock_ruleset(const LandlockRules& rules, int abi) {
  RulesetAttributes attributes;
  if (rules.confine_files && abi >= 1) attributes.files = known_file_rights(abi);
  if (rules.confine_tcp && abi >= 4) attributes.tcp = kBindAndConnectTcp;
  if (rules.confine_to_itself && abi >= 6) attributes.scoped = kAbstractSocketsAndSignals;
  if (attributes.files == 0 && attributes.tcp == 0 && attributes.scoped == 0) return UniqueFd();
  const UniqueFd low(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  UniqueFd ruleset(::fcntl(low.get(), F_DUPFD_CLOEXEC, 10));  // above the numbers that a child gives its own descriptors
  if (!ruleset) return fail(Errc::io, "cannot make a ruleset of Landlock: {}", std::strerror(errno));
  if (attributes.files == 0) return ruleset;
  const uint64_t known = attributes.files;
  for (const auto& path : rules.readable) QUERN_TRY(allow(ruleset, path, known & (kExecute | kReadFile | kReadFolder)));
  for (const auto& path : rules.devices) QUERN_TRY(allow(ruleset, path, known & (kReadFile | kWriteFile | kTruncate)));
  for (const auto& path : rules.writable) QUERN_TRY(allow(ruleset, path, known & ~(kMakeDevices | kIoctlDevice)));
  return ruleset;
}

}  // namespace quern
