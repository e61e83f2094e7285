// A run that was cut off, at whatever moment, and continued: what was done is not done again, what the model sees is what it would have
// seen, to the byte, and every call whose fate is unknown is either harmless to repeat or asked about.
#include <gmock/gmock.h>

#include <thread>

#include "agent/journal/step_journal.h"
#include "agent/loop.h"
#include "agent/scripted_model_test.h"
#include "agent/temporary_folder_test.h"
#include "agent/tools/tool_results.h"
#include "base/file.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Kill {};  // thrown out of the loop: the process is gone, what the journal holds is all there is

Tool tool(std::string_view name, bool changes, bool idempotent, Tool::Function execute) {
  Tool made;
  made.definition = tool_definition(name, "", R"({"x": {"type": "integer"}})", 0);
  made.changes = changes;
  made.idempotent = idempotent;
  made.execute = std::move(execute);
  return made;
}

class Resume : public testing::Test {
 protected:
  void SetUp() override {
    add("look", false, false), add("add", true, false), add("set", true, true);
    options.instruction = "Count with add, set and look.";
    options.system = "Be good.";
    options.changes = ChangePolicy::allow;
    options.on_event = [this](const Event& event) {
      types.push_back(event_json(event).find("type")->as_string());
      if (const auto* resumed = std::get_if<ResumeEvent>(&event)) resume = *resumed;
      if (kill_at && types.size() == kill_at) throw Kill();
    };
  }
  void add(const std::string& name, bool changes, bool idempotent) {
    ASSERT_TRUE(tools.add(tool(name, changes, idempotent, [this, name](const Json& arguments, const CallContext&) {
      if (kill_before == name) throw Kill();
      log.push_back(name + (arguments.find("x") ? arguments.find("x")->dump() : ""));
      if (kill_after == name) throw Kill();
      return ToolResult{fmt::format("{} is done, {}", name, log.size()), false};
    })));
  }
  // One process: a new journal connection, and a model that says what a model would say that remembers nothing but its prompt.
  EndEvent process(std::vector<std::string> lines) {
    types.clear();
    resume = {};
    const auto journal = Journal::open(path).value();
    auto run = id.empty() ? journal->begin({"count", "/", Json()}) : journal->resume(id);
    EXPECT_TRUE(run) << run.error().message;
    id = (*run)->id();
    options.journal = run->get();
    struct ByTurn : ScriptedModel {
      explicit ByTurn(std::vector<std::string> said) : ScriptedModel({}), texts(std::move(said)) {}
      Result<Reply> reply(const Conversation& c, int64_t max, const std::function<bool(std::string_view)>& on_token) override {
        size_t turn = 0;
        for (const Message& m : c.messages) turn += m.role == Role::assistant;
        shown.push_back(c);
        Reply reply;
        reply.text = texts[std::min(turn, texts.size() - 1)];
        reply.finish = on_token(reply.text) ? FinishReason::stop : FinishReason::cancelled;
        reply.tokens = 5, reply.prompt_tokens = max > 0 ? 10 : 0;
        return reply;
      }
      std::vector<std::string> texts;
    } model(std::move(lines));
    try {
      EndEvent end = run_loop(model, tools, options);
      shown = model.shown;
      return end;
    } catch (const Kill&) {
      shown = model.shown;
      EndEvent killed;
      killed.reason = "killed";
      return killed;
    }
  }
  std::string prompt() const { return prompt_text(*render(shown.back(), ChatFormat::instruct)); }

  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "journal.db";
  ToolRegistry tools;
  LoopOptions options;
  std::string id, kill_before, kill_after;
  size_t kill_at = 0;
  std::vector<std::string> log, types;
  std::vector<Conversation> shown;
  ResumeEvent resume;
};

std::string say(std::string_view name, int x) { return call_text(name, fmt::format(R"({{"x": {}}})", x)); }

const std::vector<std::string> kLines = {"First.\n" + say("add", 1) + "\n" + say("look", 2),
                                         "<tool_call>{\"arguments\":{\"x\" : 3}, \"name\":\"set\"} </tool_call> ", say("oops", 4),
                                         say("add", 5), "Done."};

