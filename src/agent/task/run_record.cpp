#include "agent/task/run_record.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/utf8.h"

namespace quern {
namespace {

std::string when(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm local{};
  return ::localtime_r(&time, &local) ? fmt::format("{:%Y-%m-%d %H:%M}", local) : std::string("?");
}

// A task's name, or how its sentence begins.
std::string title(const RunSummary& run) {
  const Json* source = run.description.task.find("source");
  std::string text = run.description.name;
  if (text.empty() && source && source->is_string()) text = source->as_string();
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  if (text.size() > 40) text = text.substr(0, complete_utf8_prefix(std::string_view(text).substr(0, 39))) + "…";
  return text;
}

std::string member(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  return found && found->is_string() ? found->as_string() : std::string();
}

}  // namespace

RunDescription describe_run(const Task& task, const std::filesystem::path& root, const RunChoices& choices) {
  Json inputs = Json::object();
  for (const TaskInput& input : task.inputs)
    if (!input.secret && input.value) inputs[input.name] = *input.value;
  Json said = Json::object();
  said["file"] = task.file.string();
  said["source"] = task.source;
  said["inputs"] = std::move(inputs);
  said["model"] = choices.model;
  if (choices.seed) said["seed"] = *choices.seed;
  if (choices.temperature) said["temperature"] = *choices.temperature;
  said["max_turns"] = choices.max_turns;
  said["unconstrained"] = choices.unconstrained;
  said["mcp"] = Json::array();
  for (const std::string& server : choices.mcp) said["mcp"].push_back(server);
  said["budgets"] = Json::array();
  for (const std::string& budget : choices.budgets) said["budgets"].push_back(budget);
  return {.name = task.name, .root = root.string(), .task = std::move(said)};
}

Result<DescribedRun> described_run(const RunDescription& description) {
  const Json& said = description.task;
  const Json *source = said.find("source"), *inputs = said.find("inputs");
  if (!source || !source->is_string() || !inputs || !inputs->is_object())
    return fail(Errc::malformed, "the journal does not say what the run's task was");
  DescribedRun run;
  const std::string file = member(said, "file");
  if (file.empty()) {
    run.task = Task::from_sentence(source->as_string());
  } else {
    QUERN_ASSIGN(run.task, Task::from_text(source->as_string(), file));
  }
  for (const auto& [name, value] : inputs->as_object())
    if (value.is_string()) run.inputs[name] = value.as_string();
  run.choices.model = member(said, "model");
  if (const Json* seed = said.find("seed"); seed && seed->is_number()) {
    uint64_t value = 0;
    const std::string& text = seed->number_text();
    std::from_chars(text.data(), text.data() + text.size(), value);
    run.choices.seed = value;
  }
  if (const Json* temperature = said.find("temperature"); temperature && temperature->is_number())
    run.choices.temperature = temperature->as_double();
  if (const Json* turns = said.find("max_turns"); turns && turns->is_number())
    run.choices.max_turns = turns->to_int64().value_or(0);
  if (const Json* free = said.find("unconstrained"); free && free->is_bool()) run.choices.unconstrained = free->as_bool();
  for (const auto& [key, into] : {std::pair("mcp", &run.choices.mcp), {"budgets", &run.choices.budgets}})
    if (const Json* list = said.find(key); list && list->is_array())
      for (const Json& one : list->as_array())
        if (one.is_string()) into->push_back(one.as_string());
  return run;
}

std::string list_of_runs(const std::vector<RunSummary>& runs) {
  if (runs.empty()) return "no runs\n";
  size_t width = 2;
  for (const RunSummary& run : runs) width = std::max(width, run.id.size());
  std::string out = fmt::format("{:{}}  {:16}  {:11}  {:>5} {:>5}  {}\n", "id", width, "began", "status", "turns", "calls", "task");
  for (const RunSummary& run : runs)
    out += fmt::format("{:{}}  {:16}  {:11}  {:>5} {:>5}  {}\n", run.id, width, when(run.began), run_state_name(run.state),
                       run.turns, run.calls, title(run));
  return out;
}

Json json_of_runs(const std::vector<RunSummary>& runs) {
  Json all = Json::array();
  for (const RunSummary& run : runs) {
    Json one = Json::object();
    one["id"] = run.id;
    one["began"] = run.began;
    one["status"] = run_state_name(run.state);
    one["reason"] = run.reason;
    one["name"] = run.description.name;
    one["task"] = member(run.description.task, "file").empty() ? member(run.description.task, "source")
                                                               : member(run.description.task, "file");
    one["root"] = run.description.root;
    one["turns"] = run.turns;
    one["calls"] = run.calls;
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace quern
