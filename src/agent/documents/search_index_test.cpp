#include "agent/documents/search_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "agent/temporary_folder_test.h"
#include "base/random.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class SearchIndexTest : public testing::Test {
 protected:
  void SetUp() override {
    write("mill.md", "# Mill\n\nThe mill is closed in February.\n\n# Owner\n\nAda owns it.\n");
    write("bread.md", "Bread of rye keeps for a week. The miller's wife bakes it.\n");
    write("picture.bin", std::string("\0\0\0", 3));
  }
  // Older than any doubt about the clock.
  void write(const std::string& path, std::string_view text, int hours_ago = 1) {
    fs::create_directories(docs());
    ASSERT_TRUE(write_file(docs() / path, text));
    fs::last_write_time(docs() / path, fs::file_time_type::clock::now() - std::chrono::hours(hours_ago));
  }
  fs::path docs() const { return folder_.path() / "docs"; }
  fs::path file() const { return folder_.path() / "index.sqlite"; }

  std::vector<std::string> find(std::string_view question) {
    library_.emplace(Library::open({docs()}, {}).value());
    work_ = {};
    const auto index = SearchIndex::open(file(), *library_, {}, work_);
    EXPECT_TRUE(index) << index.error().message;
    std::vector<std::string> found;
    if (!index) return found;
    const auto hits = index->search(question, 10);
    EXPECT_TRUE(hits) << hits.error().message;
    for (const SearchHit& hit : hits.value_or(std::vector<SearchHit>{})) {
      const ReadFile read = library_->read(library_->entries()[hit.entry]);
      EXPECT_LE(hit.end, read.document->content.text.size());
      found.push_back(read.document->content.text.substr(hit.begin, hit.end - hit.begin));
    }
    return found;
  }

  TemporaryFolder folder_;
  std::optional<Library> library_;
  IndexWork work_;
};

TEST_F(SearchIndexTest, FindsThePieceThatSpeaksOfIt) {
  const auto found = find("When is the mill closed?");
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0], "# Mill\n\nThe mill is closed in February.\n\n");
  EXPECT_THAT(find("owner?")[0], HasSubstr("Ada"));
  EXPECT_THAT(find("baking breads")[0], HasSubstr("rye")) << "by their stems";
  EXPECT_TRUE(find("astronomy").empty());
  EXPECT_TRUE(find("?!").empty());
}

TEST_F(SearchIndexTest, AQuestionIsNoSyntax) {
  for (const char* question : {"\"", "mill\" OR \"", "NEAR(mill", "mill*", "-mill", "(((", "a:b", "words MATCH 'x'", "mill AND",
                               "^", "\xFF mill", "m\xC3"})
    find(question);
  EXPECT_EQ(search_words("the \"mill\" NEAR (it)"), "\"the\" OR \"mill\" OR \"NEAR\" OR \"it\"");
  EXPECT_EQ(search_words(" – "), "\"–\"");
}

