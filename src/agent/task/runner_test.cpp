#include "agent/task/runner.h"

#include <gmock/gmock.h>

#include "agent/scripted_model_test.h"
#include "agent/temporary_folder_test.h"
#include "agent/tools/file_tools.h"
#include "base/file.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

namespace fs = std::filesystem;

// Runs a task text with a scripted model on a folder with a.txt and b.txt.
class TaskRunner : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(root());
    ASSERT_TRUE(write_file(root() / "a.txt", "A"));
    ASSERT_TRUE(write_file(root() / "b.txt", "B"));
    ASSERT_TRUE(add_file_tools(tools, root()));
    options.root = root();
    options.temporary = top.path();
    options.changes = ChangePolicy::allow;
    options.on_event = [this](const Event& event) {
      const Json json = event_json(event);
      std::string type = json.find("type")->as_string();
      if (const auto* step = std::get_if<StepEvent>(&event)) type = json.find("state")->as_string() + " " + step->step;
      events.push_back(std::move(type));
      if (const auto* end = std::get_if<EndEvent>(&event)) ends.push_back(*end);
    };
  }
  EndEvent run(std::string_view text, std::vector<std::string> lines, std::map<std::string, std::string> inputs = {}) {
    model = std::make_unique<ScriptedModel>(std::move(lines));
    events.clear(), ends.clear();
    auto parsed = Task::parse(text, "t.yaml");
    if (!parsed) {
      ADD_FAILURE() << parsed.error().message;
      return {};
    }
    task = std::move(*parsed);
    task.folder = top.path();
    const auto filled = task.fill(inputs);
    EXPECT_TRUE(filled) << filled.error().message;
    EndEvent end = run_task(task, *model, tools, options);
    EXPECT_EQ(ends.size(), 1U);
    EXPECT_EQ(events.back(), "end");
    return end;
  }
  fs::path root() const { return top.path() / "root"; }
  std::string content(const std::string& name) const { return read_file(root() / name).value_or("(none)"); }
  // What the model was asked first in its n-th conversation.
  std::vector<std::string> asked() const {
    std::vector<std::string> all;
    for (const Conversation& shown : model->shown)
      if (shown.messages.size() == 2) all.push_back(shown.messages[1].content);
    return all;
  }

  TemporaryFolder top;
  ToolRegistry tools;
  RunnerOptions options;
  Task task;
  std::unique_ptr<ScriptedModel> model;
  std::vector<std::string> events;
  std::vector<EndEvent> ends;
};

std::string write_call(std::string_view path, std::string_view text) {
  return call_text("write_file", fmt::format(R"({{"path": "{}", "text": "{}"}})", path, text));
}

TEST_F(TaskRunner, ATaskWithoutStepsIsOneConversationAsItAlwaysWas) {
  const EndEvent end =
      run("name: n\ntask: 'Do {{what}}.'\ninputs: {what: it}\ncheck: test \"$ANSWER\" = Done. -a \"$INPUT_what\" = it",
          {write_call("c.txt", "C"), "Done."});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.answer, "Done.");
  EXPECT_EQ(end.check_passed, true);
  EXPECT_EQ(end.counts.changes, 1);
  EXPECT_THAT(asked(), ElementsAre("Do it."));
  EXPECT_THAT(events, ElementsAre("start", "turn", "call", "result", "turn", "say", "check", "end"));
  EXPECT_EQ(model->shown[0].tools.size(), 9U);
}

