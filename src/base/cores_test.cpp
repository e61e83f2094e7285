#include "base/cores.h"

#include <gtest/gtest.h>
#include <unistd.h>

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
  fs::path root_;
};

TEST_F(Cores, AreAllWithoutControlGroups) {
  const int all = available_cores(root_);
  EXPECT_GE(all, 1);
  write("proc/self/cgroup", "12:cpu:/old\n0::/user.slice/quern\n");
  write("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
  EXPECT_EQ(available_cores(root_), all);
}

TEST_F(Cores, AreNoMoreThanAnyGroupGrants) {
  const int all = available_cores(root_);
  write("proc/self/cgroup", "0::/user.slice/quern\n");
  write("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
  EXPECT_EQ(available_cores(root_), std::min(all, 2));
  write("sys/fs/cgroup/user.slice/quern/cpu.max", "20000 100000\n");
  EXPECT_EQ(available_cores(root_), 1);
}

TEST_F(Cores, OfAContainerThatIsItsOwnRoot) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(available_cores(root_), 1);
}

TEST_F(Cores, IgnoreWhatIsNoGrant) {
  const int all = available_cores(root_);
  write("proc/self/cgroup", "0::/\n");
  for (const char* text : {"", "-5 100000", "100000 0", "many few"}) {
    write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(available_cores(root_), all) << text;
  }
}

}  // namespace
}  // namespace quern
