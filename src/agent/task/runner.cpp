#include "agent/task/runner.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "agent/journal/used.h"
#include "agent/task/attachments.h"
#include "agent/task/checks.h"
#include "agent/tools/builtin_tools.h"
#include "agent/tools/root_folder.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "text/file_tools.h"

namespace quern {
namespace {

// What became of a step, or of one of its conversations.
struct Outcome {
  RunStatus status = RunStatus::failed;
  std::string reason;
  Json output;
  std::optional<bool> check_passed;

  bool done() const { return status == RunStatus::success; }
};

Outcome failed(std::string reason) { return {RunStatus::failed, std::move(reason), {}, {}}; }

class Runner {
 public:
  Runner(const Task& task, ChatModel& model, const ToolRegistry& all, const RunnerOptions& options)
      : task_(task), model_(model), all_(all), options_(options), scope_(task.scope()) {
    run_budget_ = Budget::unlimited();
    run_budget_.seconds = task.budget.seconds;
    run_budget_.calls = task.budget.calls;
    run_budget_.total_tokens = task.budget.total_tokens;
    run_budget_.cost = task.budget.cost;
  }

  EndEvent run() {
    if (task_.has_steps()) start();
    Outcome outcome = run_steps();
    if (outcome.done()) outcome = verify(std::move(outcome));
    if (outcome.status == RunStatus::failed && !task_.on_failure.empty()) handle_failure(outcome);
    EndEvent end;
    end.status = outcome.status;
    end.reason = outcome.reason;
    end.answer = outcome.output.is_null() ? answer_ : text_of(outcome.output);
    end.root = replace_invalid_utf8(options_.root.string());
    end.check_passed = outcome.check_passed;
    counts_.seconds = std::max(counts_.seconds, seconds());
    end.counts = counts_;
    if (options_.journal) {
      end.run = options_.journal->id();
      const RunState state = end.status == RunStatus::success  ? RunState::success
                             : end.status == RunStatus::failed ? RunState::failed
                                                               : RunState::cancelled;
      if (const auto ended = options_.journal->end(state, end.reason); !ended) {
        end.status = RunStatus::failed;
        end.reason = ended.error().message;
      }
    }
    emit(end);
    return end;
  }

 private:
  void emit(const Event& event) const {
    if (options_.on_event) options_.on_event(event);
  }
  // Of the run, in this process and, as their records say, in those before it.
  double seconds() const { return seconds_before_ + seconds_since(start_); }
  bool dry_run() const { return options_.changes == ChangePolicy::preview; }

  void start() const {
    std::vector<std::string> names;
    for (const TaskStep& step : task_.steps) names.push_back(step.name);
    const std::string what = task_.description.empty() ? fmt::format("steps: {}", fmt::join(names, ", ")) : task_.description;
    emit(StartEvent{task_.name,
                    what,
                    replace_invalid_utf8(options_.root.string()),
                    {},
                    options_.journal ? options_.journal->id() : std::string()});
  }

  Outcome run_steps() {
    Outcome last;
    std::optional<bool> checked;
    for (const TaskStep& step : task_.steps) {
      Outcome outcome = run_step(step, step.name.empty() ? "main" : "steps/" + step.name, run_budget_);
      if (outcome.check_passed) checked = *outcome.check_passed;
      outcome.check_passed = checked;
      if (!outcome.done()) {
        if (task_.has_steps()) {
          scope_.failed_step = step.name;
          outcome.reason = fmt::format("step {}: {}", step.name, outcome.reason);
        }
        return outcome;
      }
      scope_.steps[step.name] = outcome.output;
      last = std::move(outcome);
    }
    return last;
  }

  Outcome run_step(const TaskStep& step, const std::string& key, const Budget& run_budget) {
    if (!step.for_each) return run_conversation(step, key, scope_, run_budget);
    auto items = journalled_items(*step.for_each, key);
    if (!items) return failed("for_each: " + items.error().message);
    Outcome all{RunStatus::success, {}, Json::array(), {}};
    for (size_t i = 0; i < items->size(); ++i) {
      Scope scope = scope_;
      scope.item = (*items)[i];
      Outcome one = run_conversation(step, fmt::format("{}/item/{}", key, i + 1), scope, run_budget);
      if (one.check_passed) all.check_passed = one.check_passed;
      if (!one.done()) {
        one.reason = fmt::format("item {} ({}): {}", i + 1, text_of((*items)[i]).substr(0, 80), one.reason);
        one.check_passed = all.check_passed;
        return one;
      }
      all.output.push_back(std::move(one.output));
    }
    if (const auto written = write_whole_list(step, all.output, key); !written) return failed(written.error().message);
    return all;
  }