TEST_F(TaskRunner, WhatOneStepAnswersIsThereForTheNext) {
  const EndEvent end = run(R"(steps:
- name: look
  task: Which is the first?
  output: {schema: {type: object, properties: {files: {type: array, items: {type: string}}}, required: [files]}, file: found.json}
- name: use
  task: "All: {{steps.look.output}}, one: {{steps.look.output.files.1}}"
  tools: [read_*]
  system: Be brief.
)",
                           {R"({"files": ["a.txt", "b.txt"]})", "It says B."});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.answer, "It says B.");
  EXPECT_EQ(end.counts.turns, 2);
  EXPECT_THAT(asked()[0], HasSubstr("JSON Schema:\n{\"type\": \"object\""));
  EXPECT_EQ(asked()[1], R"(All: {"files": ["a.txt", "b.txt"]}, one: b.txt)");
  EXPECT_TRUE(model->shown[0].answer_schema);
  EXPECT_FALSE(model->shown[1].answer_schema);
  EXPECT_EQ(model->shown[1].messages[0].content, "Be brief.");
  EXPECT_EQ(model->shown[1].tools.size(), 1U);
  EXPECT_EQ(Json::parse(content("found.json"), "found")->dump(), R"({"files": ["a.txt", "b.txt"]})");
  EXPECT_THAT(events, ElementsAre("start", "begun steps/look", "turn", "say", "check", "done steps/look", "begun steps/use", "turn",
                                  "say", "done steps/use", "end"));
}

TEST_F(TaskRunner, AStepIsDoneForEachItem) {
  const std::string_view text = R"(inputs: {names: "x\n\n y\n"}
steps:
- {name: literal, for_each: [one, 2, {n: 3}], task: "L {{item}}", output: {file: "out/all.json"}}
- {name: files, for_each: {files: "*.txt"}, task: "F {{item}}", output: {file: "out/{{item}}"}}
- {name: lines, for_each: "{{names}}", task: "I {{item}}"}
- {name: again, for_each: "{{ steps.literal.output }}", task: "A {{item}}", check: 'test "$ANSWER" = "done $ITEM"'}
)";
  const EndEvent end = run(text, {"l1", "l2", "l3", "fa", "fb", "i1", "i2", "done l1", "done l2", "done l3"});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_THAT(asked(), ElementsAre("L one", "L 2", R"(L {"n": 3})", "F a.txt", "F b.txt", "I x", "I  y", "A l1", "A l2", "A l3"));
  EXPECT_EQ(end.answer, R"(["done l1", "done l2", "done l3"])");
  EXPECT_EQ(end.check_passed, true);
  EXPECT_EQ(Json::parse(content("out/all.json"), "all")->dump(), R"(["l1", "l2", "l3"])");
  EXPECT_EQ(content("out/b.txt"), "fb\n");
  EXPECT_THAT(events, testing::Contains("begun steps/again/item/3"));
}

TEST_F(TaskRunner, AnItemThatFailsEndsTheRunAndItsStepIsNamed) {
  const EndEvent end = run(R"(steps:
- {name: each, for_each: [p, q, r], task: "{{item}}", check: 'test "$ITEM" != q'}
- {name: never, task: x}
on_failure:
- {name: tidy, task: "{{failure.step}} failed: {{failure.reason}}"}
)",
                           {"1", "2", "Tidied."});
  EXPECT_EQ(end.status, RunStatus::failed);
  EXPECT_EQ(end.reason, "step each: item 2 (q): the task's check failed");
  EXPECT_EQ(end.check_passed, false);
  EXPECT_THAT(asked(), ElementsAre("p", "q", "each failed: step each: item 2 (q): the task's check failed"));
  EXPECT_THAT(events, testing::Contains("done on_failure/tidy"));
}

TEST_F(TaskRunner, OnFailureAlsoBelongsToATaskWithoutSteps) {
  const EndEvent end = run("task: x\ncheck: 'false'\non_failure: [{name: clean, task: 'Clean up: {{failure.reason}}'}]",
                           {"Done.", write_call("cleaned", "x"), "Cleaned."});
  EXPECT_EQ(end.status, RunStatus::failed);
  EXPECT_EQ(end.reason, "the task's check failed");
  EXPECT_TRUE(fs::exists(root() / "cleaned"));
}

