// What a journal promises: what is recorded survives, in order; one process holds a run; damage and foreign files are one line.
#include "agent/journal/journal.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "agent/temporary_folder_test.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class JournalTest : public testing::Test {
 protected:
  std::shared_ptr<Journal> open() const {
    auto journal = Journal::open(path);
    EXPECT_TRUE(journal) << journal.error().message;
    return std::move(*journal);
  }
  // What the other process, which gets `work` as its whole life, ends with.
  template <class Work>
  static int in_another_process(const Work& work) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work());
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  static bool one_line(const Error& error) { return !error.message.empty() && error.message.find('\n') == std::string::npos; }

  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "state/journal.db";
  RunDescription description{"Tidy folder!", "/tmp/x", Json::parse(R"({"task": "tidy", "n": 1.0})", "test").value()};
};

TEST_F(JournalTest, KeepsWhatIsRecordedInOrder) {
  std::string id;
  const std::string bytes("a\0\xFF<tool_call>", 14);
  {
    const auto run = open()->begin(description).value();
    id = run->id();
    EXPECT_EQ(run->progress("main")->state, StepState::not_begun);
    EXPECT_EQ(run->record("main", JournalKind::turn, 1, Json::parse(R"({"x":1.50})", "test").value(), bytes).value(), 1);
    EXPECT_EQ(run->record("steps/1", JournalKind::call, 1, Json("x")).value(), 2);
    EXPECT_EQ(run->record("main", JournalKind::call, 1, Json()).value(), 3);
    ASSERT_TRUE(run->finish_step("steps/1", Json("out")));
  }
  const auto run = open()->resume(id).value();
  EXPECT_EQ(run->description().name, description.name);
  EXPECT_EQ(run->description().root, description.root);
  EXPECT_EQ(run->description().task.dump(), description.task.dump());
  const StepProgress main = run->progress("main").value();
  EXPECT_EQ(main.state, StepState::partial);
  ASSERT_EQ(main.records.size(), 2U);
  EXPECT_EQ(main.records[0].kind, JournalKind::turn);
  EXPECT_EQ(main.records[0].text, bytes);
  EXPECT_EQ(main.records[0].data.dump(), R"({"x": 1.50})");
  EXPECT_LT(main.records[0].sequence, main.records[1].sequence);
  const StepProgress step = run->progress("steps/1").value();
  EXPECT_EQ(step.state, StepState::finished);
  EXPECT_EQ(step.output, Json("out"));
  EXPECT_FALSE(run->finish_step("steps/1", Json("again")));
  EXPECT_EQ(run->record("main", JournalKind::check, 0, Json()).value(), 5) << "a number is never given twice";
  EXPECT_EQ(open()->records(id)->size(), 5U);
}

TEST_F(JournalTest, KeepsLongOutputsByNumber) {
  const auto run = open()->begin(description).value();
  ASSERT_TRUE(run->record("main", JournalKind::output, 3, Json(), std::string(1 << 20, 'x')));
  EXPECT_EQ(run->output("main", 3)->size(), size_t{1} << 20);
  EXPECT_EQ(run->output("main", 4).error().code, Errc::not_found);
  EXPECT_EQ(run->output("other", 3).error().code, Errc::not_found);
}

TEST_F(JournalTest, NamesRunsReadablyAndTellsOfThem) {
  const auto journal = open();
  const auto first = journal->begin(description).value();
  EXPECT_THAT(first->id(), testing::MatchesRegex("tidy-folder-[a-z0-9]{4}"));
  const auto second = journal->begin({"日本", "/tmp", Json()}).value();
  EXPECT_THAT(second->id(), testing::MatchesRegex("run-[a-z0-9]{4}"));
  ASSERT_TRUE(first->record("main", JournalKind::turn, 1, Json()));
  ASSERT_TRUE(first->record("main", JournalKind::call, 1, Json()));
  ASSERT_TRUE(second->end(RunState::failed, "why not"));
  const auto runs = journal->runs().value();
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].state, RunState::failed);
  EXPECT_EQ(runs[0].reason, "why not");
  EXPECT_EQ(runs[1].id, first->id());
  EXPECT_EQ(runs[1].state, RunState::running);
  EXPECT_EQ(runs[1].process, ::getpid());
  EXPECT_EQ(runs[1].turns, 1);
  EXPECT_EQ(runs[1].calls, 1);
  EXPECT_EQ(journal->runs(1)->size(), 1U);
}