  // The journal of a conversation or of what belongs to it; what is done about a failure is not recorded: it is done for every failure.
  JournalRun* journal(const std::string& key) const { return key.starts_with("on_failure/") ? nullptr : options_.journal; }

  // What was recorded under a key, if it was; a key is recorded once.
  Result<std::optional<Json>> recorded(const std::string& key) const {
    if (!journal(key)) return std::nullopt;
    QUERN_ASSIGN(const StepProgress progress, journal(key)->progress(key));
    return progress.state == StepState::finished ? std::optional(progress.output) : std::nullopt;
  }
  Result<void> record(const std::string& key, const Json& what) const {
    return journal(key) ? journal(key)->finish_step(key, what) : Result<void>();
  }

  // A run that is continued goes through the same items, whatever has become of the files since.
  Result<std::vector<Json>> journalled_items(const ForEach& each, const std::string& key) const {
    QUERN_ASSIGN(const std::optional<Json> before, recorded(key + "/items"));
    if (before && before->is_array()) return before->as_array();
    QUERN_ASSIGN(std::vector<Json> items, items_of(each));
    QUERN_TRY(record(key + "/items", Json(items)));
    return items;
  }

  Result<std::vector<Json>> items_of(const ForEach& each) const {
    std::vector<Json> items;
    if (each.items) {
      items = *each.items;
    } else if (!each.files.empty()) {
      QUERN_ASSIGN(const RootFolder root, RootFolder::open(options_.root));
      const auto found =
          root.find([&](std::string_view name) { return file_tools::glob_matches(each.files, name); }, kMaxTaskItems + 1, 100'000);
      for (const std::string& path : found.paths) items.emplace_back(path);
    } else {
      QUERN_ASSIGN(const Json value, scope_.value(placeholder_path(each.text)));
      if (value.is_array()) {
        items = value.as_array();
      } else if (value.is_string()) {
        items = lines_of(value.as_string());
      } else {
        return fail(Errc::mismatch, "{}: expected a list or text, found {}", each.text, value.kind_name());
      }
    }
    if (items.size() > kMaxTaskItems) return fail(Errc::out_of_range, "more than {} items", kMaxTaskItems);
    return items;
  }

  static std::string placeholder_path(const std::string& text) {
    std::string path = text.substr(2, text.size() - 4);
    path.erase(0, path.find_first_not_of(' '));
    path.erase(path.find_last_not_of(' ') + 1);
    return path;
  }

  static std::vector<Json> lines_of(const std::string& text) {
    std::vector<Json> lines;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      std::string line = text.substr(begin, end - begin);
      line.erase(line.find_last_not_of(" \t\r") + 1);
      if (!line.empty()) lines.emplace_back(std::move(line));
      begin = end + 1;
    }
    return lines;
  }

  Outcome run_conversation(const TaskStep& step, const std::string& key, const Scope& scope, const Budget& run_budget) {
    const auto start = Clock::now();
    const auto before = journal(key) ? journal(key)->progress(key) : Result<StepProgress>(StepProgress{});
    if (!before) return failed(before.error().message);
    if (before->state == StepState::finished) return recall(step, key, scope, *before);
    auto instruction = instruction_before(*before, step, scope);
    auto tools = tools_of(task_, step, all_);
    for (const Error* error : {instruction ? nullptr : &instruction.error(), tools ? nullptr : &tools.error()})
      if (error) return failed(error->message);
    const bool told = !step.name.empty();
    if (told) emit(StepEvent{key, StepEvent::State::begun, *instruction, 0});
    Outcome outcome = converse(step, key, scope, *instruction, *tools, run_budget);
    if (told)
      emit(StepEvent{key, outcome.done() ? StepEvent::State::done : StepEvent::State::failed,
                     outcome.done() ? text_of(outcome.output) : outcome.reason, seconds_since(start)});
    return outcome;
  }

