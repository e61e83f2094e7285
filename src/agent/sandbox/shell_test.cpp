#include "agent/sandbox/shell.h"

#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "agent/temporary_folder_test.h"
#include "base/file.h"

namespace quern {
namespace {

TEST(Shell, RunsInItsFolderWithItsVariables) {
  const TemporaryFolder top;
  const auto done = run_shell({.command = "pwd; echo \"$ANSWER\" >&2; cat; exit 3",
                               .folder = top.path(),
                               .environment = {{"ANSWER", "a 'b'"}},
                               .cancelled = {}});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->exit_code, 3);
  EXPECT_EQ(done->output, top.path().string() + "\na 'b'\n");
}

TEST(Shell, KeepsTheEndOfALongOutputAndMakesItText) {
  const TemporaryFolder top;
  const auto done = run_shell({.command = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf '\\377end'",
                               .folder = top.path(),
                               .environment = {},
                               .cancelled = {}});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LE(done->output.size(), (size_t{16} << 10) + 2);  // one byte became three
  EXPECT_TRUE(
      done->output.ends_with("line 19999\n\xEF\xBF\xBD"
                             "end"))
      << done->output.substr(done->output.size() - 40);
}

TEST(Shell, EndsWhatTakesTooLongOrIsCancelled) {
  const TemporaryFolder top;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(
      run_shell({.command = "sleep 60 & sleep 60", .folder = top.path(), .environment = {}, .timeout_s = 0.2, .cancelled = {}})
          .error()
          .message,
      "took longer than 0.2 s");
  EXPECT_EQ(
      run_shell({.command = "sleep 60", .folder = top.path(), .environment = {}, .cancelled = [] { return true; }}).error().message,
      "interrupted");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Shell, EndsWhatItLeftInTheBackground) {
  const TemporaryFolder top;
  const auto start = std::chrono::steady_clock::now();
  const auto done =
      run_shell({.command = "yes & echo $! > pid; kill -TERM $$", .folder = top.path(), .environment = {}, .cancelled = {}});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->exit_code, 128 + 15);
  std::string pid = read_file(top.path() / "pid").value_or("0");
  EXPECT_GT(std::stoi(pid), 0);
  const auto lives = [&] {  // a process that ended has no /proc/…/exe to follow, reaped or not
    std::error_code ignored;
    return std::filesystem::exists("/proc/" + pid.substr(0, pid.size() - 1) + "/exe", ignored);
  };
  for (int i = 0; i < 300 && lives(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(lives());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

TEST(Shell, SaysWhereItCouldNotStart) {
  const auto done = run_shell({.command = "true", .folder = "/nowhere/at/all", .environment = {}, .cancelled = {}});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "/nowhere/at/all: cannot run a program in that folder: No such file or directory");
}

TEST(Shell, SurvivesVariablesTooLongForTheSystem) {
  const TemporaryFolder top;
  const auto done = run_shell(
      {.command = "echo ${#LONG}", .folder = top.path(), .environment = {{"LONG", std::string(1 << 20, 'x')}}, .cancelled = {}});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->output, "102400\n");
}

}  // namespace
}  // namespace quern
