#include "agent/mcp/task_tool.h"

#include <algorithm>

#include "agent/mcp/connection.h"
#include "agent/mcp/line_reader.h"
#include "agent/sandbox/process.h"
#include "agent/task/task.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxEvent = size_t{16} << 20;

struct TaskFile {
  std::string name;
  fs::path path;
  std::string line;  // what is said of it in the tool's description
};

// In the order of their names.
Result<std::vector<TaskFile>> find_tasks(const fs::path& folder, const std::function<void(std::string)>& on_warning) {
  std::vector<TaskFile> tasks;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    fs::path path = entry->path();
    std::error_code ignored;
    if (fs::is_regular_file(path / "task.yaml", ignored)) path /= "task.yaml";
    if (path.extension() != ".yaml" && path.extension() != ".yml") continue;
    const auto task = Task::load(path);
    if (!task) {
      if (on_warning) on_warning(task.error().message);
      continue;
    }
    TaskFile file{entry->path().stem().string(), path, ""};
    file.line = fmt::format("{}: {}", file.name,
                            mcp_line(task->description.empty() ? task->steps.front().instruction : task->description, 200));
    for (const TaskInput& input : task->inputs) file.line += fmt::format(" [{}{}]", input.name, input.value ? "?" : "");
    tasks.push_back(std::move(file));
  }
  if (error) return fail(Errc::io, "{}: {}", folder.string(), error.message());
  if (tasks.empty()) return fail(Errc::not_found, "{}: no task file there", folder.string());
  std::sort(tasks.begin(), tasks.end(), [](const TaskFile& a, const TaskFile& b) { return a.name < b.name; });
  return tasks;
}

// What a run's events amount to.
class Events {
 public:
  explicit Events(const ServiceCall& call) : call_(call) {}

  void take(std::string_view line) {
    const auto event = Json::parse(line, "event");
    if (!event) return;
    const std::string type = string_member(*event, "type");
    if (type == "end") end_ = *event;
    if (type == "call") {
      ++calls_;
      call_.progress(calls_, 0, "call: " + mcp_line(string_member(*event, "name"), 100));
    }
  }

  Result<ServiceAnswer> answer(const std::string& task) const {
    const std::string status = string_member(end_, "status"), reason = string_member(end_, "reason");
    const std::string said = string_member(end_, "answer"), root = string_member(end_, "root");
    if (status != "success")
      return fail(Errc::io, "the task {} {}: {}", task, status.empty() ? "ended without a result" : status, reason);
    std::string text = said.empty() ? "done" : said;
    if (!root.empty()) text += fmt::format("\n(carried out in {})", root);
    return ServiceAnswer{std::move(text), end_};
  }
  bool ended() const { return end_.is_object(); }

 private:
  const ServiceCall& call_;
  int64_t calls_ = 0;
  Json end_;
};

Result<ServiceAnswer> run_task(const TaskToolOptions& options, const TaskFile& task, const Json& inputs, const ServiceCall& call) {
  ProcessOptions process_options;
  process_options.arguments = {options.program.string(), "run", task.path.string(), "--json"};
  for (const std::string& argument : options.arguments) process_options.arguments.push_back(argument);
  if (inputs.is_object())
    for (const auto& [name, value] : inputs.as_object())
      process_options.arguments.push_back(fmt::format("--input={}={}", name, value.is_string() ? value.as_string() : value.dump()));
  process_options.folder = options.folder;
  process_options.environment = options.environment;
  process_options.errors = ProcessOptions::Errors::own_pipe;
  QUERN_ASSIGN(ChildProcess process, ChildProcess::spawn(process_options));
  Events events(call);
  LineReader lines(kMaxEvent);
  std::string output, errors;
  for (;;) {
    process.wait_for_output(0.1);
    if (call.cancelled()) {
      process.terminate(5);
      return fail(Errc::denied, "cancelled");
    }
    while (process.read(ChildProcess::Stream::errors, errors) == ChildProcess::ReadState::some)
      if (errors.size() > 4096) errors.erase(0, errors.size() - 4096);
    output.clear();
    const auto state = process.read(ChildProcess::Stream::output, output);
    lines.feed(output, [&](std::string_view line) { events.take(line); }, [] {});
    if (state == ChildProcess::ReadState::end) break;
  }
  const auto code = process.wait(10);
  if (events.ended()) return events.answer(task.name);
  while (process.read(ChildProcess::Stream::errors, errors) == ChildProcess::ReadState::some) {
  }
  return fail(Errc::io, "the task {} ended with exit code {}: {}", task.name, code.value_or(-1), mcp_line(errors));
}

}  // namespace

Result<ServiceTool> task_tool(const TaskToolOptions& options, const std::function<void(std::string)>& on_warning) {
  QUERN_ASSIGN(const auto tasks, find_tasks(options.folder, on_warning));
  ServiceTool tool;
  tool.name = "run_task";
  tool.read_only = false;
  tool.description =
      "Carries out one of these tasks with a local model and tools, and says how it ended. Its inputs stand in brackets.";
  Json names = Json::array();
  for (const TaskFile& task : tasks) {
    names.push_back(task.name);
    tool.description += "\n" + task.line;
  }
  tool.input_schema = json_object(
      {{"type", "object"},
       {"properties", json_object({{"task", json_object({{"type", "string"}, {"enum", std::move(names)}})},
                                   {"inputs", json_object({{"type", "object"},
                                                           {"additionalProperties", json_object({{"type", "string"}})},
                                                           {"description", "Values of the task's inputs, by their names"}})}})},
       {"required", Json::Array{"task"}},
       {"additionalProperties", false}});
  tool.run = [options, tasks](const Json& arguments, const ServiceCall& call) -> Result<ServiceAnswer> {
    const std::string name = string_member(arguments, "task");
    const auto task = std::find_if(tasks.begin(), tasks.end(), [&](const TaskFile& t) { return t.name == name; });
    if (task == tasks.end()) return fail(Errc::not_found, "there is no task {}", name);
    const Json* inputs = arguments.find("inputs");
    return run_task(options, *task, inputs ? *inputs : Json(), call);
  };
  return tool;
}

}  // namespace quern