  // A conversation that an earlier process held to its end. What it used counts.
  Outcome recall(const TaskStep& step, const std::string& key, const Scope& scope, const StepProgress& before) {
    const Json& end = before.output;
    EndEvent recalled;
    recalled.status = RunStatus::success;
    recalled.counts = counts_;
    recalled.counts += used_by(before.records, step.budget.prices);
    recalled.counts.seconds = seconds() + recalled.counts.seconds - counts_.seconds;
    if (const Json* answer = end.find("answer"); answer && answer->is_string()) recalled.answer = answer->as_string();
    if (const Json* check = end.find("check"); check && check->is_string()) recalled.check_passed = check->as_string() == "passed";
    Outcome outcome = finish(step, key, scope, recalled);
    if (!step.name.empty())
      emit(StepEvent{key, outcome.done() ? StepEvent::State::skipped : StepEvent::State::failed,
                     outcome.done() ? text_of(outcome.output) : outcome.reason, 0});
    return outcome;
  }

  // What was asked is what was asked: the files behind it may have changed since.
  Result<std::string> instruction_before(const StepProgress& before, const TaskStep& step, const Scope& scope) const {
    for (const JournalRecord& record : before.records)
      if (record.kind == JournalKind::begin)
        if (const Json* said = record.data.find("instruction"); said && said->is_string()) return said->as_string();
    return instruction_of(step, scope);
  }

  // The instruction without what other steps, items and files say.
  std::string users_words(const TaskStep& step) const {
    if (task_.literal) return step.instruction;
    return replace_placeholders(step.instruction,
                                [&](const std::string& path) -> Result<std::string> {
                                  const auto input = scope_.inputs.find(path);
                                  return input == scope_.inputs.end() ? std::string() : input->second;
                                })
        .value_or(std::string());
  }

  Result<std::string> instruction_of(const TaskStep& step, const Scope& scope) const {
    if (task_.literal) return step.instruction;
    QUERN_ASSIGN(std::string text, scope.fill(step.instruction));
    QUERN_ASSIGN(const std::string files, attached_files(step.files, scope, {task_.folder, options_.root}));
    text += files;
    if (step.output.schema)
      text += "\n\nWhen you are done, answer with nothing but JSON that satisfies this JSON Schema:\n" + step.output.schema->dump();
    return text;
  }

  Outcome converse(const TaskStep& step, const std::string& key, const Scope& scope, const std::string& instruction,
                   ToolRegistry& tools, const Budget& run_budget) {
    LoopOptions loop{.name = task_.name,
                     .instruction = instruction,
                     .system = step.system.value_or(task_.system),
                     .root = replace_invalid_utf8(options_.root.string()),
                     .budget = step.budget,
                     .run_budget = run_budget,
                     .before = counts_};
    loop.before.seconds = seconds();
    if (options_.max_turns > 0) loop.budget.turns = options_.max_turns;
    loop.changes = allow_all_ ? ChangePolicy::allow : options_.changes;
    set_policy(step, loop);
    if (options_.confirm)
      loop.confirm = [this](const Tool& tool, const ToolCall& call) {
        const Decision decision = options_.confirm(tool, call);
        allow_all_ = allow_all_ || decision == Decision::all;
        return decision;
      };
    const std::vector<Check> checks = checks_of(step);
    const CheckPlace place = check_place(scope);
    if (!checks.empty()) loop.check = [&](const std::string& answer) { return run_checks(checks, answer, place); };
    loop.retries = step.retries;
    loop.answer_schema = step.output.schema;
    loop.cancelled = options_.cancelled;
    loop.on_text = options_.on_text;
    loop.on_output = options_.on_output;
    loop.on_event = [&](const Event& event) {
      const bool start = std::holds_alternative<StartEvent>(event);
      if (!std::holds_alternative<EndEvent>(event) && !(start && !step.name.empty())) emit(event);
    };
    if (options_.refresh_tools)
      loop.refresh_tools = [&] {
        auto others = options_.refresh_tools() ? tools_of(task_, step, all_) : Result<ToolRegistry>(ToolRegistry());
        if (!others || others->names().empty()) return false;  // a step goes on with what it has
        tools = std::move(*others);
        return true;
      };
    loop.users_words = users_words(step);
    loop.journal = journal(key);
    loop.step = key;
    loop.in_doubt = options_.in_doubt;
    loop.secrets = options_.secrets;
    return finish(step, key, scope, run_loop(options_.model_of ? options_.model_of(step) : model_, tools, loop));
  }

