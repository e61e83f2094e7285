#include "agent/task/task.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <functional>

#include "agent/task/yaml.h"
#include "base/file.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMaxText = 64 << 10, kMaxItems = 100;

bool is_name(std::string_view text) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), ok);
}

// Calls put(name) for each {{name}} and joins what it returns with the text between.
Result<std::string> replace_placeholders(std::string_view text, const std::function<Result<std::string>(const std::string&)>& put) {
  std::string out;
  while (true) {
    const size_t open = text.find("{{");
    out += text.substr(0, open);
    if (open == std::string_view::npos) return out;
    const size_t close = text.find("}}", open);
    if (close == std::string_view::npos) return fail(Errc::malformed, "{{{{ without }}}}");
    std::string_view name = text.substr(open + 2, close - open - 2);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (!is_name(name)) return fail(Errc::malformed, "{{{{{}}}}}: expected the name of an input", name.substr(0, 40));
    QUERN_ASSIGN(const std::string value, put(std::string(name)));
    out += value;
    text.remove_prefix(close + 2);
  }
}

class Reader {
 public:
  Reader(const YamlNode& root, std::string_view where) : root_(root), where_(where) {}

  Result<Task> read() {
    if (root_.kind != YamlNode::Kind::map) return error(root_, "expected keys such as task:, found {}", yaml_kind_name(root_.kind));
    QUERN_TRY(only_keys(root_, {"name", "description", "task", "system", "inputs", "tools", "root", "setup", "check", "budget"}));
    Task task;
    if (!root_.find("task")) return error(root_, "task: missing");
    for (const auto& [key, into] : {std::pair("name", &task.name),
                                    {"description", &task.description},
                                    {"task", &task.instruction},
                                    {"system", &task.system},
                                    {"setup", &task.setup},
                                    {"check", &task.check}})
      if (const YamlNode* node = root_.find(key)) {
        QUERN_ASSIGN(*into, text(*node, key));
      }
    if (const YamlNode* node = root_.find("root")) {
      QUERN_ASSIGN(task.root, text(*node, "root"));
      if (!task.setup.empty()) return error(*node, "root: a task with setup: runs in a fresh folder; leave one of them out");
    }
    QUERN_TRY(read_inputs(task));
    QUERN_TRY(read_tools(task));
    QUERN_TRY(read_budget(task.budget));
    QUERN_TRY(check_placeholders(task));
    return task;
  }

 private:
  template <class... Args>
  tl::unexpected<Error> error(const YamlNode& node, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(Errc::malformed, "{}:{}: {}", where_, node.line, fmt::format(format, std::forward<Args>(args)...));
  }

