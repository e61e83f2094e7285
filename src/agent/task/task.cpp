#include "agent/task/task.h"

#include <algorithm>

#include "agent/task/step_reader.h"
#include "agent/task/task_reader.h"
#include "agent/trust/secrets.h"
#include "base/file.h"
#include "base/utf8.h"

namespace quern {

namespace fs = std::filesystem;

Result<Task> Task::parse(std::string_view text, std::string_view where) {
  QUERN_ASSIGN(const YamlNode root, parse_yaml(text, where));
  return read_task(NodeReader(where), root);
}

Result<Task> Task::load(const fs::path& file) {
  QUERN_ASSIGN(std::string text, read_file(file, 1 << 20));
  return from_text(std::move(text), file);
}

Result<Task> Task::from_text(std::string text, const fs::path& file) {
  QUERN_ASSIGN(Task task, parse(text, file.string()));
  std::error_code failed;
  task.file = fs::absolute(file, failed);
  if (failed) return fail(Errc::io, "{}: {}", file.string(), failed.message());
  task.folder = task.file.parent_path();
  task.source = std::move(text);
  if (task.name.empty()) task.name = task.folder.filename().string();
  if (!task.root.empty()) task.root = task.folder / task.root;
  for (TaskInput& input : task.inputs)
    if (!input.file.empty()) input.file = task.folder / input.file;
  return task;
}

Result<void> Task::set_budget(const std::string& said) {
  const size_t equals = said.find('=');
  const std::string key = said.substr(0, equals);
  if (equals == std::string::npos || (key != "calls" && key != "total_tokens" && key != "seconds" && key != "cost"))
    return fail(Errc::invalid_argument, "budget {:?}: expected calls=, total_tokens=, seconds= or cost= and a number",
                printable_line(said.substr(0, 60)));
  YamlNode map, value;
  map.kind = YamlNode::Kind::map;
  value.kind = YamlNode::Kind::scalar;
  value.scalar = said.substr(equals + 1);
  map.line = value.line = 1;
  map.members.push_back({key, std::move(value)});
  const auto read = read_budget(NodeReader("--budget"), map, budget);
  return read ? read : fail(Errc::invalid_argument, "{}", read.error().message);
}

TaskModel Task::model_of(const TaskStep& step) const {
  TaskModel said = model;
  if (!step.model.named.empty()) said.named = step.model.named, said.chat_template.clear();
  if (!step.model.chat_template.empty()) said.chat_template = step.model.chat_template;
  for (const auto part : {&TaskModel::temperature, &TaskModel::top_p, &TaskModel::min_p})
    if (step.model.*part) said.*part = step.model.*part;
  if (step.model.top_k) said.top_k = step.model.top_k;
  if (step.model.seed) said.seed = step.model.seed;
  return said;
}

Task Task::from_sentence(std::string sentence) {
  Task task;
  TaskStep step;
  step.instruction = task.source = std::move(sentence);
  task.steps.push_back(std::move(step));
  task.literal = true;
  return task;
}

namespace {

// Where a value comes from that nobody gave; nothing changes where there is none.
Result<void> look_up(TaskInput& input, const Task::Environment& environment) {
  if (!input.environment.empty() && environment) {
    if (auto found = environment(input.environment)) {
      input.value = std::move(*found);
      return {};
    }
  }
  if (input.file.empty()) return {};
  auto text = read_file(input.file, NodeReader::kMaxText);
  if (!text) return with_context(text.error(), "input " + input.name);
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  input.value = std::move(*text);
  return {};
}

std::string how_to_give(const TaskInput& input) {
  if (!input.secret) return fmt::format("give --input {}=…", input.name);
  return input.environment.empty() ? "its file has none" : fmt::format("set ${}", input.environment);
}

}  // namespace

Result<void> Task::fill(const std::map<std::string, std::string>& values, const Environment& environment) {
  for (const auto& [key, value] : values) {
    const auto input = std::find_if(inputs.begin(), inputs.end(), [&](const TaskInput& i) { return i.name == key; });
    if (input == inputs.end())
      return fail(Errc::invalid_argument, "--input {}: the task has no input of that name", key.substr(0, 60));
    if (input->secret)
      return fail(Errc::invalid_argument, "--input {}: it is a secret, and a command line is seen by others: {}", key,
                  how_to_give(*input));
    if (value.size() > NodeReader::kMaxText)
      return fail(Errc::out_of_range, "--input {}: {} bytes, at most {} are allowed", key, value.size(), NodeReader::kMaxText);
    input->value = value;
  }
  for (TaskInput& input : inputs) {
    if (!values.contains(input.name)) QUERN_TRY(look_up(input, environment));
    if (!input.value || (input.secret && input.value->empty()))
      return fail(Errc::invalid_argument, "input {} has no value: {}", input.name, how_to_give(input));
    if (const size_t at = find_invalid_utf8(*input.value); at != std::string::npos)
      return fail(Errc::malformed, "input {}: byte {}: not UTF-8", input.name, at);
  }
  if (const size_t at = find_invalid_utf8(steps.front().instruction); at != std::string::npos)
    return fail(Errc::malformed, "task: byte {}: not UTF-8", at);
  return {};
}

Scope Task::scope_with_secrets() const {
  Scope scope;
  for (const TaskInput& input : inputs) scope.inputs[input.name] = input.value.value_or("");
  return scope;
}

Scope Task::scope() const {
  Scope scope;
  for (const TaskInput& input : inputs)
    scope.inputs[input.name] = input.secret ? SecretStore::placeholder(input.name) : input.value.value_or("");
  return scope;
}

}  // namespace quern
