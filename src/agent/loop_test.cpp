#include "agent/loop.h"

#include <gmock/gmock.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "agent/scripted_model_test.h"
#include "agent/temporary_folder_test.h"
#include "agent/tools/file_tools.h"
#include "base/file.h"
#include "base/system_error.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class AgentLoop : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(write_file(top.path() / "a.txt", "A"));
    ASSERT_TRUE(add_file_tools(tools, top.path()));
    options.instruction = "Do it.";
    options.system = "Be good.";
    options.changes = ChangePolicy::allow;
    options.on_event = [this](const Event& event) {
      const Json json = event_json(event);
      types.push_back(json.find("type")->as_string());
      events.push_back(event);
    };
  }
  EndEvent run(ScriptedModel& model) { return run_loop(model, tools, options); }
  bool has(const std::string& name) const { return std::filesystem::exists(top.path() / name); }

  TemporaryFolder top;
  ToolRegistry tools;
  LoopOptions options;
  std::vector<std::string> types;
  std::vector<Event> events;
};

const std::string kMove = call_text("move_file", R"({"from": "a.txt", "to": "b/a.txt"})");

TEST_F(AgentLoop, CarriesOutCallsUntilATurnWithoutOne) {
  ScriptedModel model({"First a look.\n" + call_text("list_files", R"({"folder": "."})"), kMove, "Done."});
  const EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.answer, "Done.");
  EXPECT_TRUE(has("b/a.txt"));
  EXPECT_THAT(types, ElementsAre("start", "turn", "say", "call", "result", "turn", "call", "result", "turn", "say", "end"));
  EXPECT_EQ(end.counts.turns, 3);
  EXPECT_EQ(end.counts.calls, 2);
  EXPECT_EQ(end.counts.changes, 1);
  EXPECT_EQ(end.counts.errors, 0);
  EXPECT_EQ(end.counts.tokens, 15);
  EXPECT_EQ(end.counts.tokens_per_s(), 10);
  EXPECT_EQ(model.last_max_tokens, 4096);
}

TEST_F(AgentLoop, OffersTheToolsThatThereAreNow) {
  const auto tool = [](std::string_view name) {
    Tool made;
    made.definition =
        Json::parse(
            fmt::format(R"({{"type": "function", "function": {{"name": "{}", "parameters": {{"type": "object"}}}}}})", name),
            "tool")
            .value();
    made.execute = [said = std::string(name)](const Json&, const CallContext&) { return ToolResult{said}; };
    return made;
  };
  ASSERT_TRUE(tools.replace("server", {tool("old")}));
  int asked = 0;
  options.refresh_tools = [&] { return ++asked == 2 && tools.replace("server", {tool("new")}).value(); };
  ScriptedModel model({call_text("old", "{}"), call_text("new", "{}"), call_text("old", "{}"), "Done."});
  EXPECT_EQ(run(model).status, RunStatus::success);
  EXPECT_TRUE(find_tool(model.shown[0].tools, "old"));
  EXPECT_FALSE(find_tool(model.shown[1].tools, "old"));
  EXPECT_TRUE(find_tool(model.shown[1].tools, "new"));
  EXPECT_THAT(model.results(), ElementsAre("old", "new", HasSubstr("old")));
  EXPECT_EQ(asked, 4);
}

TEST_F(AgentLoop, ShowsTheModelEverythingThatWasSaidToTheLetter) {
  const std::string odd = "Hm.\n<tool_call>{\"arguments\":{\"path\" : \"a.txt\"}, \"name\":\"read_file\"} </tool_call> ";
  ScriptedModel model({odd, "Done."});
  run(model);
  const Conversation& last = model.shown.back();
  ASSERT_EQ(last.messages.size(), 4U);
  EXPECT_EQ(last.messages[0].content, "Be good.");
  EXPECT_EQ(last.messages[1].content, "Do it.");
  EXPECT_EQ(last.messages[2].verbatim, odd);
  EXPECT_EQ(last.messages[3].content, "A");
  EXPECT_EQ(last.tools, tools.definitions());
  const std::string before = prompt_text(*render(model.shown[0], ChatFormat::instruct)),
                    after = prompt_text(*render(last, ChatFormat::instruct));
  EXPECT_TRUE(after.starts_with(before + odd)) << after;  // so that the session is continued, not read again
}

