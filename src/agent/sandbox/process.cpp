#include "agent/sandbox/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "agent/sandbox/confinement.h"
#include "agent/sandbox/launch.h"
#include "agent/sandbox/process_tree.h"
#include "base/clock.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUsualPath = "/usr/local/bin:/usr/bin:/bin";

std::string_view value_of(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string_view entry : environment)
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') return entry.substr(name.size() + 1);
  return {};
}

void set_variable(std::vector<std::string>& environment, std::string_view name, std::string_view value) {
  std::erase_if(environment,
                [&](std::string_view e) { return e.starts_with(name) && e.size() > name.size() && e[name.size()] == '='; });
  environment.push_back(fmt::format("{}={}", name, value));
}

std::string_view path_in(const std::vector<std::string>& environment) {
  const std::string_view path = value_of(environment, "PATH");
  return path.empty() ? kUsualPath : path;
}

struct Pipe {
  UniqueFd child, parent;
};

// The parent's end does not block. Both lie above the numbers that the child gives its own descriptors.
Result<Pipe> make_pipe(bool parent_reads) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Errc::io, "cannot make a pipe: {}", std::strerror(errno));
  const UniqueFd low[2] = {UniqueFd(ends[0]), UniqueFd(ends[1])};
  UniqueFd high[2] = {UniqueFd(::fcntl(ends[0], F_DUPFD_CLOEXEC, 10)), UniqueFd(::fcntl(ends[1], F_DUPFD_CLOEXEC, 10))};
  if (!high[0] || !high[1]) return fail(Errc::io, "cannot make a pipe: {}", std::strerror(errno));
  Pipe pipe{std::move(high[parent_reads ? 1 : 0]), std::move(high[parent_reads ? 0 : 1])};
  ::fcntl(pipe.parent.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

int milliseconds(double seconds) { return static_cast<int>(std::clamp(std::ceil(seconds * 1000), 0.0, 1e9)); }

// A write to a pipe that nobody reads must not end this process, whatever it does about SIGPIPE.
ssize_t write_quietly(int fd, std::string_view bytes) {
  sigset_t pipe, before, pending;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const ssize_t written = ::write(fd, bytes.data(), bytes.size());
  const int error = errno;
  const timespec now{};
  if (written < 0 && error == EPIPE && ::sigismember(&pending, SIGPIPE) == 0) ::sigtimedwait(&pipe, nullptr, &now);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

bool is_program(const fs::path& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

Result<fs::path> resolved_folder(const fs::path& folder) {
  std::error_code error;
  fs::path canonical = fs::canonical(folder, error);
  if (error) return fail(Errc::not_found, "{}: cannot run a program in that folder: {}", folder.string(), error.message());
  return canonical;
}

}  // namespace

Result<fs::path> find_program(const std::string& name, const fs::path& folder, const std::vector<std::string>& environment) {
  if (name.empty()) return fail(Errc::invalid_argument, "the command is empty");
  if (name.find('/') != std::string::npos) {
    const fs::path path = fs::path(name).is_absolute() ? fs::path(name) : folder / name;
    std::error_code ignored;
    if (is_program(path)) return path;
    return fail(Errc::not_found, "{}: {}", name, fs::exists(path, ignored) ? "not a program that may be run" : "no such program");
  }
  const std::string_view path = path_in(environment);
  for (std::string_view rest = path; !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const fs::path candidate = fs::path(one) / name;
    if (one.starts_with('/') && is_program(candidate)) return candidate;
  }
  return fail(Errc::not_found, "{}: no such program in {}", name, path);
}

std::vector<std::string> harmless_environment(const char* const* environment) {
  std::vector<std::string> kept;
  for (; environment && *environment; ++environment) {
    const std::string_view entry = *environment;
    const std::string_view name = entry.substr(0, entry.find('='));
    const bool harmless =
        name == "PATH" || name == "LANG" || name == "LANGUAGE" || name == "TERM" || name == "TZ" || name.starts_with("LC_");
    if (harmless && name.size() < entry.size()) kept.emplace_back(entry);
  }
  if (value_of(kept, "PATH").empty()) set_variable(kept, "PATH", kUsualPath);
  return kept;
}

namespace {

// What to start and how it is held. The latter owns what the former refers to.
struct Plan {
  Launch start;
  Confinement confinement;
};

Result<Plan> plan(const ProcessOptions& options) {
  if (options.arguments.empty()) return fail(Errc::invalid_argument, "the command is empty");
  for (const auto* list : {&options.arguments, &options.environment})
    for (const std::string& one : *list)
      if (one.find('\0') != std::string::npos) return fail(Errc::invalid_argument, "a command cannot contain the zero character");
  QUERN_ASSIGN(const fs::path folder, resolved_folder(options.folder));
  Launch start{.arguments = options.arguments, .environment = options.environment};
  start.folder = folder.string();
  start.limits = process_limits(options.sandbox);
  const bool confined = options.sandbox.mode != SandboxPolicy::Mode::none;
  if (confined) set_variable(start.environment, "PATH", visible_path(options.sandbox, path_in(options.environment)));
  QUERN_ASSIGN(const fs::path program, find_program(options.arguments[0], folder, start.environment));
  start.program = program.string();
  if (!confined) return Plan{std::move(start), {}};

  QUERN_ASSIGN(Confinement confinement, confine(options.sandbox, program, folder, this_machines_sandbox()));
  const std::string own = confinement.private_folder.path().empty() ? "/tmp" : confinement.private_folder.path().string();
  for (const char* name : {"HOME", "TMPDIR"}) set_variable(start.environment, name, own);
  start.no_new_privileges = true;
  start.landlock = confinement.landlock.get();
  start.filter = confinement.filter;
  start.drop_capabilities = confinement.wrapper.empty();  // bwrap needs them until it drops them itself
  if (!confinement.wrapper.empty()) {
    start.program = confinement.wrapper[0];
    start.arguments = confinement.wrapper;
    start.arguments.push_back(program.string());
    start.arguments.insert(start.arguments.end(), options.arguments.begin() + 1, options.arguments.end());
  }
  start.descriptors[3] = confinement.wrapper_filter.get();
  return Plan{std::move(start), std::move(confinement)};
}

// The child's standard input, and quern's end of it if there is one.
Result<Pipe> input_for(const ProcessOptions& options) {
  if (options.input == ProcessOptions::Input::pipe) return make_pipe(/*parent_reads=*/false);
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Pipe input{UniqueFd(::fcntl(null.get(), F_DUPFD_CLOEXEC, 10)), UniqueFd()};
  if (!input.child) return fail(Errc::io, "/dev/null: {}", std::strerror(errno));
  return input;
}

}  // namespace

Result<ChildProcess> ChildProcess::spawn(const ProcessOptions& options) {
  QUERN_ASSIGN(auto planned, plan(options));
  auto& [start, confinement] = planned;
  ChildProcess child;
  child.private_folder_ = std::move(confinement.private_folder);
  child.policy_ = options.sandbox;
  child.wrapped_ = !confinement.wrapper.empty();
  child.confinement_ = std::move(confinement.summary);
  QUERN_ASSIGN(Pipe input, input_for(options));
  QUERN_ASSIGN(Pipe output, make_pipe(/*parent_reads=*/true));
  Pipe errors;
  if (options.errors == ProcessOptions::Errors::own_pipe) {
    QUERN_ASSIGN(errors, make_pipe(/*parent_reads=*/true));
  }
  start.descriptors[0] = input.child.get();
  start.descriptors[1] = output.child.get();
  start.descriptors[2] = errors.child ? errors.child.get() : output.child.get();
  child.start_ = Clock::now();
  QUERN_ASSIGN(child.pid_, launch(start));
  child.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, child.pid_, 0)));
  if (!child.pidfd_) return fail(Errc::io, "{}: cannot watch the process: {}", start.program, std::strerror(errno));
  child.input_ = std::move(input.parent);
  child.output_ = std::move(output.parent);
  child.errors_ = std::move(errors.parent);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      errors_(std::move(other.errors_)),
      exit_code_(other.exit_code_),
      private_folder_(std::move(other.private_folder_)),
      policy_(std::move(other.policy_)),
      confinement_(std::move(other.confinement_)),
      wrapped_(other.wrapped_),
      start_(other.start_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this == &other) return *this;
  this->~ChildProcess();
  return *::new (this) ChildProcess(std::move(other));
}

