// docs/task.schema.json and the reader of task files say the same.
#include <gtest/gtest.h>

#include "agent/task/schema.h"
#include "agent/task/task.h"
#include "agent/task/yaml.h"
#include "base/file.h"
#include "constrain/constraint.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

const Json& schema() {
  static const Json parsed = Json::parse(task_schema(), "task.schema.json").value();
  return parsed;
}

std::string by_schema(std::string_view text) {
  const auto node = parse_yaml(text, "t.yaml");
  if (!node) return node.error().message;
  const auto fits = check_json(schema(), yaml_json(*node));
  return fits ? "" : fits.error().message;
}
std::string by_reader(std::string_view text) {
  const auto task = Task::parse(text, "t.yaml");
  return task ? "" : task.error().message;
}

TEST(TaskSchema, IsTheFileInTheDocumentation) {
  EXPECT_EQ(task_schema(), *read_file(fs::path(QUERN_REPO) / "docs/task.schema.json"));
}

TEST(TaskSchema, AcceptsEveryExample) {
  int examples = 0;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(QUERN_REPO) / "examples")) {
    if (entry.path().filename() != "task.yaml") continue;
    const std::string text = *read_file(entry.path());
    EXPECT_EQ(by_schema(text), "") << entry.path();
    EXPECT_EQ(by_reader(text), "") << entry.path();
    ++examples;
  }
  EXPECT_GE(examples, 3);
}

// The blocks of docs/run-tasks.md that are whole task files.
TEST(TaskSchema, AcceptsTheTasksOfTheDocumentation) {
  const std::string page = *read_file(fs::path(QUERN_REPO) / "docs/run-tasks.md");
  int tasks = 0;
  for (size_t at = page.find("```yaml\n"); at != std::string::npos; at = page.find("```yaml\n", at + 1)) {
    const size_t begin = at + 8, end = page.find("\n```", begin);
    const std::string text = page.substr(begin, end - begin) + "\n";
    if (!text.starts_with("name: ")) continue;
    EXPECT_EQ(by_schema(text), "") << text;
    EXPECT_EQ(by_reader(text), "") << text;
    ++tasks;
  }
  EXPECT_GE(tasks, 2);
}

TEST(TaskSchema, AcceptsWhatTheReaderAccepts) {
  for (const char* text :
       {"task: x", "task: 3\nname: true", "task: x\ninputs: {a: , b: 2025, c: {env: X}, d: {secret: true, file: f}}",
        "task: x\npolicy: [allow: a]", "task: x\npolicy: {default: ask}",
        "task: x\npolicy: [{deny: [a, b], server: s, where: {p: x, q: [a, {regex: b}]}}]",
        "task: x\nsampling: {temperature: 0, seed: 18446744073709551615}",
        "task: x\nbudget: {seconds: 0.5, prices: {calls: {a: 0}}}", "steps: [{name: a, task: x}]",
        "steps: [{name: a, task: x, for_each: [1, {b: 2}]}, {name: b, task: y, tools: []}]",
        "steps: [{name: a, task: x, for_each: {files: '*'}}]\nretries: 3\ncheck: y\non_failure: [{name: c, task: z}]",
        "task: x\nmcp: {a: {command: c, args: [x]}, b: {url: u, headers: {h: v}}}", "task: x\noutput: {schema: '{}'}",
        "task: x\nchecks: [a, {run: b}, {schema: {type: object}, file: c}]", "task: x\nroot: a",
        "task: x\naccess: {hosts: [a], network: true, read: [b], write: [c]}",
        "task: x\nmcp: {a: {command: c, confined: false, trusted: true, tools: [x]}, b: {url: u, tools: [y]}}",
        "task: x\nsetup: a"}) {
    EXPECT_EQ(by_reader(text), "") << text;
    EXPECT_EQ(by_schema(text), "") << text;
  }
}