TEST_F(Resume, AfterEachEventIsAsIfNothingHadHappened) {
  const EndEvent straight = process(kLines);
  ASSERT_EQ(straight.status, RunStatus::success) << straight.reason;
  const auto want_log = log;
  EXPECT_THAT(log, ElementsAre("add1", "look2", "set3", "add5"));
  const std::string want_prompt = prompt();
  const size_t events = types.size();
  for (size_t at = 1; at < events; ++at) {
    SCOPED_TRACE(fmt::format("killed at event {}", at));
    id.clear(), log.clear();
    kill_at = at;
    ASSERT_EQ(process(kLines).reason, "killed");
    kill_at = 0;
    const EndEvent end = process(kLines);
    EXPECT_EQ(end.status, RunStatus::success) << end.reason;
    EXPECT_EQ(end.run, id);
    EXPECT_EQ(log, want_log);
    EXPECT_EQ(end.answer, "Done.");
    EXPECT_EQ(end.counts.calls, straight.counts.calls);
    EXPECT_EQ(end.counts.turns, straight.counts.turns);
    EXPECT_EQ(end.counts.malformed, 1);
    EXPECT_EQ(end.counts.changes, 3);
    EXPECT_TRUE(resume.same_prompt);
    EXPECT_TRUE(shown.empty() || prompt() == want_prompt) << prompt();
  }
}

TEST_F(Resume, AfterManyKillsStillEnds) {
  for (size_t at = 3; log.size() < 4; ++at) {  // each process comes a little further
    ASSERT_LT(at, 20U);
    kill_at = 4;
    process(kLines);
  }
  kill_at = 0;
  EXPECT_EQ(process(kLines).status, RunStatus::success);
  EXPECT_THAT(log, ElementsAre("add1", "look2", "set3", "add5"));
}

TEST_F(Resume, RepeatsACallThatWasCutOffIfItReadsOrIsIdempotent) {
  for (const bool after : {false, true})
    for (const std::string name : {"look", "set"}) {
      id.clear(), log.clear();
      (after ? kill_after : kill_before) = name;
      ASSERT_EQ(process(kLines).reason, "killed");
      kill_before.clear(), kill_after.clear();
      ASSERT_EQ(process(kLines).status, RunStatus::success);
      EXPECT_EQ(std::count(log.begin(), log.end(), name == "look" ? "look2" : "set3"), after ? 2 : 1);
      EXPECT_EQ(std::count(log.begin(), log.end(), "add1"), 1);
    }
}

TEST_F(Resume, AsksAboutAnyOtherCallThatWasCutOff) {
  const auto cut_off = [&] {
    id.clear(), log.clear();
    options.in_doubt = {};
    kill_after = "add";
    EXPECT_EQ(process(kLines).reason, "killed");
    kill_after.clear();
  };
  cut_off();
  EndEvent end = process(kLines);  // nobody is there to say
  EXPECT_EQ(end.status, RunStatus::failed);
  EXPECT_THAT(end.reason, HasSubstr("cut off during call 1 (add)"));
  EXPECT_EQ(end.reason.find('\n'), std::string::npos);
  EXPECT_THAT(log, ElementsAre("add1"));

  InDoubt answer = InDoubt::quit;
  int asked = 0;
  options.in_doubt = [&](const Tool& tool, const ToolCall& call) {
    EXPECT_EQ(tool.name(), "add");
    EXPECT_EQ(call.arguments.dump(), R"({"x": 1})");
    ++asked;
    return answer;
  };
  EXPECT_EQ(process(kLines).status, RunStatus::cancelled);
  EXPECT_THAT(log, ElementsAre("add1"));
  answer = InDoubt::done;
  end = process(kLines);
  EXPECT_EQ(end.status, RunStatus::success);
  EXPECT_THAT(log, ElementsAre("add1", "look2", "set3", "add5"));
  EXPECT_EQ(asked, 2);
  EXPECT_THAT(shown.back().messages[3].content, HasSubstr("done (the run was interrupted"));

  cut_off();
  answer = InDoubt::repeat;
  options.in_doubt = [&](const Tool&, const ToolCall&) { return answer; };
  EXPECT_EQ(process(kLines).status, RunStatus::success);
  EXPECT_THAT(log, ElementsAre("add1", "add1", "look2", "set3", "add5"));

  cut_off();
  answer = InDoubt::failed;
  options.in_doubt = [&](const Tool&, const ToolCall&) { return answer; };
  end = process(kLines);
  EXPECT_EQ(end.status, RunStatus::success);
  EXPECT_EQ(end.counts.errors, 2);
  EXPECT_THAT(log, ElementsAre("add1", "look2", "set3", "add5"));
}

