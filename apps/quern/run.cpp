// quern run: carries out a task file or a sentence by calling tools.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <optional>

#include "agent/engine_model.h"
#include "agent/tools/file_tools.h"
#include "agent/loop.h"
#include "agent/sandbox/shell.h"
#include "agent/task/task.h"
#include "base/file.h"
#include "base/utf8.h"
#include "command.h"
#include "run_view.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

volatile std::sig_atomic_t interrupted = 0;

struct Options {
  CommonOptions common;
  std::string task, root, report;
  std::vector<std::string> inputs;
  bool yes = false, dry_run = false, unconstrained = false, json = false;
  int64_t max_turns = 0;
  uint64_t seed = 1;
  double temperature = 0;
};

// A .yaml file, a folder with a task.yaml, or else a sentence.
Result<Task> find_task(const std::string& named) {
  std::error_code ignored;
  const fs::path path(named);
  if (path.extension() == ".yaml" || path.extension() == ".yml") return Task::load(path);
  if (fs::is_regular_file(path / "task.yaml", ignored)) return Task::load(path / "task.yaml");
  if (named.find_first_not_of(" \t\n") == std::string::npos) return fail(Errc::invalid_argument, "the task is empty");
  if (named.find(' ') == std::string::npos && fs::exists(path, ignored))
    return fail(Errc::invalid_argument, "{}: expected a .yaml file, a folder with a task.yaml, or a sentence", named);
  return Task::from_sentence(named);
}

Result<void> fill_inputs(Task& task, const std::vector<std::string>& given) {
  std::map<std::string, std::string> values;
  for (const std::string& one : given) {
    const size_t equals = one.find('=');
    if (equals == std::string::npos) return fail(Errc::invalid_argument, "--input {}: expected NAME=VALUE", one);
    values[one.substr(0, equals)] = one.substr(equals + 1);
  }
  return task.fill(values);
}

std::string temporary_place() {
  const char* named = std::getenv("TMPDIR");
  return named && *named ? named : "/tmp";
}

Result<fs::path> fresh_folder(const std::string& name) {
  std::string stem;
  for (const char c : name) stem += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  std::string folder = temporary_place() + "/quern-" + (stem.empty() ? "task" : stem.substr(0, 40)) + "-XXXXXX";
  if (!::mkdtemp(folder.data())) return fail(Errc::io, "{}: cannot make a folder there", temporary_place());
  return fs::path(folder);
}

// Where the run takes place; `fresh` says that nothing is there yet.
struct Place {
  fs::path root;
  bool fresh = false;
};

Result<Place> find_place(const Options& o, const Task& task) {
  std::error_code error;
  Place place{o.root.empty() ? task.root : fs::path(o.root), false};
  if (place.root.empty() && !task.folder.empty()) {
    QUERN_ASSIGN(place.root, fresh_folder(task.name));
    place.fresh = true;
  }
  if (place.root.empty()) place.root = ".";
  const fs::path canonical = fs::canonical(place.root, error);
  if (error) return fail(Errc::not_found, "{}: {}", place.root.string(), error.message());
  place.root = canonical;
  return place;
}