TEST_F(TaskRunner, AFailedCheckIsTriedAgainAsOftenAsRetriesSays) {
  const EndEvent end = run("task: x\nretries: 2\nchecks: ['test -e c.txt || { echo c.txt is missing; false; }']",
                           {"Done.", write_call("c.txt", "C"), "Now it is."});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.counts.retries, 1);
  EXPECT_THAT(model->shown[1].messages.back().content, HasSubstr("c.txt is missing"));
}

TEST_F(TaskRunner, AnAnswerThatIsNotTheJsonIsSentBack) {
  EndEvent end = run("task: x\nretries: 2\noutput: {schema: {type: array, items: {type: integer}}}",
                     {"Five.", "[\"5\"]", "```json\n[5]\n```"});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.answer, "[5]");
  EXPECT_THAT(model->shown[1].messages.back().content, HasSubstr("not the JSON that was asked for"));
  EXPECT_THAT(model->shown[2].messages.back().content, HasSubstr("the answer: does not satisfy the schema"));
  end = run("task: x\noutput: {schema: {type: array}}", {"Five."});
  EXPECT_EQ(end.status, RunStatus::failed);
  EXPECT_EQ(end.check_passed, false);
}

TEST_F(TaskRunner, ChecksLookAtFilesByTheirSchema) {
  ASSERT_TRUE(write_file(root() / "n.json", "{\"n\": 3}"));
  const std::string text = "task: x\nchecks: [{schema: {type: object, properties: {n: {type: integer, maximum: 5}}}, file: FILE}]";
  const auto with = [&](std::string_view file) {
    std::string made = text;
    return made.replace(made.find("FILE"), 4, file);
  };
  EXPECT_EQ(run(with("n.json"), {"Done."}).status, RunStatus::success);
  ASSERT_TRUE(write_file(root() / "n.json", "{\"n\": 6}"));
  EXPECT_EQ(run(with("n.json"), {"Done."}).reason, "the task's check failed");
  EXPECT_THAT(run(with("none.json"), {"Done."}).reason, HasSubstr("the task's check failed"));
  EXPECT_EQ(run(with("../outside.json"), {"Done."}).status, RunStatus::failed);
}

TEST_F(TaskRunner, TheRunsBudgetCountsThroughAllSteps) {
  const std::string list = call_text("list_files", R"({"folder": "."})");
  EndEvent end = run("budget: {calls: 2}\nsteps: [{name: a, task: x}, {name: b, task: y}]", {list, "Done.", list, list, "Done."});
  EXPECT_EQ(end.reason, "step b: the budget of 2 calls is used up");
  EXPECT_EQ(end.counts.calls, 2);
  end = run("budget: {turns: 2}\nsteps: [{name: a, task: x}, {name: b, task: y}]", {list, "Done.", list, "Done."});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;  // turns are a conversation's
  end = run("steps: [{name: a, task: x, budget: {calls: 1}}, {name: b, task: y}]", {list, list, "Done."});
  EXPECT_EQ(end.reason, "step a: the budget of 1 calls is used up");
  end = run("budget: {cost: 1, prices: {generated: 100, calls: {list_*: 0.1}}}\nsteps: [{name: a, task: x}, {name: b, task: y}]",
            {list, "Done.", "Done."});
  EXPECT_EQ(end.reason, "step b: the budget of 1 cost units is used up");
  EXPECT_NEAR(end.counts.cost, 1.1, 1e-9);
}

TEST_F(TaskRunner, AnswersOfAFailureStepDoNotCountAgainstWhatIsUsedUp) {
  const EndEvent end = run("task: x\nbudget: {total_tokens: 10}\non_failure: [{name: tell, task: y}]",
                           {call_text("list_files", R"({"folder": "."})"), "Told."});
  EXPECT_THAT(end.reason, HasSubstr("10 tokens in all"));
  EXPECT_THAT(events, testing::Contains("done on_failure/tell"));
}

