// Runs longer than a context: what is taken out of a conversation, what stays, how what was taken out is read again, and how a run that goes
// round in circles ends.
#include <gmock/gmock.h>

#include "agent/context/compaction.h"
#include "agent/context/long_results.h"
#include "agent/context/repeats.h"
#include "agent/journal/journal.h"
#include "agent/loop.h"
#include "agent/scripted_model_test.h"
#include "agent/temporary_folder_test.h"
#include "agent/tools/tool_results.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string numbered(int lines, std::string_view words = "line") {
  std::string text;
  for (int i = 1; i <= lines; ++i) text += fmt::format("{} {}\n", words, i);
  return text;
}

Tool tool(std::string_view name, bool changes, Tool::Function execute) {
  Tool made;
  made.definition = tool_definition(name, "", R"({"of": {"type": "string"}})", 0);
  made.changes = changes;
  made.execute = std::move(execute);
  return made;
}

// --- long results -----------------------------------------------------------------------------------------------------------------------

TEST(PagedResults, AreReadPageByPageWithoutLossOrRepetition) {
  std::string one_line = "{";
  for (int i = 0; i < 3000; ++i) one_line += fmt::format("\"ключ{}\": {}, ", i, i);
  for (const std::string& text :
       {numbered(3000), one_line, std::string(50000, 'x'), numbered(10, std::string(5000, 'y')), std::string("\n\n\n")}) {
    ResultStore store;
    store.put(7, text);
    const Tool read = read_result_tool(store, 8 << 10);
    std::string all;
    int64_t from = 1;
    for (int pages = 0; pages < 100; ++pages) {
      Json arguments = Json::object();
      arguments["id"] = 7, arguments["from_line"] = from, arguments["lines"] = 100000;
      const ToolResult page = read.execute(arguments, {});
      ASSERT_FALSE(page.is_error) << page.text;
      EXPECT_LE(page.text.size(), size_t{9} << 10);
      const size_t footer = page.text.rfind("(lines ");
      all += page.text.substr(0, footer);
      const size_t on = page.text.find("\"from_line\": ", footer);
      if (on == std::string::npos) break;
      from = std::stoll(page.text.substr(on + 13));
    }
    std::string got = all, want = text;  // the ends of lines that were too long are new
    std::erase(got, '\n'), std::erase(want, '\n');
    EXPECT_EQ(got, want);
  }
}

TEST(PagedResults, SayWhatIsWrongWithAQuestion) {
  ResultStore store;
  store.put(3, numbered(5));
  const Tool read = read_result_tool(store, 1000);
  const auto ask = [&](std::string_view arguments) { return read.execute(Json::parse(arguments, "test").value(), {}).text; };
  EXPECT_EQ(ask(R"({"id": 4})"), "error: no result 4 is kept");
  EXPECT_EQ(ask(R"({"id": 3, "from_line": 6})"), "error: result 3 has 5 lines");
  EXPECT_EQ(ask(R"({"id": 3, "from_line": 0})"), "error: from_line and lines count from 1");
  EXPECT_EQ(ask(R"({"id": 3, "from_line": -9223372036854775808})"), "error: from_line and lines count from 1");
  EXPECT_EQ(ask(R"({"id": 3, "from_line": 2, "lines": 2})"),
            "line 2\nline 3\n(lines 2 to 3 of 5 of result 3; read_result {\"id\": 3, \"from_line\": 4} goes on)");
  EXPECT_EQ(ask(R"({"id": 3, "from_line": 5, "lines": 9223372036854775807})"), "line 5\n(lines 5 to 5 of 5 of result 3)");
}

TEST(PagedResults, BeginWithAHandle) {
  const std::string shown = beginning_of(numbered(5000), 12, 4 << 10);
  EXPECT_THAT(shown, StartsWith("line 1\nline 2\n"));
  EXPECT_THAT(
      shown,
      testing::EndsWith(
          "(result 12, 5000 lines, 47 KiB: these are lines 1 to 125; read_result {\"id\": 12, \"from_line\": 126} goes on)"));
}

// --- compaction -------------------------------------------------------------------------------------------------------------------------

RunMessage message(Role role, std::string content) {
  RunMessage m;
  m.message.role = role;
  m.message.content = std::move(content);
  return m;
}