ChildProcess::~ChildProcess() { kill(); }

Result<void> ChildProcess::write(std::string_view bytes, double timeout_s) {
  const auto deadline = Clock::now() + std::chrono::duration<double>(timeout_s);
  while (!bytes.empty()) {
    if (!input_) return fail(Errc::io, "the program's input is closed");
    const ssize_t written = write_quietly(input_.get(), bytes);
    if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
    if (written >= 0 || errno == EINTR) continue;
    if (errno == EPIPE) return fail(Errc::io, "the program does not read its input any more");
    if (errno != EAGAIN) return fail(Errc::io, "cannot write to the program: {}", std::strerror(errno));
    const double left = std::chrono::duration<double>(deadline - Clock::now()).count();
    if (left <= 0) return fail(Errc::io, "the program did not read its input within {} s", timeout_s);
    pollfd room{input_.get(), POLLOUT, 0};
    ::poll(&room, 1, milliseconds(left));
  }
  return {};
}

void ChildProcess::close_input() { input_ = UniqueFd(); }

ChildProcess::ReadState ChildProcess::read(Stream stream, std::string& bytes, size_t most) {
  UniqueFd& fd = fd_of(stream);
  if (!fd) return ReadState::end;
  const size_t before = bytes.size();
  bytes.resize(before + most);
  ssize_t got = 0;
  do got = ::read(fd.get(), bytes.data() + before, most);
  while (got < 0 && errno == EINTR);
  const int error = errno;
  bytes.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got > 0) return ReadState::some;
  if (got < 0 && error == EAGAIN) return ReadState::nothing_yet;
  fd = UniqueFd();
  return ReadState::end;
}