// The answer as a file for the check, gone afterwards.
class AnswerFile {
 public:
  static Result<AnswerFile> create(const std::string& answer) {
    std::string name = temporary_place() + "/quern-answer-XXXXXX";
    const UniqueFd fd(::mkstemp(name.data()));
    if (!fd) return fail(Errc::io, "{}: cannot make a file there", temporary_place());
    AnswerFile file(name);
    QUERN_TRY(write_file(name, answer));
    return file;
  }
  AnswerFile(AnswerFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  AnswerFile& operator=(AnswerFile&&) = delete;
  ~AnswerFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  explicit AnswerFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

ShellCommand shell_command(const Options& o, const Task& task, const std::string& command, const fs::path& root) {
  ShellCommand shell{.command = command,
                     .folder = root,
                     .environment = {{"TASK_DIR", task.folder.string()}, {"SEED", std::to_string(o.seed)}},
                     .cancelled = [] { return interrupted != 0; }};
  for (const TaskInput& input : task.inputs) {
    std::string variable = "INPUT_" + input.name;
    std::replace(variable.begin(), variable.end(), '-', '_');
    shell.environment.emplace_back(std::move(variable), input.value.value_or(""));
  }
  return shell;
}

Result<void> set_up(const Options& o, const Task& task, const fs::path& root) {
  auto done = run_shell(shell_command(o, task, task.setup, root));
  if (!done) return with_context(done.error(), "setup");
  if (done->exit_code != 0)
    return fail(Errc::io, "setup: exit {} in {}: {}", done->exit_code, root.string(), done->output.substr(0, 300));
  return {};
}

Result<CheckResult> check(const Options& o, const Task& task, const fs::path& root, const std::string& answer) {
  QUERN_ASSIGN(const AnswerFile file, AnswerFile::create(answer));
  ShellCommand command = shell_command(o, task, task.check, root);
  command.environment.emplace_back("ANSWER", answer);
  command.environment.emplace_back("ANSWER_FILE", file.path());
  QUERN_ASSIGN(ShellOutcome outcome, run_shell(command));
  return CheckResult{outcome.exit_code == 0, std::move(outcome.output)};
}

// One line from the terminal; nothing when the input ended or somebody pressed Ctrl-C. That may happen just before a read begins, or
// in another thread, so a read alone would not always notice.
std::optional<std::string> read_line() {
  std::string line;
  while (interrupted == 0) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, 100) <= 0) continue;
    char c = 0;
    if (::read(STDIN_FILENO, &c, 1) != 1) return std::nullopt;
    if (c == '\n') return line;
    line += c;
  }
  return std::nullopt;
}

// Asks on the terminal; what is not an answer is asked again, the end of input is "quit".
Decision ask(RunView& view, const ToolCall& call) {
  view.clear_status();
  while (true) {
    fmt::print(stderr, "{}\n  do it? [y]es, [n]o, [a]ll that follow, [q]uit: ", RunView::call_line(call.name, call.arguments));
    const auto answer = read_line();
    if (!answer) {
      fmt::print(stderr, "\n");
      return Decision::quit;
    }
    for (const auto& [word, decision] :
         {std::pair("yes", Decision::yes), {"no", Decision::no}, {"all", Decision::all}, {"quit", Decision::quit}})
      if (*answer == word || (answer->size() == 1 && answer->front() == word[0])) return decision;
  }
}

void end_on_interrupt() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second Ctrl-C ends the program
  ::sigaction(SIGINT, &action, nullptr);
}

Result<EndEvent> run_task(const Options& o, RunView& view) {
  QUERN_ASSIGN(Task task, find_task(o.task));
  QUERN_TRY(fill_inputs(task, o.inputs));
  QUERN_ASSIGN(const EngineOptions engine_options, o.common.engine());
  if (!o.report.empty()) QUERN_TRY(view.report_to(o.report));
  view.set_model(replace_invalid_utf8(engine_options.model.string()));
  QUERN_ASSIGN(const auto engine, Engine::load(engine_options));
  SamplingParams sampling = engine->default_sampling();
  sampling.temperature = o.temperature;
  sampling.seed = o.seed;
  QUERN_ASSIGN(const auto model, EngineModel::create(*engine, {.sampling = sampling, .constrained = !o.unconstrained}));
  QUERN_ASSIGN(const Place place, find_place(o, task));
  ToolRegistry tools;
  QUERN_TRY(add_file_tools(tools, place.root));
  if (task.tools) QUERN_TRY(tools.restrict_to(*task.tools));
  if (const auto ready = model->prepare(tools.definitions()); !ready)
    return fail(ready.error().code, "{} (--unconstrained runs without)", ready.error().message);
  end_on_interrupt();
  if (place.fresh && !task.setup.empty()) QUERN_TRY(set_up(o, task, place.root));

  LoopOptions loop{.name = task.name,
                   .instruction = task.instruction,
                   .system = task.system,
                   .root = replace_invalid_utf8(place.root.string()),
                   .budget = task.budget};
  if (o.max_turns > 0) loop.budget.turns = o.max_turns;
  loop.changes = o.dry_run ? ChangePolicy::preview : o.yes ? ChangePolicy::allow : ChangePolicy::ask;
  if (::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1)
    loop.confirm = [&](const Tool&, const ToolCall& call) { return ask(view, call); };
  if (!task.check.empty()) loop.check = [&](const std::string& answer) { return check(o, task, place.root, answer); };
  loop.cancelled = [&] { return interrupted != 0 || view.broken(); };
  loop.on_text = [&](std::string_view) { view.count_token(); };
  loop.on_output = [&](std::string_view text) { view.show_output(text); };
  loop.on_event = [&](const Event& event) { view.show(event); };
  return run_loop(*model, tools, loop);
}

