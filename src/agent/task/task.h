// Task: what `quern run` carries out, read from a YAML file or made from one sentence. docs/run-tasks.md is the reference of the format, and
// docs/task.schema.json its JSON Schema.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/budget.h"
#include "agent/task/placeholders.h"
#include "agent/task/policy.h"
#include "base/json.h"
#include "base/result.h"

namespace quern {

inline constexpr std::string_view kDefaultSystemPrompt =
    "You are quern, a careful assistant that carries out tasks with tools. Work inside the given folder, use one tool at a time, "
    "and say "
    "what you did when you are done.";

struct TaskInput {
  std::string name;
  std::optional<std::string> value;  // absent: must be given
  std::string environment;           // the variable that has it, if there is one of that name
  std::filesystem::path file;        // that has it; empty: none
  bool secret = false;               // the model must not see it, a command line must not show it
  std::vector<std::string> tools;    // of a secret: whose arguments may have it
};

// What was said about the model; absent: the command's or the engine's own.
struct TaskModel {
  std::string named;  // a path or a name, as --model has it; empty: none
  std::optional<double> temperature, top_p, min_p;
  std::optional<int64_t> top_k;
  std::optional<uint64_t> seed;
  std::string chat_template;
};

// A file whose text is put behind the instruction.
struct AttachedFile {
  std::string path;  // with its {{placeholders}}; below the task's folder or, where it is not there, the root
  size_t max_bytes = 64 << 10;
};

struct TaskServer {
  using Pairs = std::vector<std::pair<std::string, std::string>>;  // values with their {{placeholders}}, secrets' true values
  std::string name;
  std::string command;  // a program beside us; empty: url
  std::vector<std::string> arguments;
  Pairs environment;
  std::string url;
  Pairs headers;
  bool network = false;                           // whether the program may use the network
  std::vector<std::string> folders;               // that it may reach besides the root; read-write
  bool confined = true;                           // false: with the rights of whoever runs quern
  bool trusted = false;                           // what it says of its tools (that they only read) is believed
  std::optional<std::vector<std::string>> tools;  // only these, by the server's own names
};

// What quern's own tools may reach besides the root.
struct TaskAccess {
  std::vector<std::string> hosts;        // http_request; see http_tool.h
  bool network = false;                  // run_command
  std::vector<std::string> read, write;  // run_command: folders, from the task's own
};

// One of: a shell command, or a schema that the answer, or a JSON file, has to satisfy.
struct Check {
  std::string command;
  std::optional<Json> schema;
  std::string file;  // of a schema; empty: the answer
};

struct StepOutput {
  std::optional<Json> schema;  // the answer is JSON that satisfies it
  std::string file;            // where it is written, below the root; with its {{placeholders}}; empty: nowhere
};

// What a step is done for, once for each. Exactly one of the three says where they come from.
struct ForEach {
  std::optional<std::vector<Json>> items;  // as they stand
  std::string files;                       // a glob of the names of files in the root's whole tree
  std::string text;                        // a placeholder: a JSON array's items, a text's lines that are not empty
};

struct TaskStep {
  std::string name;         // empty: the one step of a task without steps:
  std::string instruction;  // with its {{placeholders}}
  std::optional<std::string> system;
  TaskModel model;                                // where it has another one than the task, or samples otherwise
  std::optional<std::vector<std::string>> tools;  // globs; absent: the task's
  std::vector<AttachedFile> files;
  Policy policy;  // before the task's
  std::vector<Check> checks;
  StepOutput output;
  int64_t retries = 0;
  Budget budget;  // of each of its conversations
  std::optional<ForEach> for_each;
};

struct Task {
  std::string name, description;
  TaskModel model;
  std::string system{kDefaultSystemPrompt};
  std::vector<TaskInput> inputs;
  std::optional<std::vector<std::string>> tools;  // globs; absent: the file tools and those of MCP servers
  std::vector<TaskServer> mcp;
  TaskAccess access;
  Policy policy;
  std::filesystem::path root;   // empty: the caller's choice
  std::string setup;            // a shell command; empty: none
  std::vector<TaskStep> steps;  // one at least
  std::vector<TaskStep> on_failure;
  std::vector<Check> checks;     // of a task with steps: after the last one
  Budget budget;                 // of the whole run: calls, tokens in all, seconds, cost
  std::filesystem::path file;    // where it was read; empty: nowhere
  std::filesystem::path folder;  // where the file is: $TASK_DIR
  std::string source;            // its text, or the sentence
  bool literal = false;          // a sentence: its braces are no placeholders

  // Errors name the place: "task.yaml:12: budget: …".
  static Result<Task> parse(std::string_view text, std::string_view where);
  static Result<Task> load(const std::filesystem::path& file);
  // As load() would read it if the file held this text. io: no absolute path.
  static Result<Task> from_text(std::string text, const std::filesystem::path& file);
  static Task from_sentence(std::string sentence);

  // "calls=200": one of the budgets of the whole run, in place of what the task says. invalid_argument: no such budget, or no such number.
  Result<void> set_budget(const std::string& said);
  // What a step says of its model, else what the task says. Another model does not have the template of the task's.
  TaskModel model_of(const TaskStep& step) const;

  bool has_steps() const { return !steps.front().name.empty(); }

  // Looks up what a variable of the environment has; nullopt: there is none.
  using Environment = std::function<std::optional<std::string>(const std::string&)>;
  // Gives inputs their values: those given, else the environment's, else the file's, else the default. invalid_argument: an input that the
  // task does not have, one without a value, a secret that was given; not_found, io: a file.
  Result<void> fill(const std::map<std::string, std::string>& values, const Environment& environment = {});
  // The inputs as texts see them; secrets as {{secret:NAME}}.
  Scope scope() const;
  // The same with secrets' values: for what no model sees, as an MCP server's environment.
  Scope scope_with_secrets() const;
};

// A policy of its own, as --policy takes it: what a task's policy: holds.
Result<Policy> load_policy(const std::filesystem::path& file);

}  // namespace quern
