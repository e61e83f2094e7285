#include "base/residency.h"

#include "base/clock.h"
#include "base/cold_file_test.h"

namespace quern {
namespace {

class MappedFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (!file.is_cold()) GTEST_SKIP() << "this file system keeps files in memory";
  }
  ColdFile file{(size_t{72} << 20) + 5};
};

TEST_F(MappedFiles, CountWhatWasTouched) {
  const size_t before = resident_bytes(file.bytes());
  file.touch(20 << 20);
  EXPECT_GT(resident_bytes(file.bytes()), before);
  for (size_t at = 0; at < file.bytes().size(); at += 4096) file.touch(at);
  EXPECT_EQ(resident_bytes(file.bytes()), file.bytes().size()) << "the last page counts as far as the file goes";
}

TEST_F(MappedFiles, AreReadAheadToTheEnd) {
  MappedResidency residency({file.bytes(), {}});
  EXPECT_FALSE(residency.look().whole());
  EXPECT_EQ(residency.look().total, file.bytes().size());
  residency.read_ahead();
  const auto start = Clock::now();
  while (!residency.look().whole() && seconds_since(start) < 20) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(residency.look().whole());
  EXPECT_EQ(resident_bytes(file.bytes()), file.bytes().size());
}

TEST_F(MappedFiles, AreNotLookedAtTooOften) {
  MappedResidency residency({file.bytes()});
  const size_t before = residency.look().resident;
  file.touch(60 << 20);
  EXPECT_EQ(residency.look().resident, before);
}

TEST(MappedResidency, OfNothingIsWhole) {
  MappedResidency residency({});
  residency.read_ahead();
  EXPECT_TRUE(residency.look().whole());
}

}  // namespace
}  // namespace quern