bool ChildProcess::wait_for_output(double timeout_s) const {
  pollfd streams[2];
  nfds_t count = 0;
  for (const UniqueFd* fd : {&output_, &errors_})
    if (*fd) streams[count++] = {fd->get(), POLLIN, 0};
  return ::poll(streams, count, milliseconds(timeout_s)) > 0;
}

std::optional<int> ChildProcess::wait(double timeout_s) {
  if (exit_code_ || pid_ <= 0) return exit_code_;
  pollfd ended{pidfd_.get(), POLLIN, 0};
  if (::poll(&ended, 1, milliseconds(timeout_s)) <= 0) return std::nullopt;
  end_tree();  // before it is reaped: until then nobody else has its number
  reap();
  return exit_code_;
}

std::optional<std::string> ChildProcess::exceeded_limit() const {
  if (exit_code_ || pid_ <= 0) return std::nullopt;
  if (policy_.wall_seconds > 0 && std::chrono::duration<double>(Clock::now() - start_).count() > policy_.wall_seconds)
    return fmt::format("took longer than {} s", policy_.wall_seconds);
  if (policy_.processes <= 0 && policy_.memory_bytes <= 0) return std::nullopt;
  const ProcessTree tree = process_tree(pid_);
  const int64_t own = wrapped_ ? 2 : 0;  // bwrap's own processes
  if (policy_.processes > 0 && static_cast<int64_t>(tree.members.size()) > policy_.processes + own)
    return fmt::format("started more than {} processes", policy_.processes);
  if (policy_.memory_bytes > 0 && tree.resident_bytes() > policy_.memory_bytes)
    return fmt::format("used more than {} MiB of memory", policy_.memory_bytes >> 20);
  return std::nullopt;
}

void ChildProcess::terminate(double grace_s) {
  close_input();
  if (pid_ > 0 && !exit_code_) ::kill(-pid_, SIGTERM);
  if (!wait(grace_s)) kill();
}

void ChildProcess::kill() {
  if (pid_ <= 0 || exit_code_) return;
  end_tree();
  reap();
}

// Until nothing is found any more; a program that keeps moving to new groups faster than that is beyond what can be done without a
// namespace, so it is not for ever.
void ChildProcess::end_tree() {
  for (int round = 0; round < 100; ++round) {
    const ProcessTree tree = process_tree(pid_);
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    tree.kill();
    if (tree.members.empty()) return;
    pollfd ended{pidfd_.get(), POLLIN, 0};
    if (::poll(&ended, 1, 1) > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void ChildProcess::reap() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0)
    if (errno != EINTR) break;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  input_ = UniqueFd();
}

}  // namespace quern