// System, task, then turns of one call each; call i reads file i and gives a long text with "name-i".
std::vector<RunMessage> long_run(int turns) {
  std::vector<RunMessage> all = {message(Role::system, "Be good."), message(Role::user, "Do it.")};
  for (int i = 1; i <= turns; ++i) {
    all.push_back(message(Role::assistant, "so"));
    all.back().message.tool_calls.push_back({"read", Json::parse(fmt::format(R"({{"of": "file-{}"}})", i), "test").value()});
    all.push_back(message(Role::tool, fmt::format("first of {}\n", i) + numbered(200) + fmt::format("name-{}\n", i)));
    all.back().call = i;
    all.back().call_line = fmt::format("read {{\"of\": \"file-{}\"}}", i);
  }
  return all;
}

TEST(Compaction, KeepsTheTaskTheLastTurnsAndWhatTheyReferTo) {
  std::vector<RunMessage> run = long_run(10);
  run[18].message.tool_calls[0].arguments["of"] = "name-3";  // turn 9 uses what call 3 gave
  const auto plans = compaction_plans(run);
  ASSERT_EQ(plans.size(), 4U);
  const auto gentle = compacted(run, plans[0], true);
  ASSERT_EQ(gentle.size(), run.size());
  for (size_t i = 0; i < run.size(); ++i) {
    const bool shortened = run[i].call > 0 && run[i].call <= 6 && run[i].call != 3;
    EXPECT_EQ(gentle[i].message.content != run[i].message.content, shortened) << i;
  }
  EXPECT_EQ(gentle[3].message.content,
            "first of 1 …\n(this result, 202 lines, 1710 bytes, was shortened; read_result {\"id\": 1} shows it)");

  const auto used = compacted(run, plans[1], true);  // the turn that is referred to stays, whole
  ASSERT_EQ(used.size(), 2U + 2 + 1 + 8);
  EXPECT_EQ(used[3].message.content, run[7].message.content);
  EXPECT_THAT(used[4].message.content, HasSubstr("\n2. read {\"of\": \"file-2\"}: first of 2 …\n4. read"));

  const auto digested = compacted(run, plans[2], true);
  ASSERT_EQ(digested.size(), 2U + 1 + 8);
  EXPECT_EQ(digested[1].message.content, "Do it.");
  EXPECT_EQ(digested[2].message.role, Role::tool) << "tools' words are data, in a digest too";
  EXPECT_THAT(digested[2].message.content, StartsWith("(Earlier calls of this run, one line each; read_result {\"id\": N}"));
  EXPECT_THAT(digested[2].message.content, HasSubstr("\n6. read {\"of\": \"file-6\"}: first of 6 …"));
  EXPECT_EQ(digested[3].message.role, Role::assistant);
  EXPECT_EQ(compacted(run, plans.back(), true).size(), 2U + 1 + 2);
}

TEST(Compaction, OfWhatWasCompactedLosesNoLine) {
  std::vector<RunMessage> run = long_run(10);
  run = compacted(run, compaction_plans(run)[1], true);
  for (RunMessage m : long_run(16)) {
    if (m.call <= 10 && m.message.role != Role::assistant) continue;
    if (m.message.role == Role::assistant && run.back().message.role == Role::assistant) run.pop_back();
    run.push_back(std::move(m));
  }
  run = compacted(run, compaction_plans(run)[1], true);
  const std::string digest = run[2].message.content;
  for (int call = 1; call <= 12; ++call) EXPECT_THAT(digest, HasSubstr(fmt::format("\n{}. read", call)));
  EXPECT_THAT(digest, Not(HasSubstr("\n13. read")));
  EXPECT_EQ(std::count(digest.begin(), digest.end(), '('), 1) << "one heading";
}

TEST(Compaction, KeepsADigestBounded) {
  std::vector<RunMessage> run = long_run(400);
  run = compacted(run, compaction_plans(run)[1], false);
  EXPECT_LE(run[2].message.content.size(), (size_t{4} << 10) + 200);
  EXPECT_THAT(run[2].message.content, HasSubstr("more came before these.)"));
  EXPECT_THAT(run[2].message.content, HasSubstr("\n396. read"));
  EXPECT_THAT(run[2].message.content, Not(HasSubstr("read_result")));
}

TEST(Compaction, KeepsEveryWordOfTheUser) {
  std::vector<RunMessage> run = long_run(10);
  run.insert(run.begin() + 8, message(Role::user, "And mind the dog."));
  for (const CompactionPlan& plan : compaction_plans(run)) {
    std::vector<std::string> said;
    for (const RunMessage& m : compacted(run, plan, true))
      if (m.message.role == Role::user) said.push_back(m.message.content);
    EXPECT_THAT(said, ElementsAre("Do it.", "And mind the dog."));
  }
}