TEST_F(AgentLoop, CarriesOnAConversation) {
  Conversation conversation;
  options.conversation = &conversation;
  ScriptedModel first({"Hello."}), second({call_text("list_files", R"({"folder": "."})"), "One file."});
  run(first);
  options.instruction = "What is there?";
  run(second);
  std::vector<Role> roles;
  for (const Message& message : conversation.messages) roles.push_back(message.role);
  EXPECT_THAT(roles,
              ElementsAre(Role::system, Role::user, Role::assistant, Role::user, Role::assistant, Role::tool, Role::assistant));
  EXPECT_EQ(conversation.messages.back().content, "One file.");
  EXPECT_EQ(second.shown[0].messages.size(), 4U);
}

TEST_F(AgentLoop, PassesOnWhatAToolPrintsMeanwhile) {
  std::vector<std::string> lines;
  options.on_output = [&](std::string_view line) { lines.emplace_back(line); };
  Json definition = *Json::parse(R"({"type": "function", "function": {"name": "talk", "parameters": {"type": "object"}}})", "test");
  ASSERT_TRUE(tools.add({.definition = std::move(definition),
                         .origin = {},
                         .execute =
                             [](const Json&, const CallContext& context) {
                               context.on_output("half way");
                               return ToolResult{"done", false};
                             },
                         .preview = {}}));
  ScriptedModel model({call_text("talk", "{}"), "Done."});
  run(model);
  EXPECT_THAT(lines, ElementsAre("half way"));
}

TEST_F(AgentLoop, CarriesOutSeveralCallsOfOneTurnInOrder) {
  ScriptedModel model({kMove + "\n" + call_text("list_files", R"({"folder": "b"})"), "Done."});
  EXPECT_EQ(run(model).status, RunStatus::success);
  EXPECT_THAT(model.results(), ElementsAre("moved a.txt to b/a.txt", "b/a.txt"));
}

TEST_F(AgentLoop, TellsTheModelWhatIsWrongWithACall) {
  ScriptedModel model({"<tool_call>\n{\"name\": \"move_file\", oops}\n</tool_call>", call_text("rename_file", "{}"),
                       call_text("move_file", R"({"from": "a.txt"})"), call_text("read_file", R"({"path": 7})"),
                       "<tool_call>\n{\"name\": \"read_file\", \"arguments\": {\"path\": \"a.txt\"}}",
                       R"({"name": "read_file", "arguments": {"path": "a.txt"}})", kMove, "Done."});
  const EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  const auto results = model.results();
  ASSERT_EQ(results.size(), 7U);
  EXPECT_THAT(results[0], HasSubstr("error: tool call"));
  EXPECT_EQ(results[1], "error: no such tool: rename_file");
  EXPECT_EQ(results[2], "error: arguments: to is missing");
  EXPECT_EQ(results[3], "error: arguments.path: expected string, found number");
  EXPECT_EQ(results[4], "error: the call has no </tool_call>");
  EXPECT_EQ(results[5], "error: a call must stand between <tool_call> and </tool_call>");
  EXPECT_EQ(results[6], "moved a.txt to b/a.txt");
  EXPECT_EQ(end.counts.malformed, 6);
  EXPECT_EQ(end.counts.errors, 6);
  EXPECT_EQ(end.counts.calls, 7);
}

TEST_F(AgentLoop, EndsWhenTheSameCallFailsThreeTimes) {
  const std::string read = call_text("read_file", R"({"path": "none"})"), list = call_text("list_files", R"({"folder": "."})");
  ScriptedModel model({read, list, read, list, read});
  const EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::failed);
  EXPECT_EQ(end.reason, "the same call failed 3 times: error: no such file: none");
  EXPECT_EQ(end.counts.turns, 5);
}

TEST_F(AgentLoop, ForgetsFailuresOnceSomethingChanged) {
  const std::string read = call_text("read_file", R"({"path": "none"})");
  ScriptedModel model({read, read, kMove, read, read, "Done."});
  EXPECT_EQ(run(model).status, RunStatus::success);
}