  void set_policy(const TaskStep& step, LoopOptions& loop) const {
    const Policy own = step.policy.before(task_.policy);
    if (own.empty() && !options_.limits) return;
    loop.policy = [own, limits = options_.limits](const Tool& tool, const ToolCall& call) {
      if (!limits) return own.decide(tool, call);
      return own.empty() ? limits->decide(tool, call) : std::max(own.decide(tool, call), limits->decide(tool, call));
    };
  }

  static std::vector<Check> checks_of(const TaskStep& step) {
    std::vector<Check> checks;
    if (step.output.schema) checks.push_back({.command = {}, .schema = step.output.schema, .file = {}});
    checks.insert(checks.end(), step.checks.begin(), step.checks.end());
    return checks;
  }

  CheckPlace check_place(const Scope& scope) const {
    CheckPlace place{.shell = {.task = task_, .root = options_.root, .seed = options_.seed, .cancelled = options_.cancelled},
                     .temporary = options_.temporary,
                     .environment = {}};
    if (scope.item) place.environment.emplace_back("ITEM", text_of(*scope.item));
    for (const auto& [name, output] : scope.steps) {
      std::string variable = "STEP_" + name;
      std::replace(variable.begin(), variable.end(), '-', '_');
      if (!name.empty()) place.environment.emplace_back(std::move(variable), text_of(output));
    }
    return place;
  }

  // The conversation's end as the step's: its output read, and written where it is to be.
  Outcome finish(const TaskStep& step, const std::string& key, const Scope& scope, const EndEvent& end) {
    counts_ = end.counts;
    seconds_before_ = std::max(seconds_before_, counts_.seconds - seconds_since(start_));
    answer_ = end.answer;
    Outcome outcome{end.status, end.reason, end.answer, end.check_passed};
    if (!outcome.done()) return outcome;
    if (step.output.schema) {
      auto value = json_answer(end.answer);
      if (value) outcome.output = std::move(*value);
      if (!value && !dry_run()) return failed(value.error().message);
    }
    const bool each = !step.for_each || step.output.file.find("{{") != std::string::npos;
    if (step.output.file.empty() || !each) return outcome;
    auto path = scope.fill(step.output.file);
    const auto written = path ? write_output(*path, outcome.output, key) : Result<void>(tl::unexpected(path.error()));
    return written ? outcome : failed(written.error().message);
  }

  Result<void> write_whole_list(const TaskStep& step, const Json& outputs, const std::string& key) {
    if (step.output.file.empty() || step.output.file.find("{{") != std::string::npos) return {};
    return write_output(step.output.file, outputs, key);
  }

  // Once: a later step may have changed the file by the time a run is continued.
  Result<void> write_output(const std::string& path, const Json& output, const std::string& key) {
    if (dry_run()) return {};
    QUERN_ASSIGN(const std::optional<Json> written, recorded(key + "/written"));
    if (written) return {};
    QUERN_ASSIGN(RootFolder root, RootFolder::open(options_.root));
    const auto normal = RootFolder::normal(path);
    const std::string text = (output.is_string() ? output.as_string() : output.dump_indented()) + "\n";
    if (!normal || !root.write(*normal, text, RootFolder::Mode::act))
      return fail(Errc::io, "output: {}: cannot be written below {}", path, options_.root.string());
    return record(key + "/written", Json(path));
  }