TEST_F(TaskRunner, FilesAreAttachedAndBounded) {
  ASSERT_TRUE(write_file(top.path() / "notes.md", "N"));
  EndEvent end = run("task: 'Read.'\ninputs: {f: a}\nfiles: [notes.md, '{{f}}.txt']", {"Done."});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(asked()[0], "Read.\n\n<file path=\"notes.md\">\nN\n</file>\n\n<file path=\"a.txt\">\nA\n</file>");
  for (const auto& [file, reason] : {std::pair("none", "files: none: there is no such file"),
                                     {"../x", "files: ../x: expected a path below"},
                                     {"{path: long, max_bytes: 3}", "files: long: 4 bytes, at most 3"},
                                     {"odd", "files: odd: not a text"}}) {
    ASSERT_TRUE(write_file(root() / "long", "1234"));
    ASSERT_TRUE(write_file(root() / "odd", "\xFF"));
    EXPECT_THAT(run(fmt::format("task: x\nfiles: [{}]", file), {"Done."}).reason, HasSubstr(reason));
    EXPECT_THAT(model->shown, IsEmpty());
  }
}

// The published order: a deny denies whatever was said; --dry-run changes nothing; --yes answers what is asked.
TEST_F(TaskRunner, PolicyComesBeforeYesAndDryRun) {
  const std::string text = R"(task: x
policy:
- deny: write_file
  where: {path: secret*}
- allow: write_file
  where: {path: open*}
- ask: list_files
)";
  const std::vector<std::string> lines = {write_call("secret.txt", "x") + "\n" + write_call("open.txt", "x") + "\n" +
                                              write_call("other.txt", "x") + "\n" + call_text("list_files", R"({"folder": "."})"),
                                          "Done."};
  EXPECT_EQ(run(text, lines).status, RunStatus::success);  // --yes
  EXPECT_FALSE(fs::exists(root() / "secret.txt"));
  EXPECT_TRUE(fs::exists(root() / "open.txt") && fs::exists(root() / "other.txt"));
  EXPECT_THAT(model->results()[0], HasSubstr("policy refuses"));
  EXPECT_THAT(model->results()[3], HasSubstr("open.txt"));

  fs::remove(root() / "open.txt"), fs::remove(root() / "other.txt");
  options.changes = ChangePolicy::ask;  // nobody is there
  EXPECT_EQ(run(text, lines).status, RunStatus::success);
  EXPECT_TRUE(fs::exists(root() / "open.txt"));
  EXPECT_FALSE(fs::exists(root() / "other.txt"));
  EXPECT_THAT(model->results()[3], HasSubstr("not allowed"));

  fs::remove(root() / "open.txt");
  options.changes = ChangePolicy::preview;  // --dry-run
  EXPECT_EQ(run(text, lines).status, RunStatus::success);
  EXPECT_FALSE(fs::exists(root() / "secret.txt") || fs::exists(root() / "open.txt") || fs::exists(root() / "other.txt"));
  EXPECT_THAT(model->results()[0], HasSubstr("policy refuses"));
  EXPECT_THAT(model->results()[1], HasSubstr("wrote open.txt"));
}

TEST_F(TaskRunner, TheCallersPolicyIsTheBoundOfTheTasks) {
  Policy limits;
  limits.fallback = Verdict::allow;
  limits.rules.push_back({.tools = {"write_file"}, .server = {}, .arguments = {}, .verdict = Verdict::deny});
  options.limits = limits;
  options.changes = ChangePolicy::ask;
  run("task: x\npolicy: [{allow: '*'}]", {write_call("c.txt", "x"), "Done."});
  EXPECT_FALSE(fs::exists(root() / "c.txt"));
  run("task: x", {call_text("delete_file", R"({"path": "a.txt"})"), "Done."});
  EXPECT_FALSE(fs::exists(root() / "a.txt"));  // a task without a policy has the caller's, which allows
  run("task: x\npolicy: {default: deny}", {call_text("delete_file", R"({"path": "b.txt"})"), "Done."});
  EXPECT_TRUE(fs::exists(root() / "b.txt"));
}

