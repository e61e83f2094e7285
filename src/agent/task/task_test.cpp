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
  EXPECT_EQ(task->instruction, "Sort {{what}} into {{ where }}.");
  EXPECT_EQ(task->system, "Be brief.");
  ASSERT_EQ(task->inputs.size(), 2U);
  EXPECT_FALSE(task->inputs[0].value);
  EXPECT_EQ(task->inputs[1].value, "01");
  EXPECT_THAT(*task->tools, ElementsAre("list_files", "move_file"));
  EXPECT_EQ(task->setup, "bash make.sh");
  EXPECT_EQ(task->check, "test -e done");
  EXPECT_EQ(task->budget.turns, 7);
  EXPECT_EQ(task->budget.tokens, 100);
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
  EXPECT_EQ(task.instruction, "{{b}} and two, {{b}}");  // a value is text, not a template
}

TEST(Task, ASentenceIsTakenAsItIs) {
  Task task = Task::from_sentence("Replace {{name}} in a.txt");
  ASSERT_TRUE(task.fill({}));
  EXPECT_EQ(task.instruction, "Replace {{name}} in a.txt");
  EXPECT_FALSE(task.fill({{"name", "x"}}));
  EXPECT_EQ(Task::from_sentence("a\xFF").fill({}).error().message, "task: byte 1: not UTF-8");
}

TEST(Task, NamesTheLineOfWhatIsWrong) {
  EXPECT_EQ(error_of("task: x\ntols: [a]"),
            "t.yaml:2: tols: unknown key; there are name, description, task, system, inputs, tools, root, setup, check, budget");
  EXPECT_EQ(error_of("task: x\nbudget:\n  turns: 3\n  minutes: 2"),
            "t.yaml:4: minutes: unknown key; there are turns, tokens, seconds");
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
  EXPECT_EQ(error_of("task: x\ntools: list_files"), "t.yaml:2: tools: expected a list of names, found text");
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
  std::string inputs = "task: x\ninputs:\n";
  for (int i = 0; i < 101; ++i) inputs += fmt::format("  i{}: x\n", i);
  EXPECT_THAT(error_of(inputs), HasSubstr("inputs: at most 100 are allowed"));
}

TEST(Task, SurvivesEveryPrefixAndEveryChangedByteOfAFile) {
  const std::string text = "name: 'a'\ntask: |\n  b {{c}}\ninputs: {c: \"d\"}\ntools: [x, y]\nbudget:\n  turns: 3\n";
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
