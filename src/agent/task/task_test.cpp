#include "agent/task/task.h"

#include <gmock/gmock.h>

#include "agent/temporary_folder_test.h"
#include "base/file.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string error_of(std::string_view text) {
  const auto task = Task::parse(text, "t.yaml");
  return task ? "(accepted)" : task.error().message;
}

TEST(Task, ReadsEveryField) {
  const auto task = Task::parse(R"(name: sort
description: |
  Two lines
  of words.
task: "Sort {{what}} into {{ where }}."
system: Be brief.
inputs:
  what:
  where: "01"
tools: [list_files, move_file]
setup: bash make.sh
check: test -e done
budget: {turns: 7, tokens: 100, seconds: 2.5}
)",
                                "t.yaml");
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->name, "sort");
  EXPECT_EQ(task->description, "Two lines\nof words.");
  EXPECT_FALSE(task->has_steps());
  EXPECT_EQ(task->steps[0].instruction, "Sort {{what}} into {{ where }}.");
  EXPECT_EQ(task->system, "Be brief.");
  ASSERT_EQ(task->inputs.size(), 2U);
  EXPECT_FALSE(task->inputs[0].value);
  EXPECT_EQ(task->inputs[1].value, "01");
  EXPECT_THAT(*task->tools, ElementsAre("list_files", "move_file"));
  EXPECT_EQ(task->setup, "bash make.sh");
  EXPECT_EQ(task->steps[0].checks[0].command, "test -e done");
  EXPECT_EQ(task->steps[0].budget.turns, 7);
  EXPECT_EQ(task->steps[0].budget.tokens, 100);
  EXPECT_EQ(task->budget.seconds, 2.5);
}

TEST(Task, NeedsNothingButTheInstruction) {
  const auto task = Task::parse("task: Do it.", "t.yaml");
  ASSERT_TRUE(task);
  EXPECT_EQ(task->system, kDefaultSystemPrompt);
  EXPECT_FALSE(task->tools);
  EXPECT_EQ(task->budget.turns, 60);
  EXPECT_EQ(task->budget.tokens, 4096);
  EXPECT_FALSE(task->budget.seconds);
}

TEST(Task, FillsInputsFromDefaultsAndValues) {
  auto task = *Task::parse("task: '{{a}} and {{b}}, {{a}}'\ninputs: {a: , b: two}", "t.yaml");
  Task same = task;
  EXPECT_EQ(same.fill({}).error().message, "input a has no value: give --input a=…");
  EXPECT_EQ(same.fill({{"c", "x"}}).error().message, "--input c: the task has no input of that name");
  ASSERT_TRUE(task.fill({{"a", "{{b}}"}}));
  EXPECT_EQ(*task.scope().fill(task.steps[0].instruction), "{{b}} and two, {{b}}");  // a value is text, not a template
}

TEST(Task, ASentenceIsTakenAsItIs) {
  Task task = Task::from_sentence("Replace {{name}} in a.txt");
  ASSERT_TRUE(task.fill({}));
  EXPECT_TRUE(task.literal);
  EXPECT_EQ(task.steps[0].instruction, "Replace {{name}} in a.txt");
  EXPECT_FALSE(task.fill({{"name", "x"}}));
  EXPECT_EQ(Task::from_sentence("a\xFF").fill({}).error().message, "task: byte 1: not UTF-8");
}