TEST_F(JournalTest, ARunThatSucceededLeavesNoFilesAndIsNotResumed) {
  const auto journal = open();
  auto run = journal->begin(description).value();
  const std::string id = run->id();
  const auto kept = run->folder();
  std::ofstream(kept / "state") << "x";
  ASSERT_TRUE(run->end(RunState::failed, "for now"));
  EXPECT_TRUE(std::filesystem::exists(kept / "state"));
  run.reset();
  run = journal->resume(id).value();
  ASSERT_TRUE(run->end(RunState::success, ""));
  EXPECT_FALSE(std::filesystem::exists(kept));
  run.reset();
  EXPECT_EQ(journal->resume(id).error().code, Errc::mismatch);
  EXPECT_EQ(journal->resume("no-such-run").error().code, Errc::not_found);
  EXPECT_EQ(journal->resume("../../etc").error().code, Errc::not_found);
}

TEST_F(JournalTest, OnlyTheNewestRunsKeepTheirFiles) {
  const auto journal = open();
  const auto held = journal->begin(description).value();  // old in the end, but somebody is at it
  std::vector<std::string> ids;
  for (int64_t i = 0; i < Journal::kFoldersKept + 3; ++i) {
    const auto run = journal->begin(description).value();
    std::ofstream(run->folder() / "state") << "x";
    ids.push_back(run->id());
  }
  const auto last = journal->begin(description).value();
  EXPECT_TRUE(std::filesystem::exists(held->folder()));
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(std::filesystem::exists(path.string() + ".d/" + ids[i]), i >= 3) << i;
  EXPECT_TRUE(journal->resume(ids[0]));
}

TEST_F(JournalTest, OneProcessHoldsARunUntilItEnds) {
  const auto run = open()->begin(description).value();
  const auto try_resume = [&] {
    const auto other = Journal::open(path);
    const auto got = (*other)->resume(run->id());
    if (got) return 1;
    return got.error().message == fmt::format("run {}: process {} is at it", run->id(), ::getppid()) ? 0 : 2;
  };
  EXPECT_EQ(in_another_process(try_resume), 0);
}

TEST_F(JournalTest, AKilledProcessHoldsNothing) {
  const auto journal = open();
  std::string id;
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto own = Journal::open(path);
    const auto run = (*own)->begin(description);
    (void)(*run)->record("main", JournalKind::call, 1, Json("before"));
    (void)!::write(pipe[1], (*run)->id().data(), (*run)->id().size());
    for (;;) ::pause();
  }
  char name[64];
  const ssize_t got = ::read(pipe[0], name, sizeof name);
  ASSERT_GT(got, 0);
  id.assign(name, static_cast<size_t>(got));
  EXPECT_EQ(journal->summary(id)->state, RunState::running);
  EXPECT_EQ(journal->resume(id).error().code, Errc::denied);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(journal->summary(id)->state, RunState::interrupted);
  const auto run = journal->resume(id);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ((*run)->progress("main")->records.size(), 1U);
  ::close(pipe[0]), ::close(pipe[1]);
}