TEST_F(AgentLoop, EndsWithEachBudget) {
  ScriptedModel endless({call_text("list_files", R"({"folder": "."})")});
  options.budget.turns = 4;
  EXPECT_EQ(run(endless).reason, "the budget of 4 turns is used up");
  EXPECT_EQ(endless.shown.size(), 4U);

  ScriptedModel slow({call_text("list_files", R"({"folder": "."})")});
  options.budget = {};
  options.budget.seconds = 0.05;
  options.on_text = [](std::string_view) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  EXPECT_EQ(run(slow).reason, "the budget of 0.05 seconds is used up");

  ScriptedModel wordy({"and so on"});
  wordy.finish = FinishReason::length;
  options.budget = {};
  options.budget.tokens = 5;
  options.on_text = {};
  EXPECT_EQ(run(wordy).reason, "an answer reached the budget of 5 tokens");
  EXPECT_EQ(wordy.last_max_tokens, 5);

  ScriptedModel full({""});
  full.finish = FinishReason::context;
  const EndEvent end = run(full);
  EXPECT_EQ(end.status, RunStatus::failed);
  EXPECT_EQ(end.reason, "the model's context is full (10 tokens in the prompt)");
}

TEST_F(AgentLoop, EndsWithBudgetsOfCallsTokensAndCost) {
  const std::string list = call_text("list_files", R"({"folder": "."})");
  ScriptedModel endless({list + "\n" + list + "\n" + list});
  options.budget.calls = 2;
  EndEvent end = run(endless);
  EXPECT_EQ(end.reason, "the budget of 2 calls is used up");
  EXPECT_EQ(end.counts.calls, 2);

  ScriptedModel chatty({list});
  options.budget = {};
  options.budget.total_tokens = 36;  // the script's turns read 10 and generate 5
  end = run(chatty);
  EXPECT_EQ(end.reason, "the budget of 36 tokens in all is used up");
  EXPECT_EQ(end.counts.turns, 3);
  EXPECT_EQ(chatty.last_max_tokens, 6);

  ScriptedModel dear({list});
  options.budget = {};
  options.budget.cost = 4;
  options.budget.prices = {.prompt = 10, .generated = 100, .calls = {{"read_*", 7}, {"*", 1}}};
  end = run(dear);
  EXPECT_EQ(end.reason, "the budget of 4 cost units is used up");
  EXPECT_EQ(end.counts.turns, 3);
  EXPECT_NEAR(end.counts.cost, 3 * (0.1 + 0.5 + 1), 1e-9);

  ScriptedModel large({list});
  options.budget = {};
  options.budget.context = 9;
  EXPECT_EQ(run(large).reason, "the budget of 9 tokens in the context is used up");
}

TEST_F(AgentLoop, GoesOnWithTheCountsOfItsRun) {
  const std::string list = call_text("list_files", R"({"folder": "."})");
  options.before.turns = 50, options.before.calls = 3, options.before.refused = 1, options.before.seconds = 100;
  options.budget.calls = 2;
  options.budget.seconds = 90;
  ScriptedModel model({list, "Done."});
  EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.counts.turns, 52);
  EXPECT_EQ(end.counts.calls, 4);
  EXPECT_GE(end.counts.seconds, 100);
  options.run_budget.calls = 4;
  ScriptedModel more({list, list, "Done."});
  EXPECT_EQ(run(more).reason, "the budget of 4 calls is used up");
  options.run_budget.seconds = 99;
  ScriptedModel late({"Done."});
  EXPECT_EQ(run(late).reason, "the budget of 99 seconds is used up");
}

TEST_F(AgentLoop, TriesAgainAfterAFailedCheckWithWhatItSaid) {
  options.check = [&](const std::string& answer) -> Result<CheckResult> {
    return CheckResult{answer == "Three.", "not " + answer};
  };
  ScriptedModel model({"One.", "Two.", "Three."});
  options.retries = 2;
  EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.answer, "Three.");
  EXPECT_EQ(end.counts.retries, 2);
  EXPECT_THAT(model.shown.back().messages.back().content, HasSubstr("It said:\nnot Two."));
  EXPECT_EQ(model.shown.back().messages.size(), 6U);

  ScriptedModel stubborn({"One."});
  options.retries = 1;
  end = run(stubborn);
  EXPECT_EQ(end.reason, "the task's check failed");
  EXPECT_EQ(end.counts.turns, 2);
}

