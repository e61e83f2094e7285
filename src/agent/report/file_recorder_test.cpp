#include "agent/report/file_recorder.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "agent/temporary_folder_test.h"
#include "base/file.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class FileRecorderTest : public testing::Test {
 protected:
  void write(const std::string& name, std::string_view text) {
    fs::create_directories((top.path() / name).parent_path());
    ASSERT_TRUE(write_file(top.path() / name, text));
  }
  std::vector<std::string> summary(const FileRecorder& recorder) const {
    std::vector<std::string> lines;
    for (const FileChange& c : recorder.changes())
      lines.push_back(fmt::format("{} {}{}{} +{} -{}", FileChange::kind_name(c.kind), c.from, c.from.empty() ? "" : " > ", c.path,
                                  c.added, c.removed));
    return lines;
  }

  TemporaryFolder top;
};

TEST_F(FileRecorderTest, SeesWhatHappenedToFilesWhoeverDidIt) {
  write("kept.txt", "kept\n");
  write("edited.txt", "one\ntwo\nthree\n");
  write("deleted.txt", "gone\n");
  write("moved.txt", "a\nb\n");
  write("twin.txt", "x\n");
  write(".git/objects/a", "not looked at");
  FileRecorder recorder(top.path());
  recorder.before_call(Json::object());
  write("edited.txt", "one\n2\nthree\nfour\n");
  fs::remove(top.path() / "deleted.txt");
  fs::create_directories(top.path() / "deep/down");
  fs::rename(top.path() / "moved.txt", top.path() / "deep/down/moved.txt");
  fs::copy_file(top.path() / "twin.txt", top.path() / "copy.txt");
  write("new.txt", "new\n");
  write(".git/objects/b", "not looked at");
  recorder.before_call(Json::object());  // only the first one counts
  EXPECT_THAT(summary(recorder), ElementsAre("added copy.txt +1 -0", "moved moved.txt > deep/down/moved.txt +0 -0",
                                             "removed deleted.txt +0 -1", "changed edited.txt +2 -1", "added new.txt +1 -0"));
  EXPECT_EQ(recorder.changes()[3].diff, "@@ -1,3 +1,4 @@\n one\n-two\n+2\n three\n+four\n");
  EXPECT_TRUE(recorder.complete());
}

TEST_F(FileRecorderTest, ShowsNoLinesOfWhatIsNoText) {
  write("picture", std::string("\x89PNG\0\1", 6));
  write("large.txt", std::string(FileRecorder::kMostFileBytes + 1, 'a'));
  FileRecorder recorder(top.path());
  recorder.before_call(Json::object());
  write("picture", std::string("\x89PNG\0\2", 6));
  write("large.txt", std::string(FileRecorder::kMostFileBytes + 5, 'a'));
  const auto changes = recorder.changes();
  ASSERT_EQ(changes.size(), 2U);
  for (const FileChange& change : changes) {
    EXPECT_EQ(change.diff, "");
    EXPECT_THAT(change.note, HasSubstr("binary or large"));
  }
  EXPECT_THAT(changes[0].note, HasSubstr("262145 bytes, then 262149 bytes"));
}

TEST_F(FileRecorderTest, FollowsNoLinkAndCutsLongDifferences) {
  TemporaryFolder outside;
  ASSERT_TRUE(write_file(outside.path() / "secret", "secret"));
  fs::create_symlink(outside.path() / "secret", top.path() / "link");
  fs::create_directory_symlink(outside.path(), top.path() / "folder");
  FileRecorder recorder(top.path());
  recorder.before_call(*Json::parse(R"({"path": "link", "more": ["folder/secret", "../x", "/etc/passwd"]})", "test"));
  ASSERT_TRUE(write_file(outside.path() / "secret", "other"));
  std::string lines;
  for (int i = 0; lines.size() < FileRecorder::kMostFileBytes - 100; ++i) lines += fmt::format("{}\n", i);
  write("long.txt", lines);
  const auto changes = recorder.changes();
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_LE(changes[0].diff.size(), FileRecorder::kMostDiffBytes);
  EXPECT_TRUE(changes[0].diff.ends_with('\n'));
  EXPECT_THAT(changes[0].note, HasSubstr("only the first"));
}

TEST_F(FileRecorderTest, OfATooLargeFolderSeesWhatCallsName) {
  for (size_t i = 0; i <= FileRecorder::kMostFiles; ++i) {
    const UniqueFd file(::creat((top.path() / fmt::format("{}", i)).c_str(), 0600));
    ASSERT_TRUE(file);
  }
  write("named/file", "old\n");
  FileRecorder recorder(top.path());
  recorder.before_call(*Json::parse(R"({"path": "./named/file", "to": "named/new"})", "test"));
  EXPECT_FALSE(recorder.complete());
  write("named/file", "new\n");
  write("named/new", "new\n");
  EXPECT_THAT(summary(recorder), ElementsAre("changed named/file +1 -1", "added named/new +1 -0"));
}

TEST_F(FileRecorderTest, AFolderThatIsNotThereHasNoChanges) {
  FileRecorder recorder(top.path() / "none");
  recorder.before_call(Json::object());
  EXPECT_TRUE(recorder.changes().empty());
}

}  // namespace
}  // namespace quern