TEST_F(JournalTest, ProcessesWriteToOneJournalAtTheSameTime) {
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    const pid_t child = ::fork();
    if (child == 0) {  // the first of all makes the file
      const auto journal = Journal::open(path);
      if (!journal) ::_exit(1);
      const auto run = (*journal)->begin(description);
      if (!run) ::_exit(2);
      for (int i = 1; i <= 25; ++i)
        if (!(*run)->record("main", JournalKind::call, i, Json())) ::_exit(3);
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  const auto journal = open();
  const auto runs = journal->runs().value();
  ASSERT_EQ(runs.size(), 4U);
  for (const RunSummary& run : runs) {
    const auto records = journal->records(run.id).value();
    ASSERT_EQ(records.size(), 25U);
    for (size_t i = 1; i < records.size(); ++i) {
      EXPECT_LT(records[i - 1].sequence, records[i].sequence);
      EXPECT_EQ(records[i].number, records[i - 1].number + 1);
    }
  }
}

TEST_F(JournalTest, RefusesNewerOnesAndOtherFiles) {
  open();
  {
    auto database = SqlDatabase::open(path, SqlDatabase::Mode::create).value();
    ASSERT_TRUE(database.execute("PRAGMA user_version = 2"));
  }
  const auto newer = Journal::open(path);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, Errc::unsupported);
  EXPECT_THAT(newer.error().message, HasSubstr("a newer quern (version 2 of its format, this one reads up to 1)"));

  const auto other = folder.path() / "other.db";
  {
    auto database = SqlDatabase::open(other, SqlDatabase::Mode::create).value();
    ASSERT_TRUE(database.execute("CREATE TABLE bookmarks (x)"));
  }
  EXPECT_THAT(Journal::open(other).error().message, HasSubstr("a database, but not a journal of quern"));
  std::ofstream(folder.path() / "text") << std::string(3000, 'x');
  EXPECT_EQ(Journal::open(folder.path() / "text").error().code, Errc::malformed);
  EXPECT_EQ(Journal::open("/proc/none/journal.db").error().code, Errc::io);
}

TEST_F(JournalTest, ADamagedFileIsAnErrorOfOneLine) {
  std::string id;
  {
    const auto run = open()->begin(description).value();
    id = run->id();
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(run->record("main", JournalKind::call, i, Json(std::string(2000, 'x')), "t"));
  }
  const auto size = std::filesystem::file_size(path);
  {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    for (size_t at = 4096; at + 100 < size; at += 4096)
      file.seekp(static_cast<std::streamoff>(at)).write(std::string(100, '\xEE').data(), 100);
  }
  const auto journal = Journal::open(path);
  if (!journal) {
    EXPECT_TRUE(one_line(journal.error()));
    return;
  }
  const auto run = (*journal)->resume(id);
  if (!run) {
    EXPECT_TRUE(one_line(run.error())) << run.error().message;
    return;
  }
  const auto progress = (*run)->progress("main");
  ASSERT_FALSE(progress);
  EXPECT_TRUE(one_line(progress.error())) << progress.error().message;
}

TEST_F(JournalTest, WhatSomebodyForgedInItIsAnError) {
  const auto journal = open();
  std::string id;
  {
    const auto run = journal->begin(description).value();
    id = run->id();
    ASSERT_TRUE(run->record("main", JournalKind::call, 1, Json()));
  }
  auto database = SqlDatabase::open(path, SqlDatabase::Mode::create).value();
  ASSERT_TRUE(database.execute("UPDATE records SET data = '{' "));
  EXPECT_EQ(journal->records(id).error().code, Errc::malformed);
  ASSERT_TRUE(database.execute("UPDATE records SET data = '1', kind = 'odd'"));
  EXPECT_THAT(journal->records(id).error().message, HasSubstr("unknown kind odd"));
  ASSERT_TRUE(database.execute("UPDATE runs SET id = '../../up'"));
  EXPECT_EQ(journal->resume("../../up").error().code, Errc::malformed);
  EXPECT_EQ(journal->runs().error().code, Errc::malformed);
}