TEST_F(AgentLoop, TakesJsonThatWasAskedForAsTheAnswerEvenWhereItLooksLikeACall) {
  const std::string json = R"({"name": "read_file", "arguments": {"path": "a.txt"}})";
  options.answer_schema = Json::parse(R"({"type": "object", "required": ["name"]})", "schema").value();
  ScriptedModel model({json});
  const EndEvent end = run(model);
  EXPECT_EQ(end.answer, json);
  EXPECT_EQ(end.counts.calls, 0);
  EXPECT_EQ(model.shown.back().answer_schema, options.answer_schema);
}

TEST_F(AgentLoop, NeverExecutesACallOfATurnThatWasCut) {
  ScriptedModel model({kMove});
  model.finish = FinishReason::length;
  EXPECT_EQ(run(model).status, RunStatus::failed);
  EXPECT_TRUE(has("a.txt"));
}

TEST_F(AgentLoop, RefusesChangesWhenNobodyCanConfirmThem) {
  options.changes = ChangePolicy::ask;
  ScriptedModel model({kMove, "I was not allowed to."});
  const EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::failed);
  EXPECT_EQ(end.reason, "nothing was changed: no change was confirmed");
  EXPECT_THAT(types, ElementsAre("start", "turn", "call", "refused", "result", "turn", "say", "end"));
  EXPECT_THAT(model.results(), ElementsAre("error: not allowed: changes need a confirmation, and this one was refused"));
  EXPECT_TRUE(has("a.txt"));
  EXPECT_FALSE(has("b"));
  EXPECT_EQ(end.counts.refused, 1);
}

TEST_F(AgentLoop, WhatAPolicyRefusesDoesNotFailARunThatHadNothingToChange) {
  options.policy = [](const Tool& tool, const ToolCall&) { return tool.changes ? Verdict::deny : Verdict::allow; };
  ScriptedModel model({kMove, "I may not move it."});
  const EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.counts.refused, 1);
}

TEST_F(AgentLoop, ReadsWithoutAsking) {
  options.changes = ChangePolicy::ask;
  ScriptedModel model({call_text("read_file", R"({"path": "a.txt"})"), "It says A."});
  EXPECT_EQ(run(model).status, RunStatus::success);
  EXPECT_THAT(model.results(), ElementsAre("A"));
}

TEST_F(AgentLoop, AsksBeforeEachChangeUntilToldAll) {
  options.changes = ChangePolicy::ask;
  std::vector<Decision> answers = {Decision::no, Decision::yes, Decision::all};
  size_t asked = 0;
  options.confirm = [&](const Tool& tool, const ToolCall&) {
    EXPECT_TRUE(tool.changes);
    return answers[asked++];
  };
  const auto make = [](std::string_view name) { return call_text("make_folder", fmt::format(R"({{"path": "{}"}})", name)); };
  ScriptedModel model({make("one"), make("two"), make("three"), make("four"), "Done."});
  const EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(asked, 3U);
  EXPECT_FALSE(has("one"));
  EXPECT_TRUE(has("two") && has("three") && has("four"));
  EXPECT_EQ(end.counts.refused, 1);
  EXPECT_EQ(std::count(types.begin(), types.end(), "confirmed"), 2);
}

TEST_F(AgentLoop, QuitsAtAConfirmation) {
  options.changes = ChangePolicy::ask;
  options.confirm = [](const Tool&, const ToolCall&) { return Decision::quit; };
  ScriptedModel model({kMove, "Done."});
  const EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::cancelled);
  EXPECT_EQ(end.reason, "ended at a confirmation");
  EXPECT_TRUE(has("a.txt"));
}

TEST_F(AgentLoop, DryRunTellsWhatWouldHaveHappenedAndChangesNothing) {
  options.changes = ChangePolicy::preview;
  options.check = [](const std::string&) -> Result<CheckResult> { return CheckResult{false, "must not be asked"}; };
  ScriptedModel model({kMove, call_text("read_file", R"({"path": "a.txt"})"), "Done."});
  const EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_THAT(model.results(), ElementsAre("moved a.txt to b/a.txt", "A"));
  EXPECT_TRUE(has("a.txt"));
  EXPECT_FALSE(has("b"));
  EXPECT_FALSE(end.check_passed);
}