TEST_F(Resume, AsksNothingTwiceThatWasAnswered) {
  options.changes = ChangePolicy::ask;
  int asked = 0;
  options.confirm = [&](const Tool&, const ToolCall&) { return ++asked, Decision::yes; };
  kill_before = "set";
  ASSERT_EQ(process(kLines).reason, "killed");
  EXPECT_EQ(asked, 2);
  kill_before.clear();
  ASSERT_EQ(process(kLines).status, RunStatus::success);
  EXPECT_EQ(asked, 3);
}

TEST_F(Resume, OfAFinishedStepGivesItsAnswerWithoutAModel) {
  ASSERT_EQ(process(kLines).status, RunStatus::success);
  const EndEvent end = process(kLines);
  EXPECT_EQ(end.status, RunStatus::success);
  EXPECT_EQ(end.answer, "Done.");
  EXPECT_TRUE(shown.empty());
  EXPECT_EQ(log.size(), 4U);
}

TEST_F(Resume, OfAnotherTaskIsRefusedAndOfOtherToolsIsTold) {
  kill_at = 8;
  process(kLines);
  kill_at = 0;
  options.instruction = "Something else.";
  EXPECT_THAT(process(kLines).reason, HasSubstr("was begun with another task"));
  options.instruction = "Count with add, set and look.";
  add("more", false, false);
  EXPECT_EQ(process(kLines).status, RunStatus::success);
  EXPECT_FALSE(resume.same_prompt);
}

TEST_F(Resume, KeepsItsBudgets) {
  kill_at = 8;
  process(kLines);
  kill_at = 0;
  options.budget.turns = 2;
  EXPECT_EQ(process(kLines).reason, "the budget of 2 turns is used up");
  EXPECT_THAT(log, ElementsAre("add1", "look2", "set3"));
  options.budget.turns = 60;
  EXPECT_EQ(process(kLines).status, RunStatus::success) << "with more turns it goes on";
}

TEST_F(Resume, GoesOnAfterAnInterruptionInEachPhase) {
  bool interrupted = false;
  options.cancelled = [&] { return interrupted; };
  const auto on_event = options.on_event;
  const auto expect_resumable = [&] {
    interrupted = false;
    options.on_text = {}, options.confirm = {}, options.check = {}, options.on_event = on_event;
    options.changes = ChangePolicy::allow;
    const EndEvent end = process(kLines);
    EXPECT_EQ(end.status, RunStatus::success) << end.reason;
    EXPECT_THAT(log, ElementsAre("add1", "look2", "set3", "add5"));
    id.clear(), log.clear();
  };
  {
    SCOPED_TRACE("decode");
    options.on_text = [&](std::string_view) { interrupted = true; };
    const EndEvent end = process(kLines);
    EXPECT_EQ(end.status, RunStatus::cancelled);
    EXPECT_EQ(end.reason, "interrupted");
    expect_resumable();
  }
  {
    SCOPED_TRACE("between calls");
    options.on_event = [&](const Event& event) {
      on_event(event);
      interrupted = interrupted || std::holds_alternative<ResultEvent>(event);
    };
    EXPECT_EQ(process(kLines).reason, "interrupted");
    expect_resumable();
  }
  {
    SCOPED_TRACE("confirm");
    options.changes = ChangePolicy::ask;
    options.confirm = [&](const Tool&, const ToolCall&) { return interrupted = true, Decision::quit; };
    EXPECT_EQ(process(kLines).reason, "interrupted");
    EXPECT_TRUE(log.empty());
    expect_resumable();
  }
  {
    SCOPED_TRACE("check");
    options.check = [&](const std::string&) -> Result<CheckResult> { return interrupted = true, CheckResult{false, ""}; };
    EXPECT_EQ(process(kLines).reason, "interrupted");
    expect_resumable();
  }
}