TEST(Compaction, IsTheSameAgainFromItsPlan) {
  const std::vector<RunMessage> run = long_run(12);
  for (const CompactionPlan& plan : compaction_plans(run)) {
    const auto again = CompactionPlan::from_json(Json::parse(plan.json().dump(), "test").value(), run.size()).value();
    const auto one = compacted(run, plan, true), two = compacted(run, again, true);
    ASSERT_EQ(one.size(), two.size());
    for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].message.content, two[i].message.content);
  }
  for (const char* wrong :
       {"{}", "[]", "1", R"({"keep_from": 99, "digest_bytes": 1})", R"({"keep_from": -1, "digest_bytes": 1})",
        R"({"keep_from": 1, "digest_bytes": 1, "keep": [99]})", R"({"keep_from": 1, "digest_bytes": 1, "keep": ["x"]})"})
    EXPECT_FALSE(CompactionPlan::from_json(Json::parse(wrong, "test").value(), 20)) << wrong;
}

// --- repetitions ------------------------------------------------------------------------------------------------------------------------

TEST(Repetitions, AreWarnedOfThenEnd) {
  Repeats repeats;
  const SeenCall look{"look {}", "nothing", false, false}, other{"look {}", "something", false, false};
  std::vector<bool> warned;
  std::optional<std::string> end;
  while (!end) {
    warned.push_back(repeats.nudges(look));
    end = repeats.count(look);
  }
  EXPECT_THAT(warned, ElementsAre(false, false, true, true, true, true));
  EXPECT_EQ(*end, "the same call gave the same result 6 times: look {}");
  EXPECT_FALSE(repeats.nudges(other)) << "another result is another thing";
  EXPECT_FALSE(repeats.count(other));
}

TEST(Repetitions, CountAnewAfterAChange) {
  Repeats repeats;
  const SeenCall look{"look {}", "nothing", false, false}, change{"add {}", "done", false, true},
      failure{"go {}", "no", true, false};
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 2; ++i) {
      EXPECT_FALSE(repeats.nudges(look));
      EXPECT_FALSE(repeats.count(look));
      EXPECT_FALSE(repeats.count(failure));
    }
    EXPECT_FALSE(repeats.count(change));
  }
  int changes = 6;  // changes have longer, but not for ever
  while (!repeats.count(change)) ++changes;
  EXPECT_EQ(changes, 12);
}

// --- in the loop ------------------------------------------------------------------------------------------------------------------------

// A model with a small context that reads file after file.
class Reader : public ScriptedModel {
 public:
  Reader(int files, int64_t context) : ScriptedModel({}), files_(files), context_(context) {}
  int64_t context() const override { return context_; }
  Result<Reply> reply(const Conversation& c, int64_t, const std::function<bool(std::string_view)>&) override {
    shown.push_back(c);
    Reply reply;
    reply.prompt_tokens = count_tokens(c).value();
    largest = std::max(largest, reply.prompt_tokens);
    if (reply.prompt_tokens >= context_) {
      reply.finish = FinishReason::context;
      return reply;
    }
    reply.text = said_ < files_ ? call_text("read", fmt::format(R"({{"of": "file-{}"}})", ++said_)) : "Done.";
    reply.tokens = 20;
    return reply;
  }
  int64_t largest = 0;

 private:
  int files_, said_ = 0;
  int64_t context_;
};

class BoundedContext : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(tools.add(tool("read", false, [this](const Json& arguments, const CallContext&) {
      ++reads;
      return ToolResult{arguments.find("of")->as_string() + "\n" + numbered(300), false};
    })));
    options.instruction = "Read all.";
    options.budget.tokens = 500;
    options.budget.turns = 1000;
  }
  ToolRegistry tools;
  LoopOptions options;
  int reads = 0;
};

TEST_F(BoundedContext, NeverFillsItsContext) {
  Reader model(150, 8000);
  const EndEvent end = run_loop(model, tools, options);
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(reads, 150);
  EXPECT_LE(model.largest, 7500);
  EXPECT_EQ(model.shown.back().messages[0].content, "Read all.");
  EXPECT_THAT(model.shown.back().messages[1].content, HasSubstr("Earlier calls"));
}

