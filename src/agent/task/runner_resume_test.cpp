// Runs of several steps that are cut off and continued from their journal.
#include <gmock/gmock.h>

#include "agent/scripted_model_test.h"
#include "agent/task/run_record.h"
#include "agent/task/runner.h"
#include "agent/temporary_folder_test.h"
#include "agent/tools/file_tools.h"
#include "base/file.h"

namespace quern {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

std::string move_call(std::string_view from, std::string_view to) {
  return call_text("move_file", fmt::format(R"({{"from": "{}", "to": "{}"}})", from, to));
}

class TaskResume : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(root());
    for (const char* name : {"a.txt", "b.txt", "c.txt"}) ASSERT_TRUE(write_file(root() / name, name));
    ASSERT_TRUE(add_file_tools(tools, root()));
    auto opened = Journal::open(top.path() / "journal.db");
    ASSERT_TRUE(opened) << opened.error().message;
    journal = std::move(*opened);
  }
  // One process: begins, or continues, until the model has answered `answers` times.
  EndEvent process(std::string_view text, std::vector<std::string> lines, size_t answers = 100) {
    Task task;
    if (id.empty()) {
      task = *Task::from_text(std::string(text), top.path() / "task.yaml");
      EXPECT_TRUE(task.fill({{"word", "x"}}));
      record = journal->begin(describe_run(task, root(), {.model = "m", .seed = 7, .temperature = 0.5, .mcp = {}, .budgets = {}}))
                   .value();
      id = record->id();
    } else {
      record = journal->resume(id).value();
      auto described = described_run(record->description());
      EXPECT_TRUE(described);
      task = std::move(described->task);
      EXPECT_TRUE(task.fill(described->inputs));
    }
    if (!budget.empty()) {
      EXPECT_TRUE(task.set_budget(budget));
    }
    model = std::make_unique<ScriptedModel>(std::move(lines));
    if (cut) model->finish = FinishReason::length;
    steps.clear();
    RunnerOptions options;
    options.root = root();
    options.temporary = top.path();
    options.changes = ChangePolicy::allow;
    options.journal = record.get();
    options.cancelled = [&] { return model->shown.size() > answers; };
    options.on_event = [&](const Event& event) {
      if (const auto* step = std::get_if<StepEvent>(&event))
        if (step->state != StepEvent::State::begun)
          steps.push_back(event_json(event).find("state")->as_string() + " " + step->step);
    };
    EndEvent end = run_task(task, *model, tools, options);
    record.reset();
    return end;
  }
  fs::path root() const { return top.path() / "root"; }

  TemporaryFolder top;
  ToolRegistry tools;
  std::shared_ptr<Journal> journal;
  std::unique_ptr<JournalRun> record;
  std::unique_ptr<ScriptedModel> model;
  std::vector<std::string> steps;
  std::string id, budget;
  bool cut = false;
};

TEST_F(TaskResume, FinishedStepsAreNotRunAgainAndTheirOutputsAreThere) {
  const std::string_view text = R"(inputs: {word: }
steps:
- {name: one, task: "{{word}}", output: {schema: {type: array, items: {type: string}}, file: one.json}}
- {name: two, for_each: "{{steps.one.output}}", task: "T {{item}}"}
- {name: three, task: "{{steps.two.output}}"}
)";
  EndEvent end = process(text, {R"(["p", "q"])", "P done", "never"}, 2);
  EXPECT_EQ(end.status, RunStatus::cancelled);
  EXPECT_EQ(end.run, id);
  EXPECT_EQ(journal->summary(id)->state, RunState::cancelled);
  EXPECT_THAT(steps, ElementsAre("done steps/one", "done steps/two/item/1", "failed steps/two/item/2"));
  fs::remove(root() / "one.json");  // by a step between, say

  end = process(text, {"Q done", "End."});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_THAT(steps, ElementsAre("skipped steps/one", "skipped steps/two/item/1", "done steps/two/item/2", "done steps/three"));
  EXPECT_EQ(model->shown[1].messages[1].content, R"(["P done", "Q done"])");
  EXPECT_FALSE(fs::exists(root() / "one.json"));  // it was written when it was time
  EXPECT_EQ(journal->summary(id)->state, RunState::success);
  EXPECT_FALSE(journal->resume(id));
}

TEST_F(TaskResume, GoesThroughTheSameFilesThoughSomeHaveMovedMeanwhile) {
  const std::string_view text = R"(inputs: {word: }
steps:
- {name: each, for_each: {files: "*.txt"}, files: ["{{item}}"], task: "Move {{item}}."}
)";
  process(text, {move_call("a.txt", "done/a"), "1", move_call("b.txt", "done/b"), "never"}, 3);
  EXPECT_TRUE(fs::exists(root() / "done/b"));  // in the middle of the second item, whose file is no longer there to be attached
  const EndEvent end = process(text, {"2", move_call("c.txt", "done/c"), "3"});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.answer, R"(["1", "2", "3"])");
  EXPECT_THAT(steps, ElementsAre("skipped steps/each/item/1", "done steps/each/item/2", "done steps/each/item/3"));
  EXPECT_TRUE(fs::exists(root() / "done/c"));
}