TEST_F(AgentLoop, SucceedsOnlyWhenTheCheckAgrees) {
  std::string checked;
  bool verdict = false;
  options.check = [&](const std::string& answer) -> Result<CheckResult> {
    checked = answer;
    return CheckResult{verdict, "seen"};
  };
  ScriptedModel wrong({"42"}), right({"42"});
  const EndEvent failed = run(wrong);
  EXPECT_EQ(checked, "42");
  EXPECT_EQ(failed.status, RunStatus::failed);
  EXPECT_EQ(failed.reason, "the task's check failed");
  EXPECT_EQ(failed.check_passed, false);
  EXPECT_THAT(types, ElementsAre("start", "turn", "say", "check", "end"));
  verdict = true;
  EXPECT_EQ(run(right).status, RunStatus::success);
  options.check = [](const std::string&) -> Result<CheckResult> { return fail(Errc::io, "took longer than 1 s"); };
  ScriptedModel stuck({"42"});
  EXPECT_EQ(run(stuck).reason, "check: took longer than 1 s");
}

TEST_F(AgentLoop, EndsCleanlyWhenInterrupted) {
  bool interrupted = false;
  options.cancelled = [&] { return interrupted; };
  options.on_text = [&](std::string_view) { interrupted = true; };
  ScriptedModel model({kMove, "Done."});
  const EndEvent end = run(model);
  EXPECT_EQ(end.status, RunStatus::cancelled);
  EXPECT_EQ(types.back(), "end");
  EXPECT_TRUE(has("a.txt"));
}

TEST_F(AgentLoop, FailsWithTheModelsError) {
  ScriptedModel model({"x"});
  model.fails = true;
  EXPECT_EQ(run(model).reason, "the model is gone");
}

TEST_F(AgentLoop, KeepsWhateverAToolReturnsValidAndBounded) {
  ToolRegistry odd;
  const auto add = [&](std::string_view name, Tool::Function execute) {
    Tool tool;
    tool.definition["type"] = "function";
    tool.definition["function"]["name"] = name;
    tool.execute = std::move(execute);
    ASSERT_TRUE(odd.add(std::move(tool)));
  };
  add("bytes", [](const Json&, const CallContext&) {
    return ToolResult{
        "a\xFF"
        "b",
        false};
  });
  add("much", [](const Json&, const CallContext&) { return ToolResult{std::string(1 << 20, 'x'), false}; });
  add("broken", [](const Json&, const CallContext&) -> ToolResult { throw SystemError("disk on fire"); });
  ScriptedModel model({call_text("bytes", "{}"), call_text("much", "{}"), call_text("broken", "{}"), "Done."});
  EXPECT_EQ(run_loop(model, odd, options).status, RunStatus::success);
  const auto results = model.results();
  EXPECT_EQ(results[0],
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(results[1].size(), 262144U + std::string("\n(only the first 262144 of 1048576 bytes are shown)").size());
  EXPECT_EQ(results[2], "error: disk on fire");
}

TEST(Registry, RefusesWhatItCannotOffer) {
  ToolRegistry registry;
  Tool tool;
  tool.execute = [](const Json&, const CallContext&) { return ToolResult{}; };
  EXPECT_FALSE(registry.add(tool));
  tool.definition["function"]["name"] = "a";
  EXPECT_TRUE(registry.add(tool));
  EXPECT_EQ(registry.add(tool).error().message, "tool a: there is one of that name already");
  tool.definition["function"]["name"] = "b";
  tool.execute = {};
  EXPECT_FALSE(registry.add(tool));
  EXPECT_EQ(registry.restrict_to({"a", "c"}).error().message, "tools: no tool is called c; there are a");
  EXPECT_THAT(registry.names(), ElementsAre("a"));
}

TEST(Events, AreOneJsonObjectEachWithTheirTypeFirst) {
  EndEvent end;
  end.status = RunStatus::success;
  end.check_passed = true;
  const std::string line = event_json(end).dump(Json::Spacing::compact);
  EXPECT_TRUE(line.starts_with(R"({"type":"end","status":"success","reason":"","answer":"","root":"","check":"passed","turns":0)"))
      << line;
  EXPECT_EQ(event_json(ConfirmEvent{3, false, "asked"}).dump(Json::Spacing::compact),
            R"({"type":"refused","call":3,"reason":"asked"})");
}

}  // namespace
}  // namespace quern