TEST_F(BoundedContext, KeepsToTheTasksOwnContextBudget) {
  Reader model(50, 100000);
  options.budget.context = 5000;
  EXPECT_EQ(run_loop(model, tools, options).status, RunStatus::success);
  EXPECT_LE(model.largest, 5000);
}

TEST_F(BoundedContext, IsCompactedTheSameWayWhenItIsResumed) {
  TemporaryFolder folder;
  Reader whole(40, 8000);
  ASSERT_EQ(run_loop(whole, tools, options).status, RunStatus::success);
  const auto journal = Journal::open(folder.path() / "journal.db").value();
  std::string id;
  {
    const auto run = journal->begin({"long", "/", Json()}).value();
    id = run->id();
    options.journal = run.get();
    options.budget.turns = 25;
    Reader first(40, 8000);
    EXPECT_EQ(run_loop(first, tools, options).reason, "the budget of 25 turns is used up");
  }
  const auto run = journal->resume(id).value();
  options.journal = run.get();
  options.budget.turns = 1000;
  class Rest : public Reader {  // goes on where the prompt ends
   public:
    explicit Rest(int already) : Reader(40, 8000), skip_(already) {}
    Result<Reply> reply(const Conversation& c, int64_t n, const std::function<bool(std::string_view)>& f) override {
      for (; skip_ > 0; --skip_) (void)Reader::reply(Conversation(), n, f);
      return Reader::reply(c, n, f);
    }
    int skip_;
  } second(25);
  ASSERT_EQ(run_loop(second, tools, options).status, RunStatus::success);
  EXPECT_EQ(prompt_text(*render(second.shown.back(), ChatFormat::instruct)),
            prompt_text(*render(whole.shown.back(), ChatFormat::instruct)));
}

TEST_F(BoundedContext, ShowsPagesOfLongResultsAndKeepsThemInTheJournal) {
  TemporaryFolder folder;
  const auto journal = Journal::open(folder.path() / "journal.db").value();
  auto run = journal->begin({"long", "/", Json()}).value();
  options.journal = run.get();
  options.long_results = LongResults::pages;
  options.result_bytes = 1000;
  const std::string read = call_text("read", R"({"of": "a"})"),
                    page = call_text("read_result", R"({"id": 1, "from_line": 290, "lines": 3})");
  ScriptedModel model({read, page, "Done."});
  ASSERT_EQ(run_loop(model, tools, options).status, RunStatus::success);
  EXPECT_EQ(model.shown[0].tools.size(), 2U) << "offered from the beginning, so that prompts begin alike";
  EXPECT_EQ(model.shown[0].tools, model.shown[2].tools);
  const auto results = model.results();
  EXPECT_THAT(results[0], HasSubstr("(result 1, 301 lines, 2594 bytes: these are lines 1 to "));
  EXPECT_EQ(
      results[1],
      "line 289\nline 290\nline 291\n(lines 290 to 292 of 301 of result 1; read_result {\"id\": 1, \"from_line\": 293} goes on)");
  EXPECT_EQ(run->output("main", 1).value(), "a\n" + numbered(300));

  options.step = "again";  // and after a resumption they are still there
  options.budget.turns = 1;
  ScriptedModel first({read, page, "Done."}), second({page, "Done."});
  run_loop(first, tools, options);
  options.budget.turns = 10;
  ASSERT_EQ(run_loop(second, tools, options).status, RunStatus::success);
  EXPECT_EQ(second.results(), results);
}

TEST_F(BoundedContext, OffersPagesOnlyWhereThereIsRoomForThem) {
  for (const int64_t context : {32768, 65536}) {
    Reader model(1, context);
    run_loop(model, tools, options);
    EXPECT_EQ(model.shown[0].tools.size(), context < 65536 ? 1U : 2U);
  }
}

TEST_F(BoundedContext, EndsWhenItGoesRoundInCircles) {
  ScriptedModel model({call_text("read", R"({"of": "a"})")});
  const EndEvent end = run_loop(model, tools, options);
  EXPECT_EQ(end.status, RunStatus::failed);
  EXPECT_EQ(end.reason, "the same call gave the same result 6 times: read {\"of\": \"a\"}");
  EXPECT_EQ(reads, 6);
  const auto results = model.results();
  EXPECT_THAT(results[1], Not(HasSubstr("The same call")));
  EXPECT_THAT(results[2], HasSubstr("(The same call has given this very result before."));
}

}  // namespace
}  // namespace quern