Result<int> run(const Options& o) {
  RunView view(o.json);
  const auto end = run_task(o, view);
  if (!end) {
    EndEvent last;  // a reader of --json finds its last line there whatever happened
    last.status = interrupted != 0 ? RunStatus::cancelled : RunStatus::failed;
    last.reason = end.error().message;
    if (o.json) view.show(last);
    if (interrupted != 0) return 130;
    return tl::unexpected(end.error());
  }
  view.clear_status();
  QUERN_TRY(view.write_report());
  if (view.broken()) return fail(Errc::io, "cannot write to standard output");
  if (end->status == RunStatus::success) return kSuccess;
  if (interrupted != 0) return 130;
  return fail(Errc::denied, "run {}: {}", run_status_name(end->status), end->reason);
}

}  // namespace

void add_run_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "run", "Carry out a task by calling tools");
  command->footer(
      "Examples:\n"
      "  quern run 'Put 2026- in front of the name of every file.' --root ~/notes\n"
      "  quern run examples/tidy-folder --yes\n"
      "  quern run report.yaml --input month=may --root ./invoices --json > run.jsonl\n\n"
      "A sentence works on --root, or the current folder. A task file works on --root, on its own root:, or in a fresh temporary "
      "folder that\n"
      "its setup: fills; that folder is named at the end and kept. Tools never reach outside the folder. Those that change files "
      "ask first;\n"
      "without a terminal they are refused unless --yes. The run succeeds when the model is done and the task's check: agrees.\n\n"
      "Exit: 0 success, 1 the task failed or a budget ended, 2 wrong usage, 130 interrupted. docs/run-tasks.md describes task "
      "files.");
  command->add_option("task", o->task, "A .yaml file, a folder with a task.yaml, or a sentence")->required()->type_name("TASK");
  command->add_option("--root", o->root, "The folder to work in")->type_name("DIR");
  command->add_option("--input", o->inputs, "A value for the task's {{NAME}}; may be given again")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  auto* yes = command->add_flag("--yes,-y", o->yes, "Change files without asking");
  command->add_flag("--dry-run", o->dry_run, "Change nothing; the model is told what would have happened")->excludes(yes);
  command->add_flag("--unconstrained", o->unconstrained, "Let the model write calls freely; it is told what is wrong with them");
  command->add_flag("--json", o->json, "One event per line, the last {\"type\": \"end\", \"status\": …}");
  command->add_option("--report", o->report, "Also write the run as an HTML page to hand on")->type_name("FILE.html");
  command->add_option("--max-turns", o->max_turns, "Answers the model may give; absent: the task's budget, or 60")
      ->check(CLI::Range(int64_t{1}, int64_t{100000}));
  command->add_option("--temperature", o->temperature, "0 is greedy")->check(CLI::Range(0.0, 100.0))->capture_default_str();
  command->add_option("--seed", o->seed, "Seed of the sampler, and $SEED of setup: and check:")->capture_default_str();
  o->common.add_to(*command, "bf16");
  command->callback([o, &body] { body = [o] { return run(*o); }; });
}

}  // namespace quern