  Result<void> only_keys(const YamlNode& map, std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : map.members)
      if (std::find(known.begin(), known.end(), key) == known.end())
        return error(value, "{}: unknown key; there are {}", key.substr(0, 60), fmt::join(known, ", "));
    return {};
  }

  Result<std::string> text(const YamlNode& node, std::string_view key) const {
    if (node.kind != YamlNode::Kind::scalar) return error(node, "{}: expected text, found {}", key, yaml_kind_name(node.kind));
    if (node.scalar.size() > kMaxText)
      return error(node, "{}: {} bytes, at most {} are allowed", key, node.scalar.size(), kMaxText);
    if (node.scalar.find('\0') != std::string::npos) return error(node, "{}: contains a zero byte", key);
    std::string_view trimmed = node.scalar;
    while (trimmed.ends_with('\n') || trimmed.ends_with(' ')) trimmed.remove_suffix(1);
    if (trimmed.empty()) return error(node, "{}: is empty", key);
    return std::string(trimmed);
  }

  Result<void> read_inputs(Task& task) const {
    const YamlNode* inputs = root_.find("inputs");
    if (!inputs) return {};
    if (inputs->kind != YamlNode::Kind::map)
      return error(*inputs, "inputs: expected a map of names to default values, found {}", yaml_kind_name(inputs->kind));
    if (inputs->members.size() > kMaxItems) return error(*inputs, "inputs: at most {} are allowed", kMaxItems);
    for (const auto& [name, value] : inputs->members) {
      if (!is_name(name)) return error(value, "inputs: {}: a name has letters, digits, - and _", name.substr(0, 60));
      TaskInput input{name, std::nullopt};
      if (value.kind != YamlNode::Kind::null) {
        QUERN_ASSIGN(input.value, text(value, fmt::format("inputs: {}", name)));
      }
      task.inputs.push_back(std::move(input));
    }
    return {};
  }

  Result<void> read_tools(Task& task) const {
    const YamlNode* tools = root_.find("tools");
    if (!tools) return {};
    if (tools->kind != YamlNode::Kind::list || tools->items.empty())
      return error(*tools, "tools: expected a list of names, found {}", yaml_kind_name(tools->kind));
    if (tools->items.size() > kMaxItems) return error(*tools, "tools: at most {} are allowed", kMaxItems);
    task.tools.emplace();
    for (const YamlNode& item : tools->items) {
      QUERN_ASSIGN(std::string name, text(item, "tools"));
      task.tools->push_back(std::move(name));
    }
    return {};
  }

  template <class Number>
  Result<Number> number(const YamlNode& node, std::string_view key, Number most) const {
    Number value{};
    const char* end = node.scalar.data() + node.scalar.size();
    const auto [stop, status] = std::from_chars(node.scalar.data(), end, value);
    if (node.kind != YamlNode::Kind::scalar || status != std::errc() || stop != end || !(value > 0) || !(value <= most))
      return error(node, "budget: {}: expected a number above 0 and up to {}, found {}", key, most,
                   node.kind == YamlNode::Kind::scalar ? std::string_view(node.scalar).substr(0, 40) : yaml_kind_name(node.kind));
    return value;
  }

  Result<void> read_budget(Budget& budget) const {
    const YamlNode* node = root_.find("budget");
    if (!node) return {};
    if (node->kind != YamlNode::Kind::map)
      return error(*node, "budget: expected turns:, tokens: and seconds:, found {}", yaml_kind_name(node->kind));
    QUERN_TRY(only_keys(*node, {"turns", "tokens", "seconds"}));
    if (const YamlNode* turns = node->find("turns")) {
      QUERN_ASSIGN(budget.turns, number(*turns, "turns", int64_t{100'000}));
    }
    if (const YamlNode* tokens = node->find("tokens")) {
      QUERN_ASSIGN(budget.tokens, number(*tokens, "tokens", int64_t{1'000'000}));
    }
    if (const YamlNode* seconds = node->find("seconds")) {
      QUERN_ASSIGN(budget.seconds, number(*seconds, "seconds", 1e7));
    }
    return {};
  }

  // Found when the file is read, not when it first runs with a value.
  Result<void> check_placeholders(const Task& task) const {
    const auto known = [&](const std::string& name) -> Result<std::string> {
      for (const TaskInput& input : task.inputs)
        if (input.name == name) return std::string();
      return fail(Errc::malformed, "{{{{{}}}}} is not among inputs:", name);
    };
    const auto checked = replace_placeholders(task.instruction, known);
    if (!checked) return error(*root_.find("task"), "task: {}", checked.error().message);
    return {};
  }

  const YamlNode& root_;
  std::string_view where_;
};

}  // namespace

Result<Task> Task::parse(std::string_view text, std::string_view where) {
  QUERN_ASSIGN(const YamlNode root, parse_yaml(text, where));
  return Reader(root, where).read();
}

Result<Task> Task::load(const std::filesystem::path& file) {
  QUERN_ASSIGN(const std::string text, read_file(file, 1 << 20));
  QUERN_ASSIGN(Task task, parse(text, file.string()));
  std::error_code failed;
  task.folder = std::filesystem::absolute(file, failed).parent_path();
  if (failed) return fail(Errc::io, "{}: {}", file.string(), failed.message());
  if (task.name.empty()) task.name = task.folder.filename().string();
  if (!task.root.empty()) task.root = task.folder / task.root;
  return task;
}

Task Task::from_sentence(std::string sentence) {
  Task task;
  task.instruction = std::move(sentence);
  return task;
}

Result<void> Task::fill(const std::map<std::string, std::string>& values) {
  const auto find = [&](const std::string& wanted) {
    return std::find_if(inputs.begin(), inputs.end(), [&](const TaskInput& i) { return i.name == wanted; });
  };
  for (const auto& [key, value] : values) {
    const auto input = find(key);
    if (input == inputs.end())
      return fail(Errc::invalid_argument, "--input {}: the task has no input of that name", key.substr(0, 60));
    if (value.size() > kMaxText)
      return fail(Errc::out_of_range, "--input {}: {} bytes, at most {} are allowed", key, value.size(), kMaxText);
    input->value = value;
  }
  for (const TaskInput& input : inputs)
    if (!input.value) return fail(Errc::invalid_argument, "input {} has no value: give --input {}=…", input.name, input.name);
  const auto value_of = [&](const std::string& key) -> Result<std::string> {
    const auto input = find(key);
    if (input == inputs.end()) return fail(Errc::invalid_argument, "task: {{{{{}}}}} is not among inputs:", key);
    return *input->value;
  };
  if (!inputs.empty()) {  // a sentence may say {{ }} and mean it
    QUERN_ASSIGN(instruction, replace_placeholders(instruction, value_of));
  }
  if (const size_t at = find_invalid_utf8(instruction); at != std::string::npos)
    return fail(Errc::malformed, "task: byte {}: not UTF-8", at);
  return {};
}

}  // namespace quern
