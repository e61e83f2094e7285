#include "agent/sandbox/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "agent/sandbox/command.h"
#include "agent/sandbox/process_tree.h"
#include "agent/temporary_folder_test.h"
#include "base/file.h"

namespace quern {
namespace {

using State = ChildProcess::ReadState;
using Stream = ChildProcess::Stream;
using testing::HasSubstr;

ProcessOptions shell(const std::string& script) {
  ProcessOptions options;
  options.arguments = {"sh", "-c", script};
  options.folder = "/";
  options.environment = {"PATH=/usr/bin:/bin"};
  return options;
}

std::string read_to_end(ChildProcess& child, Stream stream = Stream::output) {
  std::string all;
  while (true) {
    const State state = child.read(stream, all);
    if (state == State::end) return all;
    if (state == State::nothing_yet && !child.wait_for_output(10)) return all + " (nothing for 10 s)";
  }
}

// A process that ended has no executable to follow, reaped or not.
bool lives(pid_t pid) {
  char buffer[16];
  return ::readlink(fmt::format("/proc/{}/exe", pid).c_str(), buffer, sizeof buffer) > 0;
}
bool ends_soon(pid_t pid) {
  for (int i = 0; i < 500 && lives(pid); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return !lives(pid);
}

TEST(ChildProcess, TalksOverItsPipes) {
  ProcessOptions options = shell("read line; echo \"got $line in $PWD with $WORD\"; echo trouble >&2; exit 7");
  options.folder = "/usr";
  options.environment.push_back("WORD=a 'b' c");
  options.input = ProcessOptions::Input::pipe;
  options.errors = ProcessOptions::Errors::own_pipe;
  auto child = ChildProcess::spawn(options);
  ASSERT_TRUE(child) << child.error().message;
  std::string nothing;
  EXPECT_EQ(child->read(Stream::output, nothing), State::nothing_yet);
  EXPECT_FALSE(child->wait_for_output(0.05));
  EXPECT_FALSE(child->wait(0.05));
  ASSERT_TRUE(child->write("hello\n", 10));
  EXPECT_EQ(read_to_end(*child), "got hello in /usr with a 'b' c\n");
  EXPECT_EQ(read_to_end(*child, Stream::errors), "trouble\n");
  EXPECT_EQ(child->wait(10), 7);
  EXPECT_EQ(child->wait(0), 7);  // asked again
}

TEST(ChildProcess, WritesMoreThanAPipeHoldsWhileSomebodyReads) {
  ProcessOptions options = shell("sleep 0.2; wc -c");
  options.input = ProcessOptions::Input::pipe;
  auto child = ChildProcess::spawn(options);
  ASSERT_TRUE(child) << child.error().message;
  ASSERT_TRUE(child->write(std::string(3'000'000, 'x'), 20));
  child->close_input();
  EXPECT_EQ(read_to_end(*child), "3000000\n");
  EXPECT_EQ(child->wait(10), 0);
}

TEST(ChildProcess, AWriteThatNobodyReadsIsAnError) {
  ProcessOptions options = shell("exec 0<&-; sleep 60");
  options.input = ProcessOptions::Input::pipe;
  auto child = ChildProcess::spawn(options);
  ASSERT_TRUE(child) << child.error().message;
  Result<void> written;
  for (int i = 0; i < 200 && written; ++i) {  // until the shell has closed it; SIGPIPE would end this test
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    written = child->write("x", 1);
  }
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, "the program does not read its input any more");

  options.arguments = {"sleep", "60"};
  auto deaf = ChildProcess::spawn(options);
  ASSERT_TRUE(deaf);
  EXPECT_EQ(deaf->write(std::string(1 << 20, 'x'), 0.1).error().message, "the program did not read its input within 0.1 s");
}

TEST(ChildProcess, InheritsNoDescriptorAndNoSignalSetting) {
  const UniqueFd secret(::open("/etc/passwd", O_RDONLY));  // without O_CLOEXEC
  ASSERT_TRUE(secret);
  sigset_t blocked, before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto old = std::signal(SIGPIPE, SIG_IGN);
  auto child = ChildProcess::spawn(shell("ls /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status"));
  std::signal(SIGPIPE, old);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(child) << child.error().message;
  const std::string seen = read_to_end(*child);
  EXPECT_THAT(seen, testing::StartsWith("4\n"));  // its three, and the one with which ls reads the folder
  EXPECT_THAT(seen, HasSubstr("SigBlk:\t0000000000000000"));
  EXPECT_THAT(seen, HasSubstr("SigIgn:\t0000000000000000"));
}

TEST(ChildProcess, HasASessionOfItsOwn) {
  auto child = ChildProcess::spawn(shell("cut -d' ' -f5,6 /proc/$$/stat"));
  ASSERT_TRUE(child);
  EXPECT_EQ(read_to_end(*child), fmt::format("{0} {0}\n", child->pid()));
}

TEST(ChildProcess, SaysWhyItCannotStart) {
  ProcessOptions options = shell("true");
  options.folder = "/nowhere/at/all";
  EXPECT_EQ(ChildProcess::spawn(options).error().message,
            "/nowhere/at/all: cannot run a program in that folder: No such file or directory");
  options.folder = "/";
  options.arguments = {};
  EXPECT_EQ(ChildProcess::spawn(options).error().message, "the command is empty");
  options.arguments = {"no-such-program-here"};
  EXPECT_EQ(ChildProcess::spawn(options).error().message, "no-such-program-here: no such program in /usr/bin:/bin");
  EXPECT_EQ(ChildProcess::spawn(options).error().code, Errc::not_found);
  options.arguments = {"/etc/passwd"};
  EXPECT_EQ(ChildProcess::spawn(options).error().message, "/etc/passwd: not a program that may be run");
  options.arguments = {std::string("a\0b", 3)};
  EXPECT_EQ(ChildProcess::spawn(options).error().code, Errc::invalid_argument);

  const TemporaryFolder top;
  const std::filesystem::path script = top.path() / "no-interpreter";
  ASSERT_TRUE(write_file(script, "#!/no/such/interpreter\n"));
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  options.arguments = {script.string()};
  EXPECT_EQ(ChildProcess::spawn(options).error().message, script.string() + ": cannot be started: No such file or directory");
}

TEST(ChildProcess, LooksForProgramsInThePathItIsGiven) {
  const TemporaryFolder top;
  ASSERT_TRUE(write_file(top.path() / "tool", "#!/bin/sh\necho mine\n"));
  std::filesystem::permissions(top.path() / "tool", std::filesystem::perms::owner_all);
  ProcessOptions options = shell("");
  options.arguments = {"tool"};
  EXPECT_FALSE(ChildProcess::spawn(options));
  options.environment = {"PATH=relative:" + top.path().string()};
  auto child = ChildProcess::spawn(options);
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(read_to_end(*child), "mine\n");
  options.folder = top.path();
  options.arguments = {"./tool"};
  EXPECT_TRUE(ChildProcess::spawn(options));
}

TEST(ChildProcess, EndsWithEverythingItStarted) {
  pid_t first = 0, daemon = 0;
  {
    // The second sleep leaves the process group, but still has its parent.
    auto child = ChildProcess::spawn(shell("sleep 61 & setsid sleep 62 & sleep 0.1; echo started; wait"));
    ASSERT_TRUE(child);
    std::string line;
    while (line.empty() && child->wait_for_output(10)) child->read(Stream::output, line);
    const ProcessTree tree = process_tree(child->pid());
    ASSERT_EQ(tree.members.size(), 3u);
    first = tree.members[1], daemon = tree.members[2];
    EXPECT_TRUE(lives(first) && lives(daemon));
  }
  EXPECT_TRUE(ends_soon(first));
  EXPECT_TRUE(ends_soon(daemon));
}

TEST(ChildProcess, EndsWhenItsParentIsKilled) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    auto child = ChildProcess::spawn(shell("exec sleep 63"));
    const pid_t pid = child ? child->pid() : 0;
    if (::write(ends[1], &pid, sizeof pid) != sizeof pid) ::_exit(1);
    ::pause();
  }
  pid_t pid = 0;
  ASSERT_EQ(::read(ends[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  ASSERT_GT(pid, 0);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(ends_soon(pid));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(ChildProcess, IsAskedToEndBeforeItIsKilled) {
  ProcessOptions options = shell("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done");
  auto polite = ChildProcess::spawn(options);
  ASSERT_TRUE(polite);
  ASSERT_TRUE(polite->wait_for_output(10));
  polite->terminate(10);
  EXPECT_EQ(polite->wait(0), 5);
  const std::string said = read_to_end(*polite);  // between the two a shell may tell what became of its sleep
  EXPECT_TRUE(said.starts_with("ready\n") && said.ends_with("bye\n")) << said;

  options = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
  auto stubborn = ChildProcess::spawn(options);
  ASSERT_TRUE(stubborn);
  ASSERT_TRUE(stubborn->wait_for_output(10));
  stubborn->terminate(0.2);
  EXPECT_EQ(stubborn->wait(0), 128 + SIGKILL);
}

TEST(ChildProcess, MovesWithItsProcess) {
  auto one = ChildProcess::spawn(shell("sleep 64"));
  auto two = ChildProcess::spawn(shell("sleep 65"));
  ASSERT_TRUE(one && two);
  const pid_t first = one->pid(), second = two->pid();
  *one = std::move(*two);
  EXPECT_FALSE(lives(first));
  EXPECT_TRUE(lives(second));
  EXPECT_EQ(one->pid(), second);
}

TEST(ChildProcess, CleansAnEnvironment) {
  const char* given[] = {"HOME=/home/me", "LANG=de_DE.UTF-8", "LC_ALL=C", "AWS_SECRET=x", "PATHOLOGY=y", "LC_", nullptr};
  EXPECT_THAT(harmless_environment(given),
              testing::ElementsAre("LANG=de_DE.UTF-8", "LC_ALL=C", "PATH=/usr/local/bin:/usr/bin:/bin"));
  const char* with_path[] = {"PATH=/opt/bin", nullptr};
  EXPECT_THAT(harmless_environment(with_path), testing::ElementsAre("PATH=/opt/bin"));
}

TEST(Command, ReportsLinesAndKeepsBothEndsOfALongOutput) {
  std::vector<std::string> lines;
  CommandOptions options{
      .process = shell("printf 'one\\ntwo\\nh\\377lf'; sleep 0.2; printf ' end'"), .keep_first = 5, .keep_last = 6};
  options.on_line = [&](std::string_view line) { lines.emplace_back(line); };
  const auto done = run_command(options);
  ASSERT_TRUE(done);
  EXPECT_THAT(lines, testing::ElementsAre("one", "two", "h\xEF\xBF\xBDlf end"));
  EXPECT_EQ(done->first, "one\nt");
  EXPECT_EQ(done->last, "lf end");
  EXPECT_EQ(done->left_out, 5u);
  EXPECT_EQ(done->output_bytes, 16u);
}

TEST(Command, EndsEndlessOutputAtItsLimit) {
  CommandOptions options{.process = shell("yes"), .keep_first = 100, .keep_last = 100};
  options.process.sandbox.output_bytes = 1'000'000;
  const auto done = run_command(options);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->ended_by_us, "printed more than 1000000 bytes");
  EXPECT_LT(done->output_bytes, 80'000'000u);
  EXPECT_EQ(done->first.size(), 100u);
}

}  // namespace
}  // namespace quern