// A tool that is cut off says so with an error, which tells nothing about what it did.
TEST_F(Resume, LeavesACallThatWasInterruptedInDoubt) {
  bool interrupted = false;
  options.cancelled = [&] { return interrupted; };
  for (const bool changes : {false, true}) {
    id.clear();
    int times = 0;
    const std::string name = changes ? "slow_change" : "slow_look";
    ASSERT_TRUE(tools.add(tool(name, changes, false, [&](const Json&, const CallContext& context) {
      if (++times > 1) return ToolResult{"finished", false};
      interrupted = true;
      return context.is_cancelled() ? ToolResult{"error: interrupted", true} : ToolResult{"?", false};
    })));
    const std::vector<std::string> lines = {say(name, 1), "Done."};
    options.instruction = "Use slow_change.";
    EXPECT_EQ(process(lines).reason, "interrupted");
    interrupted = false;
    const EndEvent end = process(lines);
    EXPECT_EQ(end.status, changes ? RunStatus::failed : RunStatus::success) << end.reason;
    EXPECT_EQ(times, changes ? 1 : 2);
    EXPECT_EQ(end.reason.find("cut off during call 1 (slow_change)") != std::string::npos, changes) << end.reason;
  }
}

TEST_F(Resume, DoesNothingThatCannotBeRecorded) {
  const auto journal = Journal::open(path).value();
  auto run = journal->begin({"count", "/", Json()}).value();
  options.journal = run.get();
  auto other = SqlDatabase::open(path, SqlDatabase::Mode::create).value();
  for (const char* kind : {"begin", "turn", "decision", "call", "result", "finished"}) {
    log.clear();
    options.step = kind;
    ASSERT_TRUE(
        other.execute(fmt::format("CREATE TRIGGER full BEFORE INSERT ON records WHEN NEW.kind = '{}' BEGIN "
                                  "SELECT RAISE(FAIL, 'database or disk is full'); END",
                                  kind)));
    options.changes = ChangePolicy::ask;
    options.confirm = [](const Tool&, const ToolCall&) { return Decision::yes; };
    ScriptedModel model(kLines);
    const EndEvent end = run_loop(model, tools, options);
    EXPECT_EQ(end.status, RunStatus::failed) << kind;
    EXPECT_THAT(end.reason, HasSubstr("database or disk is full"));
    EXPECT_EQ(end.reason.find('\n'), std::string::npos);
    if (std::string_view(kind) == "finished")
      EXPECT_EQ(log.size(), 4U);
    else if (std::string_view(kind) == "result")
      EXPECT_THAT(log, ElementsAre("add1")) << "and its result is unknown";
    else
      EXPECT_TRUE(log.empty()) << kind;
    ASSERT_TRUE(other.execute("DROP TRIGGER full"));
  }
}

TEST_F(Resume, OfADamagedOrForgedRecordIsAnErrorOfOneLine) {
  kill_at = 8;
  process(kLines);
  kill_at = 0;
  for (const char* sql :
       {"UPDATE records SET data = '{}' WHERE kind = 'turn'", "UPDATE records SET data = '[]' WHERE kind = 'result'",
        "UPDATE records SET data = json_set(data, '$.name', 'set') WHERE kind = 'result'",
        "UPDATE records SET data = json_set(data, '$.finish', 'odd') WHERE kind = 'turn'",
        "DELETE FROM records WHERE kind = 'begin'",
        "UPDATE records SET kind = 'checkpoint', data = '{\"file\": \"../../etc/passwd\"}' WHERE kind = 'call'"}) {
    {
      auto database = SqlDatabase::open(path, SqlDatabase::Mode::create).value();
      ASSERT_TRUE(database.execute("PRAGMA wal_checkpoint(TRUNCATE)"));
    }
    const auto whole = read_file(path).value();
    {
      auto database = SqlDatabase::open(path, SqlDatabase::Mode::create).value();
      ASSERT_TRUE(database.execute(sql)) << sql;
    }
    const EndEvent end = process(kLines);
    EXPECT_EQ(end.status, RunStatus::failed) << sql;
    EXPECT_THAT(end.reason, testing::AnyOf(HasSubstr("journal: "), HasSubstr("begun with another task"))) << sql;
    EXPECT_EQ(end.reason.find('\n'), std::string::npos);
    ASSERT_TRUE(write_file(path, whole));
    for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
  }
  EXPECT_EQ(process(kLines).status, RunStatus::success);
}