  // The checks of a task with steps, after the last of them.
  Outcome verify(Outcome outcome) {
    if (task_.checks.empty() || dry_run()) return outcome;
    const auto start = Clock::now();
    auto checked = run_checks(task_.checks, text_of(outcome.output), check_place(scope_));
    if (options_.cancelled && options_.cancelled()) return {RunStatus::cancelled, "interrupted", outcome.output, {}};
    if (!checked) return failed(fmt::format("check: {}", checked.error().message));
    checked->output = replace_invalid_utf8(options_.secrets ? options_.secrets->redact(checked->output) : checked->output);
    emit(CheckEvent{checked->passed, checked->output, seconds_since(start)});
    outcome.check_passed = checked->passed;
    if (!checked->passed) outcome.status = RunStatus::failed, outcome.reason = "the task's check failed";
    return outcome;
  }

  // What is done about a failure has its own budgets: the run's may be what ended. It does not change how the run ended.
  void handle_failure(Outcome& outcome) {
    scope_.failure = outcome.reason;
    for (const TaskStep& step : task_.on_failure) {
      const Outcome done = run_step(step, "on_failure/" + step.name, Budget::unlimited());
      if (!done.done()) {
        outcome.reason += fmt::format("; on_failure: {}: {}", step.name, done.reason);
        return;
      }
      scope_.steps[step.name] = done.output;
    }
  }

  const Task& task_;
  ChatModel& model_;
  const ToolRegistry& all_;
  const RunnerOptions& options_;
  Scope scope_;
  Budget run_budget_;
  RunCounts counts_;
  std::string answer_;
  bool allow_all_ = false;
  const Clock::time_point start_ = Clock::now();
  double seconds_before_ = 0;  // this process
};

// Those that are there, and those that would be if a task asked for them.
std::vector<std::string> known_tools(const ToolRegistry& all) {
  std::vector<std::string> names = builtin_tool_names();
  for (const std::string& name : all.names())
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

}  // namespace

bool tool_fits(std::string_view entry, std::string_view name) {
  return entry == "files" ? find_tool(file_tools::definitions(), name) != nullptr : file_tools::glob_matches(entry, name);
}

Result<ToolRegistry> tools_of(const Task& task, const TaskStep& step, const ToolRegistry& all) {
  const auto& entries = step.tools ? step.tools : task.tools;
  std::vector<std::string> wanted;
  for (const std::string& entry : entries.value_or(std::vector<std::string>{"files"})) {
    const size_t before = wanted.size();
    for (const std::string& name : all.names())
      if (tool_fits(entry, name)) wanted.push_back(name);
    if (wanted.size() == before && entries)
      return fail(Errc::not_found, "tools: no tool is called {}; there are {}", entry, fmt::join(known_tools(all), ", "));
  }
  for (const std::string& name : all.names())
    if (!entries && !all.find(name)->origin.empty()) wanted.push_back(name);
  ToolRegistry tools = all;
  QUERN_TRY(tools.restrict_to(wanted));
  return tools;
}

Result<void> prepare_steps(const Task& task, const ToolRegistry& all,
                           const std::function<Result<void>(const TaskStep&, const ToolRegistry&)>& prepare) {
  for (const auto* steps : {&task.on_failure, &task.steps})  // the first step's last: it is the one that is used next
    for (auto step = steps->rbegin(); step != steps->rend(); ++step) {
      const auto tools = tools_of(task, *step, all);
      const auto ready = tools ? prepare(*step, *tools) : Result<void>(tl::unexpected(tools.error()));
      if (!ready) return step->name.empty() ? ready : with_context(ready.error(), "step " + step->name);
    }
  return {};
}

Result<SecretStore> secrets_of(const Task& task, const ToolRegistry& all) {
  SecretStore secrets;
  for (const TaskInput& input : task.inputs) {
    if (!input.secret) continue;
    std::vector<std::string> tools;
    for (const std::string& glob : input.tools) {
      const size_t before = tools.size();
      for (const std::string& name : all.names())
        if (file_tools::glob_matches(glob, name)) tools.push_back(name);
      if (tools.size() == before) return fail(Errc::not_found, "input {}: tools: no tool is called {}", input.name, glob);
    }
    QUERN_TRY(secrets.add(input.name, input.value.value_or(""), std::move(tools)));
  }
  return secrets;
}

EndEvent run_task(const Task& task, ChatModel& model, const ToolRegistry& all, const RunnerOptions& options) {
  return Runner(task, model, all, options).run();
}

}  // namespace quern
