// A task file of any bytes; then, after the first zero byte, a text that its placeholders and its policy meet.
#include "agent/task/placeholders.h"
#include "agent/task/task.h"
#include "fuzz.h"

using namespace quern;

namespace {

Tool tool_named(std::string name) {
  Tool tool;
  tool.definition = Json::Object{{"type", "function"}, {"function", Json::Object{{"name", std::move(name)}}}};
  tool.changes = true;
  return tool;
}

void decide(const Policy& policy, const std::string& text) {
  for (const PolicyRule& rule : policy.rules) {
    Json arguments = Json::object();
    for (const PolicyRule::Argument& argument : rule.arguments) arguments[argument.name] = text;
    const Verdict verdict = policy.decide(tool_named(rule.tools.empty() ? "any" : rule.tools[0]), {"any", arguments});
    QUERN_CHECK(verdict == Verdict::allow || verdict == Verdict::ask || verdict == Verdict::deny);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = fuzz::text_of(data, size);
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string text(input.substr(std::min(end + 1, input.size())).substr(0, 2000));
  const std::string plain = normal_spelling(text);
  QUERN_CHECK(normal_spelling(plain) == plain, plain);
  auto task = Task::parse(input.substr(0, end), "task.yaml");
  if (!fuzz::succeeded(task)) return 0;
  QUERN_CHECK(!task->steps.empty());
  for (TaskInput& input_of_task : task->inputs) input_of_task.file.clear();
  if (!fuzz::succeeded(task->fill({}, [&](const std::string&) { return std::optional<std::string>(text); }))) return 0;
  Scope scope = task->scope();
  scope.item = Json(text);
  decide(task->policy, text);
  for (const TaskStep& step : task->steps) {
    decide(step.policy, text);
    const auto filled = scope.fill(step.instruction);
    fuzz::succeeded(filled);
    scope.steps[step.name] = Json(text);
  }
  return 0;
}