TEST(Task, FindsInputsInTheEnvironmentAndInFiles) {
  const TemporaryFolder top;
  ASSERT_TRUE(write_file(top.path() / "token.txt", "s3cret-in-a-file\n"));
  ASSERT_TRUE(write_file(top.path() / "task.yaml", R"(task: "{{who}} {{token}} {{key}} {{plain}}"
inputs:
  who: {env: WHO, default: nobody}
  token: {secret: true, file: token.txt, tools: [http_request]}
  key: {secret: true, env: KEY}
  plain:
)"));
  auto task = *Task::load(top.path() / "task.yaml");
  const auto environment = [](const std::string& name) -> std::optional<std::string> {
    return name == "KEY" ? std::optional<std::string>("k3y-value") : std::nullopt;
  };
  Task same = task;
  EXPECT_EQ(same.fill({{"plain", "x"}}).error().message, "input key has no value: set $KEY");
  EXPECT_THAT(same.fill({{"token", "x"}}, environment).error().message, HasSubstr("--input token: it is a secret"));
  ASSERT_TRUE(task.fill({{"plain", "x"}}, environment));
  EXPECT_EQ(task.inputs[0].value, "nobody");
  EXPECT_EQ(task.inputs[1].value, "s3cret-in-a-file");
  EXPECT_EQ(task.inputs[2].value, "k3y-value");
  EXPECT_EQ(*task.scope().fill(task.steps[0].instruction), "nobody {{secret:token}} {{secret:key}} x");
  EXPECT_THAT(error_of("task: x\ninputs: {k: {secret: true}}"), HasSubstr("a secret needs env: or file:"));
  EXPECT_THAT(error_of("task: x\ninputs: {k: {secret: true, default: abc, env: X}}"), HasSubstr("does not stand in a task file"));
  EXPECT_THAT(error_of("task: x\ninputs: {k: {env: X, tools: [a]}}"), HasSubstr("only a secret"));
}

TEST(Task, ReadsEverythingThatATaskWithoutStepsMayHave) {
  const auto task = Task::parse(R"(task: Do it.
model: ../models/small
sampling: {temperature: 0.7, top_p: 0.8, top_k: 20, min_p: 0.05, seed: 7, template: coder}
files: [notes.txt, {path: "{{n}}.csv", max_bytes: 100}]
inputs: {n: a}
mcp:
  files: {command: npx, args: [-y, "server {{n}}"], env: {A: "{{n}}"}, network: true, folders: [/data]}
  remote: {trusted: true, tools: [a], url: "https://example.org/mcp", headers: {Authorization: "Bearer {{n}}"}}
access: {hosts: [api.example.org], network: true, read: [/usr], write: [out]}
policy:
  default: deny
  rules:
    - allow: [read_*, list_files]
    - ask: write_file
      where: {path: [out/*, {regex: "tmp/[a-z]+"}]}
    - deny: "*"
      server: remote
checks: [test -e a, {run: test -e b}, {schema: {type: object, required: [a]}, file: a.json}, {schema: '{"type": "string"}'}]
retries: 2
output: {file: "{{n}}.json", schema: {type: object, properties: {n: {type: integer, minimum: 3}, yes: {const: "3"}}}}
budget: {calls: 9, total_tokens: 1000, cost: 2.5, context: 8000, prices: {prompt: 1, generated: 2.5, calls: {http_*: 3, "*": 0}}}
)",
                                "t.yaml");
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->model.named, "../models/small");
  EXPECT_EQ(task->model.temperature, 0.7);
  EXPECT_EQ(task->model.top_k, 20);
  EXPECT_EQ(task->model.seed, 7U);
  EXPECT_EQ(task->model.chat_template, "coder");
  const TaskStep& step = task->steps[0];
  ASSERT_EQ(step.files.size(), 2U);
  EXPECT_EQ(step.files[1].path, "{{n}}.csv");
  EXPECT_EQ(step.files[1].max_bytes, 100U);
  ASSERT_EQ(task->mcp.size(), 2U);
  EXPECT_THAT(task->mcp[0].arguments, ElementsAre("-y", "server {{n}}"));
  EXPECT_TRUE(task->mcp[0].network);
  EXPECT_TRUE(task->mcp[0].confined);
  EXPECT_FALSE(task->mcp[0].trusted);
  EXPECT_TRUE(task->mcp[1].trusted);
  EXPECT_THAT(*task->mcp[1].tools, ElementsAre("a"));
  EXPECT_TRUE(task->access.network);
  EXPECT_THAT(task->access.hosts, ElementsAre("api.example.org"));
  EXPECT_THAT(task->access.write, ElementsAre("out"));
  EXPECT_EQ(task->mcp[1].headers[0].second, "Bearer {{n}}");
  ASSERT_EQ(task->policy.rules.size(), 3U);
  EXPECT_EQ(task->policy.fallback, Verdict::deny);
  EXPECT_EQ(task->policy.rules[1].arguments[0].patterns.size(), 2U);
  EXPECT_TRUE(task->policy.rules[1].arguments[0].patterns[1].matches("tmp/abc"));
  EXPECT_EQ(task->policy.rules[2].server, "remote");
  ASSERT_EQ(step.checks.size(), 4U);
  EXPECT_EQ(step.checks[2].file, "a.json");
  EXPECT_EQ(step.retries, 2);
  EXPECT_EQ(step.output.schema->dump(),
            R"({"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}, "yes": {"const": "3"}}})");
  EXPECT_EQ(task->budget.calls, 9);
  EXPECT_EQ(task->budget.cost, 2.5);
  EXPECT_EQ(step.budget.context, 8000);
  EXPECT_FALSE(step.budget.calls);  // the run's, once
  EXPECT_EQ(step.budget.prices.of_call("http_request"), 3);
}

TEST(Task, ReadsSteps) {
  const auto task = Task::parse(R"(inputs: {list: }
retries: 1
steps:
  - name: find
    task: Find {{list}}.
    output: {schema: {type: array, items: {type: string}}}
  - name: each
    for_each: "{{steps.find.output}}"
    task: Do {{item}} and {{item.name}}.
    tools: []
    retries: 0
    budget: {turns: 3, calls: 2}
  - name: rest
    for_each: {files: "*.txt"}
    task: "{{steps.each.output.0}}"
  - {name: last, for_each: [a, 2, {n: 3}], task: "x"}
on_failure:
  - name: tell
    task: "{{failure.step}}: {{failure.reason}}"
check: "true"
)",
                                "t.yaml");
  ASSERT_TRUE(task) << task.error().message;
  ASSERT_EQ(task->steps.size(), 4U);
  EXPECT_EQ(task->steps[0].retries, 1);
  EXPECT_EQ(task->steps[1].retries, 0);
  EXPECT_TRUE(task->steps[1].tools->empty());
  EXPECT_EQ(task->steps[1].budget.turns, 3);
  EXPECT_EQ(task->steps[1].budget.calls, 2);
  EXPECT_EQ(task->steps[1].for_each->text, "{{steps.find.output}}");
  EXPECT_EQ(task->steps[2].for_each->files, "*.txt");
  EXPECT_EQ(task->steps[3].for_each->items->at(2).dump(), R"({"n": 3})");
  EXPECT_EQ(task->on_failure[0].name, "tell");
  EXPECT_EQ(task->checks[0].command, "true");
}

TEST(Task, NamesTheLineOfWhatIsWrong) {
  EXPECT_EQ(
      error_of("task: x\ntols: [a]"),
      "t.yaml:2: tols: unknown key; there are name, description, task, steps, on_failure, system, model, sampling, inputs, files, tools, "
      "mcp, policy, root, setup, check, checks, retries, access, output, budget");
  EXPECT_EQ(error_of("task: x\nbudget:\n  turns: 3\n  minutes: 2"),
            "t.yaml:4: minutes: unknown key; there are turns, tokens, seconds, calls, total_tokens, cost, context, prices");
  EXPECT_EQ(error_of("task: x\nbudget: {turns: 0}"),
            "t.yaml:2: budget: turns: expected a number above 0 and up to 100000, found 0");
  EXPECT_EQ(error_of("task: x\nbudget: {turns: 3x}"),
            "t.yaml:2: budget: turns: expected a number above 0 and up to 100000, found 3x");
  EXPECT_THAT(error_of("task: x\nbudget: {seconds: nan}"), HasSubstr("t.yaml:2: budget: seconds: expected"));
  EXPECT_THAT(error_of("task: x\nbudget: {seconds: [1]}"), HasSubstr("found a list"));
  EXPECT_EQ(error_of("name: x"), "t.yaml:1: task: missing");
  EXPECT_EQ(error_of("task:\n"), "t.yaml:1: task: expected text, found nothing");
  EXPECT_EQ(error_of("task: '  '"), "t.yaml:1: task: is empty");
  EXPECT_EQ(error_of("task: [a]"), "t.yaml:1: task: expected text, found a list");
  EXPECT_EQ(error_of("task: x\ntools: list_files"), "t.yaml:2: tools: expected a list of texts, found text");
  EXPECT_EQ(error_of("task: x\ninputs: {a b: c}"), "t.yaml:2: inputs: a b: a name has letters, digits, - and _");
  EXPECT_EQ(error_of("\ntask: a {{b}}"), "t.yaml:2: task: {{b}} is not among inputs:");
  EXPECT_EQ(error_of("task: a {{b"), "t.yaml:1: task: {{ without }}");
  EXPECT_EQ(error_of("task: a\ntask: b"), "t.yaml:2: task: the key is there twice");
  EXPECT_EQ(error_of("task: a\nroot: b\nsetup: c"),
            "t.yaml:2: root: a task with setup: runs in a fresh folder; leave one of them out");
  EXPECT_EQ(error_of("just words"), "t.yaml:1: expected keys such as task:, found text");
  EXPECT_EQ(error_of(""), "t.yaml:1: the file is empty");
  EXPECT_THAT(error_of("task: 'open"), HasSubstr("t.yaml:1: "));
  EXPECT_THAT(error_of("task: x\n\ttools: y"), HasSubstr("t.yaml:"));
  EXPECT_THAT(error_of("task: a\n---\ntask: b"), HasSubstr("expected one document"));
  EXPECT_EQ(error_of("task: \xFF"), "t.yaml: byte 6: not UTF-8");
}

TEST(Task, RefusesWhatGrowsOrNests) {
  EXPECT_EQ(error_of("task: &a x\nname: *a"), "t.yaml:1: anchors (&name) are not supported");
  EXPECT_THAT(error_of("task: x\nname: *a"), HasSubstr("t.yaml:2: "));
  EXPECT_EQ(error_of("task: !!binary aGk="), "t.yaml:1: tags (!name) are not supported");
  EXPECT_EQ(error_of("{a: b}: c"), "t.yaml:1: a key must be a plain word");
  EXPECT_THAT(error_of("task: " + std::string(100'000, '[')), HasSubstr("t.yaml:1: "));
  EXPECT_THAT(error_of("task: " + std::string(21, '[') + std::string(21, ']')), HasSubstr("nested more than 20 levels deep"));
  EXPECT_THAT(error_of("task: " + std::string(65'537, 'x')), HasSubstr("at most 65536 are allowed"));
  EXPECT_THAT(error_of(std::string(300'000, '#')), HasSubstr("at most 262144 are read"));
  EXPECT_THAT(error_of("task: x\nfor_each: [a]"), HasSubstr("unknown key"));
  std::string inputs = "task: x\ninputs:\n";
  for (int i = 0; i < 101; ++i) inputs += fmt::format("  i{}: x\n", i);
  EXPECT_THAT(error_of(inputs), HasSubstr("inputs: at most 100 are allowed"));
}

TEST(Task, SurvivesEveryPrefixAndEveryChangedByteOfAFile) {
  const std::string text =
      "name: 'a'\ntask: |\n  b {{c}}\ninputs: {c: \"d\"}\ntools: [x, y]\nbudget:\n  turns: 3\n"
      "policy:\n- allow: a*\n  where: {p: {regex: '[a-b]'}}\nchecks: [{schema: {type: [\"object\"]}}]\n";
  for (size_t i = 0; i < text.size(); ++i) {
    static_cast<void>(error_of(text.substr(0, i)));
    for (const char c : std::string("{}[]&*!|>'\"%@`:-?,#\n\t \x00\xFF\x85", 26)) {
      std::string changed = text;
      changed[i] = c;
      EXPECT_FALSE(error_of(changed).empty());
    }
  }
}

TEST(Task, LoadedFromAFileKnowsItsFolder) {
  const TemporaryFolder top;
  const auto file = top.path() / "task.yaml";
  ASSERT_TRUE(write_file(file, "task: x\nroot: data\n"));
  const auto task = Task::load(file);
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->folder, top.path());
  EXPECT_EQ(task->root, top.path() / "data");
  EXPECT_EQ(task->name, top.path().filename().string());
  EXPECT_EQ(Task::load(top.path() / "none.yaml").error().code, Errc::not_found);
}

}  // namespace
}  // namespace quern