TEST_F(SearchIndexTest, TheSecondTimeReadsNothing) {
  find("mill");
  EXPECT_EQ(work_.read, 3u);
  EXPECT_EQ(work_.indexed, 2u);
  EXPECT_FALSE(work_.rebuilt);
  ASSERT_EQ(work_.notes.size(), 1u);
  find("mill");
  EXPECT_EQ(work_.read, 0u);
  EXPECT_EQ(work_.unchanged, 3u);
  EXPECT_THAT(work_.notes, testing::ElementsAre(HasSubstr("picture.bin: not text"))) << "told again";
  struct stat info{};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(SearchIndexTest, FollowsWhatChanges) {
  find("mill");
  write("bread.md", "Now it speaks of cheese.\n", 2);
  EXPECT_THAT(find("cheese"), testing::ElementsAre("Now it speaks of cheese.\n"));
  EXPECT_EQ(work_.indexed, 1u);
  EXPECT_TRUE(find("rye").empty());
  write("bread.md", "Now it speaks of cheese.\n", 5);  // another time, the same content
  find("mill");
  EXPECT_EQ(work_.read, 1u);
  EXPECT_EQ(work_.indexed, 0u);
  fs::remove(docs() / "mill.md");
  EXPECT_TRUE(find("mill").empty());
  EXPECT_EQ(work_.removed, 1u);
}

TEST_F(SearchIndexTest, AFileThatChangedJustNowIsLookedAtAgain) {
  write("new.md", "wheat\n", 0);
  find("wheat");
  find("wheat");
  EXPECT_EQ(work_.read, 1u);
}

TEST_F(SearchIndexTest, WhatIsNoIndexIsReplaced) {
  for (const std::string& bytes : {std::string("not a database, but long enough to be taken for one if nobody looks at it closely"),
                                   std::string(), "SQLite format 3" + std::string(200, '\0')}) {
    ASSERT_TRUE(write_file(file(), bytes));
    EXPECT_EQ(find("closed").size(), 1u);
    EXPECT_TRUE(work_.rebuilt);
  }
  fs::remove(file());
  {
    auto foreign = SqlDatabase::open(file(), SqlDatabase::Mode::create).value();
    ASSERT_TRUE(foreign.execute("CREATE TABLE files(id, key, size, modified, digest, note, seen); PRAGMA user_version = 1"));
  }
  EXPECT_EQ(find("closed").size(), 1u);
  EXPECT_TRUE(work_.rebuilt);
  {
    auto more = SqlDatabase::open(file(), SqlDatabase::Mode::create).value();
    ASSERT_TRUE(more.execute("CREATE TRIGGER words_evil AFTER UPDATE ON files BEGIN DELETE FROM chunks; END"));
  }
  EXPECT_EQ(find("closed").size(), 1u);
  EXPECT_TRUE(work_.rebuilt) << "somebody added to the schema";
  fs::remove(file());
  fs::create_symlink(folder_.path() / "elsewhere", file());
  EXPECT_EQ(find("closed").size(), 1u);
  EXPECT_FALSE(fs::exists(folder_.path() / "elsewhere")) << "the link is replaced, not followed";
}

TEST_F(SearchIndexTest, LivesThroughDamageAnywhere) {
  for (int i = 0; i < 200; ++i) write(fmt::format("more{}.md", i), fmt::format("Sack {} of the mill holds barley.\n", i));
  find("mill");
  const std::string good = read_file(file()).value();
  Random random(4);
  for (int round = 0; round < 30; ++round) {
    std::string bad = good;
    for (size_t n = 1 + random.below(200); n > 0; --n) bad[random.below(bad.size())] = static_cast<char>(random.below(256));
    if (round % 5 == 0) bad.resize(random.below(bad.size()));
    for (const char* more : {"-wal", "-shm"}) fs::remove(file().string() + more);
    ASSERT_TRUE(write_file(file(), bad));
    library_.emplace(Library::open({docs()}, {}).value());
    work_ = {};
    const auto index = SearchIndex::open(file(), *library_, {}, work_);
    ASSERT_TRUE(index) << index.error().message;
    const auto hits = index->search("closed mill", 5);  // an error is an answer too: whoever asks removes the file
    EXPECT_FALSE(work_.rebuilt && hits && hits->empty());
  }
}

TEST_F(SearchIndexTest, WorksInMemoryAndCanBeCancelled) {
  library_.emplace(Library::open({docs()}, {}).value());
  const auto index = SearchIndex::open({}, *library_, {}, work_);
  ASSERT_TRUE(index);
  EXPECT_EQ(index->search("closed", 5)->size(), 1u);
  const auto cancelled = SearchIndex::open(file(), *library_, [](double, double) { return false; }, work_);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, Errc::denied);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1) << "nothing half-made is left";
}

}  // namespace
}  // namespace quern
