#include "base/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace quern {
namespace {

namespace fs = std::filesystem;

struct Machine {
  Machine() { fs::create_directories(root); }
  ~Machine() { fs::remove_all(root); }
  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  }
  fs::path root = fs::path(::testing::TempDir()) / ("quern-memory-" + std::to_string(::getpid()));
};

TEST(Memory, ThisMachineSays) {
  EXPECT_GT(available_memory(), size_t{1} << 20);
  EXPECT_GT(resident_memory(), size_t{1} << 20);
}

TEST(Memory, TheSmallestOfMachineAndControlGroups) {
  const Machine machine;
  EXPECT_EQ(available_memory(machine.root), 0u);
  machine.write("proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 5 kB\nMemAvailable:    8000 kB\n");
  EXPECT_EQ(available_memory(machine.root), size_t{8000} << 10);
  machine.write("proc/self/cgroup", "0::/outer/inner\n");
  machine.write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  machine.write("sys/fs/cgroup/outer/inner/memory.current", "100\n");
  machine.write("sys/fs/cgroup/outer/memory.max", "5000\n");
  machine.write("sys/fs/cgroup/outer/memory.current", "2000\n");
  EXPECT_EQ(available_memory(machine.root), 3000u);
  machine.write("sys/fs/cgroup/memory.max", "1000\n");  // as a container sees its own
  machine.write("sys/fs/cgroup/memory.current", "1001\n");
  EXPECT_EQ(available_memory(machine.root), 0u);
}

}  // namespace
}  // namespace quern
