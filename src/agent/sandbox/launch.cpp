#include "agent/sandbox/launch.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/file.h"

namespace quern {
namespace {

// What went wrong in the child, sent to the parent.
struct Failure {
  enum class Step { none, folder, limits, confinement, program };
  Step step = Step::none;
  int error = 0;
};

struct Prepared {
  const Launch& launch;
  std::vector<char*> arguments, environment;
  sock_fprog filter{};
  int report = -1;  // the pipe for a Failure
  pid_t parent = 0;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (const std::string& one : strings)
    all.push_back(const_cast<char*>(one.c_str()));  // execve takes them so and leaves them alone
  all.push_back(nullptr);
  return all;
}

// ---- between fork and exec -------------------------------------------------------------------------------------------------------

void default_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &action, nullptr);  // those that cannot be set fail, rightly
}

void close_at_exec(unsigned first) {
  constexpr unsigned kCloseOnExec = 1u << 2;  // CLOSE_RANGE_CLOEXEC, Linux 5.11
  if (::syscall(SYS_close_range, first, ~0u, kCloseOnExec) == 0) return;
  rlimit most{};
  const rlim_t end = ::getrlimit(RLIMIT_NOFILE, &most) == 0 ? std::min<rlim_t>(most.rlim_cur, 1u << 20) : 1u << 16;
  for (rlim_t fd = first; fd < end; ++fd) ::fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC);
}

bool drop_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return ::syscall(SYS_capset, &header, none) == 0;
}

bool confine(const Prepared& p) {
  const Launch& launch = p.launch;
  if (launch.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  if (launch.landlock >= 0 && ::syscall(SYS_landlock_restrict_self, launch.landlock, 0) != 0) return false;
  if (launch.drop_capabilities && !drop_capabilities()) return false;
  return p.filter.len == 0 || ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p.filter) == 0;
}

// Returns only when a step failed.
Failure::Step become_program(const Prepared& p) {
  const Launch& launch = p.launch;
  default_signals();
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != p.parent) ::_exit(127);  // it is gone already
  unsigned kept = 0;
  for (; kept < launch.descriptors.size() && launch.descriptors[kept] >= 0; ++kept)
    ::dup2(launch.descriptors[kept], static_cast<int>(kept));
  close_at_exec(kept);
  if (::chdir(launch.folder.c_str()) != 0) return Failure::Step::folder;
  for (const auto& [resource, limit] : launch.limits)
    if (::setrlimit(resource, &limit) != 0) return Failure::Step::limits;
  if (!confine(p)) return Failure::Step::confinement;
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(launch.program.c_str(), p.arguments.data(), p.environment.data());
  return Failure::Step::program;
}

[[noreturn]] void run_child(const Prepared& p) {
  Failure failure;
  failure.step = become_program(p);
  failure.error = errno;
  [[maybe_unused]] const ssize_t written = ::write(p.report, &failure, sizeof failure);
  ::_exit(127);
}

// ---- in the parent -----------------------------------------------------------------------------------------------------------------

// vfork, as posix_spawn does it: a fork would mark every page of a large model's cache to be copied on its next write. All signals are
// blocked meanwhile, so that no handler runs in the child on the parent's memory.
pid_t fork_and_run(const Prepared& p) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = ::vfork();
  if (child == 0) run_child(p);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return child;
}

tl::unexpected<Error> explain(const Launch& launch, const Failure& failure) {
  const char* reason = std::strerror(failure.error);
  switch (failure.step) {
    case Failure::Step::folder:
      return fail(Errc::io, "{}: cannot run a program in that folder: {}", launch.folder, reason);
    case Failure::Step::limits:
      return fail(Errc::io, "{}: cannot set its limits: {}", launch.program, reason);
    case Failure::Step::confinement:
      return fail(Errc::io, "{}: cannot confine it: {}", launch.program, reason);
    case Failure::Step::none:
    case Failure::Step::program:
      break;
  }
  return fail(Errc::io, "{}: cannot be started: {}", launch.program, reason);
}

// Above all numbers that dup2 gives away in the child.
UniqueFd out_of_the_way(int fd) {
  UniqueFd old(fd);
  return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 10));
}

}  // namespace

Result<pid_t> launch(const Launch& launch) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Errc::io, "cannot make a pipe: {}", std::strerror(errno));
  const UniqueFd read_end = out_of_the_way(ends[0]);
  UniqueFd write_end = out_of_the_way(ends[1]);
  if (!read_end || !write_end) return fail(Errc::io, "cannot make a pipe: {}", std::strerror(errno));
  const Prepared prepared{
      .launch = launch,
      .arguments = pointers(launch.arguments),
      .environment = pointers(launch.environment),
      .filter = {static_cast<unsigned short>(launch.filter.size()), const_cast<sock_filter*>(launch.filter.data())},
      .report = write_end.get(),
      .parent = ::getpid(),
  };
  const pid_t child = fork_and_run(prepared);
  if (child < 0) return fail(Errc::io, "{}: cannot make a process: {}", launch.program, std::strerror(errno));
  write_end = UniqueFd();
  Failure failure;
  ssize_t got = 0;
  do got = ::read(read_end.get(), &failure, sizeof failure);
  while (got < 0 && errno == EINTR);
  if (got != sizeof failure) return child;  // the pipe closed: exec went well
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return explain(launch, failure);
}

}  // namespace quern
