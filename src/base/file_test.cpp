#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace quern {
namespace {

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    static int next = 0;
    folder_ = std::filesystem::path(::testing::TempDir()) / fmt::format("quern-files-{}-{}", ::getpid(), next++);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  size_t entries() const { return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {})); }

  std::filesystem::path folder_;
};

TEST_F(Files, AreReadWhole) {
  const std::string text("line\n\0\xff", 7);
  ASSERT_TRUE(write_file(folder_ / "a", text));
  EXPECT_EQ(read_file(folder_ / "a").value(), text);
  const auto mapped = MappedFile::open(folder_ / "a").value();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size()), text);
}

TEST_F(Files, MayBeEmpty) {
  ASSERT_TRUE(write_file(folder_ / "empty", ""));
  EXPECT_EQ(read_file(folder_ / "empty").value(), "");
  EXPECT_TRUE(MappedFile::open(folder_ / "empty").value()->bytes().empty());
}

TEST_F(Files, ThatAreAbsentOrNotFilesAreErrorsThatNameThem) {
  EXPECT_EQ(read_file(folder_ / "absent").error().code, Errc::not_found);
  EXPECT_EQ(MappedFile::open(folder_ / "absent").error().code, Errc::not_found);
  EXPECT_EQ(read_file(folder_).error().code, Errc::io);
  EXPECT_EQ(MappedFile::open(folder_).error().code, Errc::io);
  EXPECT_NE(read_file(folder_ / "absent").error().message.find("absent"), std::string::npos);
  EXPECT_EQ(MappedFile::open("/dev/zero").error().code, Errc::io);
}

TEST_F(Files, OfFifoKindAreRefusedWithoutWaitingForAWriter) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_file(folder_ / "fifo").error().code, Errc::io);
}

TEST_F(Files, LongerThanAskedForAreRefused) {
  ASSERT_TRUE(write_file(folder_ / "a", "12345"));
  EXPECT_EQ(read_file(folder_ / "a", 5).value(), "12345");
  EXPECT_EQ(read_file(folder_ / "a", 4).error().code, Errc::out_of_range);
}

TEST_F(Files, WrittenAtomicallyAppearOnCommitAlone) {
  ASSERT_TRUE(write_file(folder_ / "a", "old"));
  {
    AtomicFile file = AtomicFile::create(folder_ / "a").value();
    ASSERT_TRUE(file.write("new, but never committed"));
    EXPECT_EQ(read_file(folder_ / "a").value(), "old");
  }
  EXPECT_EQ(read_file(folder_ / "a").value(), "old");
  EXPECT_EQ(entries(), 1u) << "nothing half-written is left";
  {
    AtomicFile first = AtomicFile::create(folder_ / "a").value();
    AtomicFile file = std::move(first);
    ASSERT_TRUE(file.write("new"));
    ASSERT_TRUE(file.commit());
  }
  EXPECT_EQ(read_file(folder_ / "a").value(), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, WrittenAtomicallyLeaveNothingWhenTheyAreAssignedOver) {
  AtomicFile file = AtomicFile::create(folder_ / "a").value();
  file = AtomicFile::create(folder_ / "b").value();
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, ThatCannotBeCreatedOrRenamedAreErrorsAndLeaveNothing) {
  EXPECT_FALSE(write_file(folder_ / "no" / "such" / "folder", "x"));
  std::filesystem::create_directories(folder_ / "taken" / "inside");
  EXPECT_FALSE(write_file(folder_ / "taken", "x"));
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, HaveTheModeThatTheUmaskLeaves) {
  const mode_t before = ::umask(027);
  EXPECT_TRUE(write_file(folder_ / "a", "x"));
  ::umask(before);
  struct stat info{};
  ASSERT_EQ(::stat((folder_ / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(Files, PrivateFoldersAreMadeForTheirOwnerAlone) {
  const auto mode = [](const std::filesystem::path& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
  };
  ASSERT_EQ(::mkdir((folder_ / "there").c_str(), 0755), 0);
  ASSERT_EQ(::chmod((folder_ / "there").c_str(), 0755), 0);
  EXPECT_TRUE(make_private_folders(folder_ / "there" / "a" / "b" / ""));
  EXPECT_TRUE(make_private_folders(folder_ / "there" / "a" / "b"));
  EXPECT_EQ(mode(folder_ / "there"), 0755u);
  EXPECT_EQ(mode(folder_ / "there" / "a"), 0700u);
  EXPECT_EQ(mode(folder_ / "there" / "a" / "b"), 0700u);
  ASSERT_TRUE(write_file(folder_ / "file", "x"));
  EXPECT_FALSE(make_private_folders(folder_ / "file"));
  EXPECT_FALSE(make_private_folders(folder_ / "file" / "below"));
}

}  // namespace
}  // namespace quern