TEST(TaskSchema, RefusesWhatTheReaderRefuses) {
  for (const char* text : {"name: x",
                           "task: [a]",
                           "task: ''",
                           "just words",
                           "[]",
                           "task: x\ntols: a",
                           "task: x\nsteps: [{name: a, task: x}]",
                           "steps: []",
                           "steps: [{task: x}]",
                           "steps: [{name: a}]",
                           "steps: [{name: 'a b', task: x}]",
                           "steps: [{name: a, task: x, root: b}]",
                           "steps: [{name: a, task: x}]\noutput: {file: f}",
                           "steps: [{name: a, task: x}]\nfiles: [f]",
                           "task: x\nfor_each: [a]",
                           "steps: [{name: a, task: x, for_each: text}]",
                           "steps: [{name: a, task: x, for_each: []}]",
                           "steps: [{name: a, task: x, budget: {prices: {prompt: 1}}}]",
                           "task: x\ntools: list_files",
                           "task: x\ntools: []",
                           "task: x\nroot: a\nsetup: b",
                           "task: x\ninputs: {a b: c}",
                           "task: x\ninputs: {a: [b]}",
                           "task: x\ninputs: {a: {secret: true}}",
                           "task: x\ninputs: {a: {secret: true, env: X, default: b}}",
                           "task: x\ninputs: {a: {env: X, tools: [b]}}",
                           "task: x\ninputs: {a: {secret: maybe, env: X}}",
                           "task: x\nbudget: {turns: 0}",
                           "task: x\nbudget: {turns: 1.5}",
                           "task: x\nbudget: {turns: many}",
                           "task: x\nbudget: {minutes: 1}",
                           "task: x\nbudget: {cost: -1}",
                           "task: x\nbudget: {prices: {calls: {a: -1}}}",
                           "task: x\nretries: -1",
                           "task: x\nretries: 21",
                           "task: x\nsampling: {top_p: 2}",
                           "task: x\nsampling: {template: other}",
                           "task: x\npolicy: []",
                           "task: x\npolicy: {}",
                           "task: x\npolicy: [{allow: a, deny: b}]",
                           "task: x\npolicy: [{where: {a: b}}]",
                           "task: x\npolicy: {default: maybe}",
                           "task: x\npolicy: [{allow: a, where: {p: {glob: b}}}]",
                           "task: x\nmcp: {a: {}}",
                           "task: x\nmcp: {a: {command: c, url: u}}",
                           "task: x\nmcp: {a: {command: c, headers: {h: v}}}",
                           "task: x\nmcp: {a: {url: u, args: [x]}}",
                           "task: x\nmcp: {a: {url: u, network: true}}",
                           "task: x\nmcp: {a: {url: u, confined: false}}",
                           "task: x\naccess: {network: perhaps}",
                           "task: x\naccess: {ports: [1]}",
                           "task: x\noutput: {}",
                           "task: x\noutput: {schema: 3}",
                           "task: x\nchecks: []",
                           "task: x\nchecks: [{run: a, schema: {}}]",
                           "task: x\nchecks: [{file: a}]",
                           "task: x\nchecks: [{run: a, file: b}]",
                           "task: x\nfiles: [{max_bytes: 3}]",
                           "task: x\nfiles: [{path: a, max_bytes: 2000000}]"}) {
    EXPECT_NE(by_reader(text), "") << text;
    EXPECT_NE(by_schema(text), "") << text;
  }
}

// What no schema can say.
TEST(Task, RefusesWhatItsSchemaCannotSee) {
  for (const auto& [text, message] :
       {std::pair("task: '{{a}}'", "t.yaml:1: task: {{a}} is not among inputs:"),
        {"steps:\n- {name: a, task: '{{steps.b.output}}'}\n- {name: b, task: x}",
         "t.yaml:2: task: {{steps.b.output}}: no step before this one is called b"},
        {"steps:\n- {name: a, task: x}\n- {name: b, task: '{{steps.a}}'}", "t.yaml:3: task: {{steps.a}}: expected steps.a.output"},
        {"steps: [{name: a, task: '{{item}}'}]", "t.yaml:1: task: {{item}} is not among inputs:"},
        {"steps:\n- {name: a, task: x}\n- {name: a, task: y}", "t.yaml:3: steps: a: there is a step of that name already"},
        {"inputs: {item: x}\nsteps: [{name: a, task: x}]", "t.yaml:1: inputs: item: in a task with steps: the name is taken"},
        {"task: x\npolicy:\n- allow: a\n  where:\n    p: {regex: '(a'}", "t.yaml:5: policy: where: p: "},
        {"task: x\noutput:\n  schema: {type: [}", "t.yaml:3: "},
        {"task: x\noutput:\n  schema: '{'", "t.yaml:3: output: schema"},
        {"task: x\noutput:\n  schema: {$ref: 'https://example.org/s'}", "t.yaml:3: output: schema: schema: #/$ref"}})
    EXPECT_TRUE(by_reader(text).starts_with(message)) << by_reader(text);
}

}  // namespace
}  // namespace quern
