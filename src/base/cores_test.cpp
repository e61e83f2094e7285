#include "base/cores.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace quern {
namespace {

namespace fs = std::filesystem;

class Cores : public ::testing::Test {
 protected:
  Cores() : root_(fs::path(::testing::TempDir()) / ("quern-cores-" + std::to_string(::getpid()))) {}
  ~Cores() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void siblings(int processor, const std::string& text) const {
    write("sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/thread_siblings_list", text);
  }
  int cores(const std::vector<int>& processors = {0, 1, 2, 3}) const { return available_cores(root_, processors); }
  fs::path root_;
};

TEST_F(Cores, AreAllWithoutControlGroups) {
  const int all = 4;
  EXPECT_EQ(cores(), all);
  EXPECT_GE(available_cores(), 1);
  write("proc/self/cgroup", "12:cpu:/old\n0::/user.slice/quern\n");
  write("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
  EXPECT_EQ(cores(), all);
}

TEST_F(Cores, AreNoMoreThanAnyGroupGrants) {
  const int all = 4;
  write("proc/self/cgroup", "0::/user.slice/quern\n");
  write("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
  EXPECT_EQ(cores(), std::min(all, 2));
  write("sys/fs/cgroup/user.slice/quern/cpu.max", "20000 100000\n");
  EXPECT_EQ(cores(), 1);
}

TEST_F(Cores, OfAContainerThatIsItsOwnRoot) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(cores(), 1);
}

TEST_F(Cores, CountProcessorsThatShareOneOnce) {
  for (int i = 0; i < 4; ++i) siblings(i, std::to_string(i % 2) + "," + std::to_string(i % 2 + 2) + "\n");
  EXPECT_EQ(cores(), 2);
  EXPECT_EQ(cores({0, 2}), 1);
  EXPECT_EQ(cores({0, 1}), 2);
  EXPECT_EQ(cores({2, 3}), 2);  // whose partners this process may not use
  EXPECT_EQ(cores({1}), 1);
  for (int i = 0; i < 4; ++i) siblings(i, i < 2 ? "0-1\n" : "2-3\n");
  EXPECT_EQ(cores(), 2);
  for (int i = 0; i < 4; ++i) siblings(i, "0-3\n");
  EXPECT_EQ(cores(), 1);
  for (int i = 0; i < 4; ++i) siblings(i, std::to_string(i) + "\n");
  EXPECT_EQ(cores(), 4);
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(cores(), 2);
}

TEST_F(Cores, IgnoreATopologyThatMakesNoSense) {
  for (const char* text : {"", "\n", "all", "0-", "-1", "0,", "0 1", "0,1,x", "3-0", "0-999999999", "0-99999999999999999999", "7",
                           "0x1", "\xff\xfe"}) {
    for (int i = 0; i < 4; ++i) siblings(i, text);
    EXPECT_EQ(cores(), 4) << text;
  }
  siblings(0, std::string(100000, '1'));
  EXPECT_EQ(cores(), 4);
  siblings(0, "0-1\n");  // cpu1 says nothing of it: what one says is enough
  EXPECT_EQ(cores(), 3);
  EXPECT_GE(available_cores(root_, {}), 1);
}

TEST_F(Cores, IgnoreWhatIsNoGrant) {
  const int all = 4;
  write("proc/self/cgroup", "0::/\n");
  for (const char* text : {"", "-5 100000", "100000 0", "many few"}) {
    write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(cores(), all) << text;
  }
}

}  // namespace
}  // namespace quern