TEST_F(JournalTest, AFullDiskIsAnErrorAndWhatWasThereStays) {
  std::string id;
  {
    const auto run = open()->begin(description).value();
    id = run->id();
    ASSERT_TRUE(run->record("main", JournalKind::call, 1, Json()));
  }
  const int said = in_another_process([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{128 << 10, 128 << 10};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto journal = Journal::open(path);
    if (!journal) return 1;
    const auto run = (*journal)->resume(id);
    if (!run) return 2;
    for (int i = 2; i < 100; ++i)
      if (const auto done = (*run)->record("main", JournalKind::call, i, Json(), std::string(8 << 10, 'x')); !done)
        return one_line(done.error()) && done.error().code == Errc::io ? 0 : 4;
    return 3;
  });
  EXPECT_EQ(said, 0);
  const auto run = open()->resume(id);
  ASSERT_TRUE(run) << run.error().message;
  const auto records = (*run)->progress("main")->records;
  ASSERT_GE(records.size(), 2U);
  for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i].number, static_cast<int64_t>(i) + 1);
  EXPECT_TRUE((*run)->record("main", JournalKind::call, 100, Json()));
}

TEST_F(JournalTest, OldRunsAreRemovedOnRequest) {
  const auto journal = open();
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) {
    const auto run = journal->begin(description).value();
    ids.push_back(run->id());
    ASSERT_TRUE(run->record("main", JournalKind::call, 1, Json(), std::string(100'000, 'x')));
    ASSERT_TRUE(write_file(run->folder() / "x.state", "state"));
    if (i == 1) {
      ASSERT_TRUE(run->end(RunState::failed, "no"));
    }
  }
  auto held = journal->resume(ids[0]).value();
  {
    auto database = SqlDatabase::open(path, SqlDatabase::Mode::create).value();
    ASSERT_TRUE(database.execute("UPDATE runs SET began = number * 100"));  // 100, 200, 300, 400
  }
  const auto names = [](const Result<std::vector<RunSummary>>& runs) {
    std::vector<std::string> all;
    for (const RunSummary& run : runs.value()) all.push_back(run.id);
    return all;
  };
  EXPECT_THAT(names(journal->prune(400, Journal::Prune::preview)), testing::ElementsAre(ids[1], ids[2]));
  EXPECT_EQ(journal->runs()->size(), 4U);
  const auto before = std::filesystem::file_size(path);
  EXPECT_THAT(names(journal->prune(400, Journal::Prune::act)), testing::ElementsAre(ids[1], ids[2]));
  EXPECT_THAT(names(journal->runs()), testing::ElementsAre(ids[3], ids[0])) << "one is held, one is not old enough";
  EXPECT_EQ(journal->resume(ids[1]).error().code, Errc::not_found);
  EXPECT_TRUE(journal->records(ids[2])->empty());
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".d/" + ids[2]));
  EXPECT_TRUE(std::filesystem::exists(held->folder() / "x.state"));
  EXPECT_TRUE(held->record("main", JournalKind::call, 2, Json()));
  EXPECT_LE(std::filesystem::file_size(path), before);
  held.reset();
  EXPECT_EQ(names(journal->prune(1'000'000, Journal::Prune::act)).size(), 2U);
  EXPECT_TRUE(journal->runs()->empty());
  EXPECT_TRUE(names(journal->prune(1'000'000, Journal::Prune::act)).empty());
}

TEST(JournalPlace, FollowsTheXdgRules) {
  EXPECT_EQ(Journal::default_path("/state", "/home/a")->string(), "/state/quern/journal.db");
  EXPECT_EQ(Journal::default_path("relative", "/home/a")->string(), "/home/a/.local/state/quern/journal.db");
  EXPECT_EQ(Journal::default_path(nullptr, "/home/a")->string(), "/home/a/.local/state/quern/journal.db");
  EXPECT_EQ(Journal::default_path(nullptr, nullptr).error().code, Errc::not_found);
}

}  // namespace
}  // namespace quern