// A clock that was set back changes nothing: runs and records are ordered by their numbers.
TEST_F(Resume, DoesNotLookAtTheClock) {
  kill_at = 8;
  process(kLines);
  kill_at = 0;
  {
    auto database = SqlDatabase::open(path, SqlDatabase::Mode::create).value();
    ASSERT_TRUE(database.execute("UPDATE runs SET began = 99999999999"));
  }
  const std::string first = id;
  EXPECT_EQ(process(kLines).status, RunStatus::success);
  id.clear();
  EXPECT_EQ(process(kLines).status, RunStatus::success);
  const auto runs = Journal::open(path).value()->runs().value();
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].id, id);
  EXPECT_EQ(runs[1].id, first);
}

TEST_F(Resume, RunsShareAJournal) {
  std::vector<std::thread> threads;
  std::vector<EndEvent> ends(3);
  for (size_t t = 0; t < ends.size(); ++t)
    threads.emplace_back([&, t] {
      ToolRegistry own;
      int done = 0;
      for (const char* name : {"look", "add", "set"})
        ASSERT_TRUE(own.add(tool(name, true, false, [&](const Json&, const CallContext&) {
          return ToolResult{fmt::format("done {}", ++done), false};
        })));
      const auto journal = Journal::open(path).value();
      const auto run = journal->begin({"count", "/", Json()}).value();
      LoopOptions mine;
      mine.instruction = "Count with add, set and look.";
      mine.changes = ChangePolicy::allow;
      mine.journal = run.get();
      ScriptedModel model(kLines);
      ends[t] = run_loop(model, own, mine);
    });
  for (std::thread& thread : threads) thread.join();
  for (const EndEvent& end : ends) {
    EXPECT_EQ(end.status, RunStatus::success) << end.reason;
    const auto records = Journal::open(path).value()->records(end.run).value();
    EXPECT_EQ(std::count_if(records.begin(), records.end(), [](const auto& r) { return r.kind == JournalKind::result; }), 5);
    EXPECT_TRUE(
        std::is_sorted(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.sequence < b.sequence; }));
  }
}

// A model whose state takes up room, or cannot be saved at all.
class Stateful : public ScriptedModel {
 public:
  explicit Stateful(bool full) : ScriptedModel(kLines), full_(full) {}
  Result<void> save_state(const std::filesystem::path& path) const override {
    ++saves;
    return full_ ? fail(Errc::io, "{}: no space left", path.string()) : write_file(path, "state");
  }
  Result<void> restore_state(const std::filesystem::path& path) override {
    restored.push_back(path.filename());
    return read_file(path) == std::string("state") ? Result<void>() : fail(Errc::malformed, "{}: damaged", path.string());
  }
  mutable int saves = 0;
  std::vector<std::filesystem::path> restored;

 private:
  bool full_;
};

TEST_F(Resume, GoesOnWithoutStatesThatCannotBeSavedOrRead) {
  const auto journal = Journal::open(path).value();
  options.checkpoint_after_s = 0;
  {
    const auto run = journal->begin({"count", "/", Json()}).value();
    options.journal = run.get();
    Stateful model(/*full=*/true);
    EXPECT_EQ(run_loop(model, tools, options).status, RunStatus::success);
    EXPECT_EQ(model.saves, 1) << "once is enough to know";
  }
  const auto run = journal->begin({"count", "/", Json()}).value();
  options.journal = run.get();
  options.budget.turns = 4;
  Stateful first(false), second(false);
  EXPECT_EQ(run_loop(first, tools, options).status, RunStatus::failed);
  const auto files = [&] {
    std::vector<std::filesystem::path> states;
    for (const auto& entry : std::filesystem::directory_iterator(run->folder()))
      if (entry.path().extension() == ".state") states.push_back(entry.path());
    std::sort(states.begin(), states.end());
    return states;
  };
  ASSERT_EQ(files().size(), 2U);
  ASSERT_TRUE(write_file(files().back(), "damaged"));
  const std::string half = files().back().string() + ".tmp-abcdef";  // what a kill in the middle of saving leaves
  ASSERT_TRUE(write_file(half, "half"));
  options.budget.turns = 60;
  EXPECT_EQ(run_loop(second, tools, options).status, RunStatus::success);
  EXPECT_EQ(second.restored.size(), 2U) << "the newest, then the one before";
  EXPECT_TRUE(resume.state);
  EXPECT_TRUE(files().empty());
  EXPECT_FALSE(std::filesystem::exists(half));
}

}  // namespace
}  // namespace quern
