// ChildProcess: a program that quern started, with pipes to it, ended with everything it started when this object goes. It runs in its
// own session and process group, inherits no descriptor but its three, and is killed when quern dies, even by SIGKILL; then what it
// started itself ends too only where bubblewrap holds it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/sandbox/policy.h"
#include "agent/sandbox/private_folder.h"
#include "base/file.h"
#include "base/result.h"

namespace quern {

struct ProcessOptions {
  enum class Input { none, pipe };              // none: /dev/null
  enum class Errors { own_pipe, with_output };  // with_output: one pipe for both, in the order in which they were written

  std::vector<std::string> arguments;    // the program first: a path, or a name that is looked for in the environment's PATH
  std::filesystem::path folder;          // to run in
  std::vector<std::string> environment;  // NAME=value, all of it; with a sandbox HOME and TMPDIR are set to a place that is its own
  Input input = Input::none;
  Errors errors = Errors::with_output;
  SandboxPolicy sandbox;
};

// One thread may write while another reads; everything else is for one thread at a time. The system kills the program when the *thread*
// that spawned it ends, so spawn it where it will be needed longest.
class ChildProcess {
 public:
  // not_found (no such program, no such path in the policy), denied (the sandbox could not read the program), invalid_argument,
  // unsupported (mode required, and the machine cannot), io.
  static Result<ChildProcess> spawn(const ProcessOptions& options);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();  // kill()

  pid_t pid() const { return pid_; }
  const std::string& confinement() const { return confinement_; }  // one line: what holds it; empty: nothing

  // Writes all of it, waiting for room. io: nobody reads any more, or not within timeout_s.
  Result<void> write(std::string_view bytes, double timeout_s);
  void close_input();

  enum class Stream { output, errors };  // errors: only of Errors::own_pipe
  enum class ReadState { some, nothing_yet, end };
  // Appends what is there, at most `most` bytes; never waits.
  ReadState read(Stream stream, std::string& bytes, size_t most = size_t{64} << 10);
  // Waits until a stream that has not ended has something, or its end. False: timeout_s passed.
  bool wait_for_output(double timeout_s) const;

  // The exit code, 128 + signal when one ended it; nullopt: still running after timeout_s. As soon as it has ended, so does everything
  // it left behind; what was printed can still be read.
  std::optional<int> wait(double timeout_s);

  // Looks at the limits of the policy that only an observer can keep: wall time, processes, memory of all of them. One line when one is
  // exceeded; nothing is killed yet.
  std::optional<std::string> exceeded_limit() const;

  void terminate(double grace_s);  // closes its input and asks it to end (SIGTERM), then kill()
  void kill();                     // all of it, at once

 private:
  ChildProcess() = default;
  void end_tree();
  void reap();
  UniqueFd& fd_of(Stream stream) { return stream == Stream::output ? output_ : errors_; }

  pid_t pid_ = -1;
  UniqueFd pidfd_, input_, output_, errors_;
  std::optional<int> exit_code_;
  PrivateFolder private_folder_;  // its TMPDIR, where it has no /tmp of its own
  SandboxPolicy policy_;
  std::string confinement_;
  bool wrapped_ = false;  // pid_ is bwrap
  std::chrono::steady_clock::time_point start_;
};

// "python3" in the folders of PATH in `environment`; a name with a '/' is taken as it is, from `folder`. not_found.
Result<std::filesystem::path> find_program(const std::string& name, const std::filesystem::path& folder,
                                           const std::vector<std::string>& environment);

// Of "NAME=value" entries those that say nothing about the user: PATH, LANG, LC_*, TERM, TZ. PATH is set when it was not.
std::vector<std::string> harmless_environment(const char* const* environment);

}  // namespace quern
