#include "agent/task/step_reader.h"

#include "agent/task/policy_reader.h"
#include "text/chat_template.h"

namespace quern {
namespace {

constexpr int64_t kMaxRetries = 20;
constexpr size_t kMaxFileBytes = 1 << 20;

Result<void> check_text(const NodeReader& reader, const YamlNode& node, std::string_view key, const std::string& text,
                        const KnownNames& known) {
  const auto checked = known.check(text);
  return checked ? Result<void>() : Result<void>(reader.error(node, "{}: {}", key, checked.error().message));
}

Result<AttachedFile> read_file_entry(const NodeReader& reader, const YamlNode& node, const KnownNames& known) {
  AttachedFile file;
  const YamlNode* path = &node;
  if (node.kind == YamlNode::Kind::map) {
    QUERN_TRY(reader.only_keys(node, {"path", "max_bytes"}));
    path = node.find("path");
    if (!path) return reader.error(node, "files: path: missing");
    if (const YamlNode* most = node.find("max_bytes")) {
      QUERN_ASSIGN(file.max_bytes, reader.number(*most, "files: max_bytes", kMaxFileBytes));
    }
  }
  QUERN_ASSIGN(file.path, reader.text(*path, "files"));
  QUERN_TRY(check_text(reader, *path, "files", file.path, known));
  return file;
}

Result<StepOutput> read_output(const NodeReader& reader, const YamlNode& node, const KnownNames& known) {
  StepOutput output;
  QUERN_TRY(reader.expect_map(node, "output", "schema: and file:"));
  QUERN_TRY(reader.only_keys(node, {"schema", "file"}));
  if (const YamlNode* schema = node.find("schema")) {
    QUERN_ASSIGN(output.schema, reader.schema(*schema, "output: schema"));
  }
  if (const YamlNode* file = node.find("file")) {
    QUERN_ASSIGN(output.file, reader.text(*file, "output: file"));
    QUERN_TRY(check_text(reader, *file, "output: file", output.file, known));
  }
  if (!output.schema && output.file.empty()) return reader.error(node, "output: expected schema: or file:");
  return output;
}

Result<Check> read_check(const NodeReader& reader, const YamlNode& node) {
  Check check;
  if (node.kind == YamlNode::Kind::map) {
    QUERN_TRY(reader.only_keys(node, {"run", "schema", "file"}));
    const YamlNode *run = node.find("run"), *schema = node.find("schema"), *file = node.find("file");
    if (!run == !schema || (run && file)) return reader.error(node, "checks: expected run:, or schema: and perhaps file:");
    if (schema) {
      QUERN_ASSIGN(check.schema, reader.schema(*schema, "checks: schema"));
    }
    if (file) {
      QUERN_ASSIGN(check.file, reader.text(*file, "checks: file"));
    }
    if (!run) return check;
    QUERN_ASSIGN(check.command, reader.text(*run, "checks: run"));
    return check;
  }
  QUERN_ASSIGN(check.command, reader.text(node, "checks"));
  return check;
}

Result<ForEach> read_for_each(const NodeReader& reader, const YamlNode& node, const KnownNames& known) {
  ForEach each;
  if (node.kind == YamlNode::Kind::list) {
    QUERN_TRY(reader.expect_list(node, "for_each", "items"));
    each.items.emplace();
    for (const YamlNode& item : node.items) each.items->push_back(yaml_json(item));
    return each;
  }
  if (node.kind == YamlNode::Kind::map) {
    QUERN_TRY(reader.only_keys(node, {"files"}));
    const YamlNode* files = node.find("files");
    if (!files) return reader.error(node, "for_each: expected files:");
    QUERN_ASSIGN(each.files, reader.text(*files, "for_each: files"));
    return each;
  }
  QUERN_ASSIGN(each.text, reader.text(node, "for_each"));
  if (!each.text.starts_with("{{") || each.text.find("}}") != each.text.size() - 2)
    return reader.error(node, "for_each: expected a list, files: or one {{{{placeholder}}}}, found text");
  QUERN_TRY(check_text(reader, node, "for_each", each.text, known));
  return each;
}

}  // namespace

Result<void> read_budget(const NodeReader& reader, const YamlNode& node, Budget& budget) {
  QUERN_TRY(reader.expect_map(node, "budget", "turns:, tokens: and others"));
  QUERN_TRY(reader.only_keys(node, {"turns", "tokens", "seconds", "calls", "total_tokens", "cost", "context", "prices"}));
  const auto read = [&](std::string_view key, auto most, auto& into) -> Result<void> {
    const YamlNode* value = node.find(key);
    if (!value) return {};
    QUERN_ASSIGN(into, reader.number(*value, fmt::format("budget: {}", key), most));
    return {};
  };
  QUERN_TRY(read("turns", int64_t{100'000}, budget.turns));
  QUERN_TRY(read("tokens", int64_t{1'000'000}, budget.tokens));
  QUERN_TRY(read("seconds", 1e7, budget.seconds));
  QUERN_TRY(read("calls", int64_t{1'000'000}, budget.calls));
  QUERN_TRY(read("total_tokens", int64_t{1} << 40, budget.total_tokens));
  QUERN_TRY(read("cost", 1e12, budget.cost));
  QUERN_TRY(read("context", int64_t{1} << 30, budget.context));
  const YamlNode* prices = node.find("prices");
  if (!prices) return {};
  QUERN_TRY(reader.expect_map(*prices, "budget: prices", "prompt:, generated: and calls:"));
  QUERN_TRY(reader.only_keys(*prices, {"prompt", "generated", "calls"}));
  const auto price = [&](const YamlNode& value, std::string_view key) {
    return reader.number(value, fmt::format("budget: prices: {}", key), 1e9, NodeReader::Least::zero);
  };
  for (const auto& [key, into] : {std::pair("prompt", &budget.prices.prompt), {"generated", &budget.prices.generated}})
    if (const YamlNode* value = prices->find(key)) {
      QUERN_ASSIGN(*into, price(*value, key));
    }
  if (const YamlNode* calls = prices->find("calls")) {
    QUERN_TRY(reader.expect_map(*calls, "budget: prices: calls", "tools and prices"));
    for (const auto& [tool, value] : calls->members) {
      QUERN_ASSIGN(const double one, price(value, tool));
      budget.prices.calls.emplace_back(tool, one);
    }
  }
  return {};
}

Result<void> read_model(const NodeReader& reader, const YamlNode& map, TaskModel& model) {
  if (const YamlNode* named = map.find("model")) {
    QUERN_ASSIGN(model.named, reader.text(*named, "model"));
  }
  const YamlNode* node = map.find("sampling");
  if (!node) return {};
  QUERN_TRY(reader.expect_map(*node, "sampling", "temperature: and others"));
  QUERN_TRY(reader.only_keys(*node, {"temperature", "top_p", "top_k", "min_p", "seed", "template"}));
  const auto read = [&](std::string_view key, auto most, auto& into) -> Result<void> {
    const YamlNode* value = node->find(key);
    if (!value) return {};
    QUERN_ASSIGN(into, reader.number(*value, fmt::format("sampling: {}", key), most, NodeReader::Least::zero));
    return {};
  };
  QUERN_TRY(read("temperature", 100.0, model.temperature));
  QUERN_TRY(read("top_p", 1.0, model.top_p));
  QUERN_TRY(read("min_p", 1.0, model.min_p));
  QUERN_TRY(read("top_k", int64_t{1} << 31, model.top_k));
  QUERN_TRY(read("seed", UINT64_MAX, model.seed));
  const YamlNode* format = node->find("template");
  if (!format) return {};
  QUERN_ASSIGN(model.chat_template, reader.text(*format, "sampling: template"));
  if (parse_chat_format(model.chat_template)) return {};
  return reader.error(*format, "sampling: template: expected instruct, thinking or coder, found {}",
                      model.chat_template.substr(0, 40));
}

Result<std::vector<Check>> read_checks(const NodeReader& reader, const YamlNode& map) {
  std::vector<Check> checks;
  if (const YamlNode* node = map.find("check")) {
    Check check;
    QUERN_ASSIGN(check.command, reader.text(*node, "check"));
    checks.push_back(std::move(check));
  }
  if (const YamlNode* node = map.find("checks")) {
    QUERN_TRY(reader.expect_list(*node, "checks", "a list of checks"));
    for (const YamlNode& item : node->items) {
      QUERN_ASSIGN(Check check, read_check(reader, item));
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

Result<void> read_step_body(const NodeReader& reader, const YamlNode& node, const KnownNames& known, TaskStep& step) {
  const YamlNode* instruction = node.find("task");
  if (!instruction) return reader.error(node, "task: missing");
  QUERN_ASSIGN(step.instruction, reader.text(*instruction, "task"));
  QUERN_TRY(check_text(reader, *instruction, "task", step.instruction, known));
  if (const YamlNode* files = node.find("files")) {
    QUERN_TRY(reader.expect_list(*files, "files", "a list of paths"));
    for (const YamlNode& item : files->items) {
      QUERN_ASSIGN(AttachedFile file, read_file_entry(reader, item, known));
      step.files.push_back(std::move(file));
    }
  }
  if (const YamlNode* output = node.find("output")) {
    QUERN_ASSIGN(step.output, read_output(reader, *output, known));
  }
  if (const YamlNode* retries = node.find("retries")) {
    QUERN_ASSIGN(step.retries, reader.number(*retries, "retries", kMaxRetries, NodeReader::Least::zero));
  }
  QUERN_ASSIGN(step.checks, read_checks(reader, node));
  return {};
}

Result<TaskStep> read_step(const NodeReader& reader, const YamlNode& node, const StepPlace& place) {
  QUERN_TRY(reader.expect_map(node, "steps", "name: and task:"));
  QUERN_TRY(reader.only_keys(node, {"name", "task", "system", "model", "sampling", "tools", "files", "policy", "check", "checks",
                                    "output", "retries", "budget", "for_each"}));
  const Task& task = *place.task;
  TaskStep step;
  step.retries = place.retries;
  step.budget = task.budget;
  step.budget.seconds.reset(), step.budget.calls.reset(), step.budget.total_tokens.reset(), step.budget.cost.reset();
  if (!node.find("name")) return reader.error(node, "steps: name: missing");
  QUERN_ASSIGN(step.name, reader.name(*node.find("name"), "steps: name"));
  if (place.known.steps.contains(step.name))
    return reader.error(node, "steps: {}: there is a step of that name already", step.name);
  KnownNames known = place.known;
  if (const YamlNode* each = node.find("for_each")) {
    QUERN_ASSIGN(step.for_each, read_for_each(reader, *each, known));
    known.item = true;
  }
  QUERN_TRY(read_step_body(reader, node, known, step));
  QUERN_TRY(read_model(reader, node, step.model));
  if (const YamlNode* system = node.find("system")) {
    QUERN_ASSIGN(step.system, reader.text(*system, "system"));
  }
  if (const YamlNode* tools = node.find("tools")) {
    step.tools.emplace();
    if (tools->kind != YamlNode::Kind::list || !tools->items.empty()) {
      QUERN_ASSIGN(step.tools, reader.texts(*tools, "tools"));
    }
  }
  if (const YamlNode* policy = node.find("policy")) {
    QUERN_ASSIGN(step.policy, read_policy(reader, *policy));
  }
  if (const YamlNode* budget = node.find("budget")) {
    if (budget->find("prices")) return reader.error(*budget->find("prices"), "budget: prices: they are the whole task's");
    QUERN_TRY(read_budget(reader, *budget, step.budget));
  }
  return step;
}

}  // namespace quern