TEST_F(TaskRunner, AStepsPolicyComesBeforeTheTasks) {
  run(R"(policy: [{deny: write_file}]
steps:
- {name: a, task: x}
- {name: b, task: x, policy: [{allow: write_file}]}
)",
      {write_call("first", "x"), "Done.", write_call("second", "x"), "Done."});
  EXPECT_FALSE(fs::exists(root() / "first"));
  EXPECT_TRUE(fs::exists(root() / "second"));
}

TEST_F(TaskRunner, AllThatFollowMeansTheNextStepsToo) {
  options.changes = ChangePolicy::ask;
  int asked_times = 0;
  options.confirm = [&](const Tool&, const ToolCall&) {
    ++asked_times;
    return Decision::all;
  };
  run("steps: [{name: a, task: x}, {name: b, task: y}]", {write_call("1", "x"), "Done.", write_call("2", "x"), "Done."});
  EXPECT_EQ(asked_times, 1);
  EXPECT_TRUE(fs::exists(root() / "2"));
}

TEST_F(TaskRunner, ADryRunGoesThroughAllStepsAndWritesNothing) {
  options.changes = ChangePolicy::preview;
  const EndEvent end = run(R"(steps:
- {name: a, task: x, output: {file: out.txt}, check: 'false'}
- {name: b, task: y, output: {schema: {type: array}, file: out.json}}
check: 'false'
)",
                           {write_call("c.txt", "x"), "Done.", "No JSON."});
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_FALSE(end.check_passed);
  EXPECT_FALSE(fs::exists(root() / "c.txt") || fs::exists(root() / "out.txt") || fs::exists(root() / "out.json"));
}

TEST_F(TaskRunner, WhatIsMissingFailsTheStepWithOneLine) {
  EXPECT_THAT(
      run("steps: [{name: a, task: x, output: {schema: {type: object}}}, {name: b, task: '{{steps.a.output.x}}'}]", {"{}"}).reason,
      HasSubstr("step b: {{steps.a.output.x}}: there is no x in {}"));
  EXPECT_THAT(
      run("steps: [{name: a, task: x, output: {schema: {type: integer}}}, {name: b, task: y, for_each: '{{steps.a.output}}'}]",
          {"3"})
          .reason,
      HasSubstr("expected a list or text, found number"));
  EXPECT_THAT(run("task: x\ntools: [rename_*]", {"Done."}).reason, HasSubstr("no tool is called rename_*"));
  EXPECT_THAT(run("task: x\noutput: {file: ../out}", {"Done."}).reason, HasSubstr("output: ../out: cannot be written"));
}

TEST_F(TaskRunner, ChecksOfTheWholeTaskComeLastAndSeeItsOutputs) {
  const std::string text = R"yaml(steps: [{name: one-a, task: x}, {name: two, task: y}]
checks: ['test "$STEP_one_a" = first', 'test "$ANSWER" = second', 'test "$(cat "$ANSWER_FILE")" = "$STEP_two"']
)yaml";
  EXPECT_EQ(run(text, {"first", "second"}).check_passed, true);
  const EndEvent end = run(text, {"first", "third"});
  EXPECT_EQ(end.reason, "the task's check failed");
  EXPECT_EQ(end.check_passed, false);
}

