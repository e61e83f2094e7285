#include "agent/sandbox/system_call_filter.h"

#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/file.h"

namespace quern {
namespace {

// By name: one that this libseccomp or this architecture does not know is not there to be called either.
constexpr const char* kRefused[] = {
    // other processes' memory and descriptors
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
    // mounts and namespaces
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "unshare", "setns",
    // parts of the kernel with a history of holes that no ordinary program needs
    "bpf", "userfaultfd", "perf_event_open", "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "request_key",
    "keyctl", "vmsplice", "name_to_handle_at", "open_by_handle_at", "fanotify_init", "lookup_dcookie", "modify_ldt",
    // the machine itself
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "reboot", "swapon", "swapoff",
    "acct", "quotactl", "quotactl_fd", "syslog", "settimeofday", "clock_settime", "clock_settime64", "clock_adjtime",
    "clock_adjtime64", "adjtimex", "stime", "sethostname", "setdomainname", "iopl", "ioperm", "vhangup", "nfsservctl", "_sysctl",
    "uselib", "ustat", "sysfs"};

constexpr unsigned kTioclinux = 0x541C;  // pastes on a console, as TIOCSTI types on a terminal

class Filter {
 public:
  Filter() : context_(::seccomp_init(SCMP_ACT_ALLOW)) {}
  explicit operator bool() const { return context_ != nullptr && error_ == 0; }

  void kill_foreign_architectures() { keep(::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)); }
  template <class... Conditions>
  void refuse(const char* call, int error, Conditions... conditions) {
    const int number = ::seccomp_syscall_resolve_name(call);
    if (number == __NR_SCMP_ERROR || number < 0) return;
    if constexpr (sizeof...(conditions) == 0) {
      keep(::seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(error), number, 0, nullptr));
    } else {
      const scmp_arg_cmp all[] = {conditions...};
      keep(::seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(error), number, sizeof...(conditions), all));
    }
  }

  Result<std::vector<sock_filter>> program() const {
    const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
    if (!file || ::seccomp_export_bpf(context_.get(), file.get()) != 0)
      return fail(Errc::unsupported, "cannot make a filter of system calls: {}", std::strerror(errno));
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    std::vector<sock_filter> program(static_cast<size_t>(size) / sizeof(sock_filter));
    if (::pread(file.get(), program.data(), static_cast<size_t>(size), 0) != size || program.empty() || program.size() > 4096)
      return fail(Errc::unsupported, "cannot make a filter of system calls: {} bytes", size);
    return program;
  }

 private:
  struct Release {
    void operator()(void* context) const { ::seccomp_release(context); }
  };
  void keep(int result) {
    if (result != 0 && result != -EEXIST) error_ = result;
  }
  std::unique_ptr<void, Release> context_;
  int error_ = 0;
};

// The kernel looks at the lower half of these arguments only, so the comparison must too.
scmp_arg_cmp lower_half_is(unsigned argument, uint64_t value) { return {argument, SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, value}; }
scmp_arg_cmp has_bit(unsigned argument, uint64_t bit) { return {argument, SCMP_CMP_MASKED_EQ, bit, bit}; }

void refuse_new_namespaces(Filter& filter) {
  for (const int flag : {CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP})
    filter.refuse("clone", EPERM, has_bit(0, static_cast<unsigned>(flag)));
  filter.refuse("clone3", ENOSYS);  // its flags lie in memory, out of sight; the C library then takes clone
}

// All families but the allowed ones; those the kernel adds later lie past the last one known here.
void refuse_sockets(Filter& filter, FilterOptions::Sockets allowed) {
  using Sockets = FilterOptions::Sockets;
  if (allowed == Sockets::none) return filter.refuse("socket", EPERM);
  const auto is_allowed = [&](int family) {
    if (allowed == Sockets::local) return family == AF_UNIX;
    return family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
  };
  for (int family = 0; family < AF_MAX; ++family)
    if (!is_allowed(family)) filter.refuse("socket", EPERM, lower_half_is(0, static_cast<unsigned>(family)));
  filter.refuse("socket", EPERM, scmp_arg_cmp{0, SCMP_CMP_GE, AF_MAX, 0});
  for (int protocol = NETLINK_ROUTE + 1; protocol < MAX_LINKS; ++protocol)
    filter.refuse("socket", EPERM, lower_half_is(0, AF_NETLINK), lower_half_is(2, static_cast<unsigned>(protocol)));
}

}  // namespace

Result<std::vector<sock_filter>> system_call_filter(const FilterOptions& options) {
  Filter filter;
  if (!filter) return fail(Errc::unsupported, "cannot make a filter of system calls: libseccomp does not know this architecture");
  filter.kill_foreign_architectures();
  for (const char* call : kRefused) filter.refuse(call, EPERM);
  refuse_new_namespaces(filter);
  for (const uint64_t request : {uint64_t{TIOCSTI}, uint64_t{kTioclinux}}) filter.refuse("ioctl", EPERM, lower_half_is(1, request));
  refuse_sockets(filter, options.sockets);
  if (options.keeps_session) filter.refuse("setsid", EPERM);
  if (!filter) return fail(Errc::unsupported, "cannot make a filter of system calls: a rule was refused");
  return filter.program();
}

}  // namespace quern