TEST_F(TaskResume, AFailedRunGoesOnWhereItFailedAndItsFailureStepsAreDoneEachTime) {
  const std::string_view text = R"(inputs: {word: }
steps:
- {name: one, task: x}
- {name: two, task: y, check: test -e wanted}
on_failure: [{name: tell, task: z}]
)";
  for (int i = 0; i < 2; ++i) {
    const EndEvent end = process(text, i == 0 ? std::vector<std::string>{"1", "2", "told"} : std::vector<std::string>{"told"});
    EXPECT_EQ(end.reason, "step two: the task's check failed");
    EXPECT_THAT(steps, Contains("done on_failure/tell"));
  }
  ASSERT_TRUE(write_file(root() / "wanted", ""));
  const EndEvent end = process(text, {"no turn is needed"});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(model->shown.size(), 0U);
}

TEST_F(TaskResume, ItsBudgetsHoldOverAllItsProcesses) {
  // Every answer is 10 tokens read and 5 generated, in half a second.
  const std::string_view text = R"(inputs: {word: }
budget: {total_tokens: 30}
steps: [{name: one, task: x}, {name: two, task: y}, {name: three, task: z}]
)";
  EXPECT_EQ(process(text, {"1", "never"}, 1).status, RunStatus::cancelled);
  EndEvent end = process(text, {"2", "3"});
  EXPECT_EQ(end.reason, "step three: the budget of 30 tokens in all is used up");
  EXPECT_EQ(end.counts.tokens, 10);
  EXPECT_EQ(end.counts.turns, 2);
  EXPECT_GE(end.counts.seconds, 0.5);
  end = process(text, {"3"});
  EXPECT_EQ(end.reason, "step three: the budget of 30 tokens in all is used up");
  EXPECT_EQ(end.counts.tokens, 10);
  EXPECT_GE(end.counts.seconds, 1.0);
  budget = "total_tokens=31";
  EXPECT_EQ(process(text, {"3"}).status, RunStatus::success);
}

TEST_F(TaskResume, AnAnswerThatWasCutHasUsedItsTokens) {
  const std::string_view text = "inputs: {word: }\ntask: x\nbudget: {total_tokens: 44}\n";
  cut = true;
  EXPECT_THAT(process(text, {"half an ans"}).reason, HasSubstr("an answer reached the budget"));
  EXPECT_EQ(process(text, {"half an ans"}).counts.tokens, 10);
  cut = false;
  const EndEvent end = process(text, {call_text("list_files", R"({"folder": "."})"), "Done."});
  EXPECT_EQ(end.reason, "the budget of 44 tokens in all is used up");
  EXPECT_EQ(end.counts.turns, 1);
  EXPECT_EQ(end.counts.tokens, 15);
}

TEST_F(TaskResume, ARunIsDescribedWithoutItsSecretsAndListed) {
  Task task =
      *Task::from_text("name: n\ntask: '{{word}} {{key}}'\ninputs: {word: , key: {secret: true, env: KEY}}", top.path() / "t.yaml");
  const auto environment = [](const std::string&) { return std::optional<std::string>("hidden-value"); };
  ASSERT_TRUE(task.fill({{"word", "w"}}, environment));
  const RunDescription description = describe_run(task, "/somewhere",
                                                  {.model = "m",
                                                   .seed = UINT64_MAX,
                                                   .temperature = 0.25,
                                                   .max_turns = 9,
                                                   .unconstrained = true,
                                                   .mcp = {"x"},
                                                   .budgets = {"calls=3"}});
  EXPECT_THAT(description.task.dump(), testing::Not(HasSubstr("hidden-value")));
  const auto read = described_run(description);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->task.name, "n");
  EXPECT_EQ(read->task.folder, top.path());
  EXPECT_THAT(read->inputs, ElementsAre(std::pair("word", "w")));
  EXPECT_EQ(read->choices.seed, UINT64_MAX);
  EXPECT_EQ(read->choices.temperature, 0.25);
  EXPECT_EQ(read->choices.max_turns, 9);
  EXPECT_TRUE(read->choices.unconstrained);
  EXPECT_THAT(read->choices.mcp, ElementsAre("x"));
  EXPECT_THAT(read->choices.budgets, ElementsAre("calls=3"));
  EXPECT_FALSE(described_run({.name = "n", .root = "/", .task = Json::object()}));

  const auto begun =
      journal->begin(describe_run(Task::from_sentence("Put\x1b[31m all in order, each and every one of them."), "/r", {}));
  ASSERT_TRUE(begun);
  const auto runs = journal->runs();
  ASSERT_TRUE(runs);
  const std::string list = list_of_runs(*runs);
  EXPECT_THAT(list, HasSubstr((*begun)->id()));
  EXPECT_THAT(list, HasSubstr("running"));
  EXPECT_THAT(list, HasSubstr("Put [31m all in order"));
  EXPECT_EQ(json_of_runs(*runs).as_array()[0].find("root")->as_string(), "/r");
  EXPECT_EQ(list_of_runs({}), "no runs\n");
}

}  // namespace
}  // namespace quern