TEST_F(TaskRunner, EachStepHasItsOwnModel) {
  const Task made = *Task::parse(R"yaml(model: big
sampling: {temperature: 0.5, seed: 3, template: coder}
steps: [{name: a, task: x}, {name: b, task: y, model: small, sampling: {temperature: 0, top_k: 5}}, {name: c, task: z, sampling: {seed: 4}}]
)yaml",
                                 "t");
  const TaskModel a = made.model_of(made.steps[0]), b = made.model_of(made.steps[1]), c = made.model_of(made.steps[2]);
  EXPECT_EQ(std::tie(a.named, a.chat_template), std::tuple("big", "coder"));
  EXPECT_EQ(std::tuple(*a.temperature, *a.seed), std::tuple(0.5, 3U));
  EXPECT_EQ(std::tie(b.named, b.chat_template), std::tuple("small", "")) << "the template is another model's";
  EXPECT_EQ(std::tuple(*b.temperature, *b.seed, *b.top_k), std::tuple(0.0, 3U, 5));
  EXPECT_EQ(std::tuple(c.named, *c.temperature, *c.seed), std::tuple("big", 0.5, 4U));

  ScriptedModel big({"from big"}), small({"from small"});
  RunnerOptions own;
  own.root = root();
  own.model_of = [&](const TaskStep& step) -> ChatModel& { return step.name == "b" ? small : big; };
  EXPECT_EQ(run_task(made, big, tools, own).status, RunStatus::success);
  EXPECT_EQ(big.shown.size(), 2U);
  EXPECT_EQ(small.shown.size(), 1U);
}

TEST_F(TaskRunner, TheBudgetsOfTheRunCanBeSet) {
  task = *Task::parse("task: x\nbudget: {calls: 3, turns: 9}", "t");
  ASSERT_TRUE(task.set_budget("calls=7"));
  ASSERT_TRUE(task.set_budget("seconds=0.5"));
  EXPECT_EQ(task.budget.calls, 7);
  EXPECT_EQ(task.budget.seconds, 0.5);
  EXPECT_EQ(task.budget.turns, 9);
  for (const char* wrong : {"", "calls", "calls=", "calls=x", "calls=-1", "calls=0", "turns=5", "prices=3", "=4"})
    EXPECT_EQ(task.set_budget(wrong).error().code, Errc::invalid_argument) << wrong;
}

TEST_F(TaskRunner, PreparesEveryStepBeforeAnythingIsDone) {
  const Task made =
      *Task::parse("steps: [{name: a, task: x, output: {schema: {type: array}}}, {name: b, task: y, tools: [read_file]}]", "t");
  std::vector<std::string> prepared;
  const auto note = [&](const TaskStep& step, const ToolRegistry& offered) -> Result<void> {
    prepared.push_back(fmt::format("{} {}", offered.names().size(), step.output.schema.has_value()));
    return {};
  };
  ASSERT_TRUE(prepare_steps(made, tools, note));
  EXPECT_THAT(prepared, ElementsAre("1 false", "9 true"));
  const Task wrong = *Task::parse("steps: [{name: a, task: x}, {name: b, task: y, tools: [nothing]}]", "t");
  EXPECT_THAT(prepare_steps(wrong, tools, note).error().message, HasSubstr("step b: tools: no tool is called nothing"));
}

TEST_F(TaskRunner, TheDefaultToolsAreTheFileToolsAndThoseOfServers) {
  Tool other{.definition = Json::parse(R"({"type": "function", "function": {"name": "run_command"}})", "t").value(), .origin = {}};
  other.execute = [](const Json&, const CallContext&) { return ToolResult{}; };
  Tool served = other;
  served.definition = Json::parse(R"({"type": "function", "function": {"name": "served"}})", "t").value();
  served.origin = "server";
  ASSERT_TRUE(tools.add(other) && tools.add(served));
  const Task plain = *Task::parse("task: x", "t");
  EXPECT_EQ(tools_of(plain, plain.steps[0], tools)->names().size(), 10U);
  const Task chosen = *Task::parse("task: x\ntools: [run_command, 'read_*']", "t");
  EXPECT_THAT(tools_of(chosen, chosen.steps[0], tools)->names(), ElementsAre("read_file", "run_command"));
}

}  // namespace
}  // namespace quern
