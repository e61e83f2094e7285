// quern run: carries out a task file or a sentence by calling tools.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "agent/sandbox/process.h"
#include "agent/task/place.h"
#include "agent/task/run_record.h"
#include "agent/task/run_tools.h"
#include "agent/task/runner.h"
#include "agent/task/schema.h"
#include "agent/tools/memory_store.h"
#include "base/utf8.h"
#include "command.h"
#include "confirm.h"
#include "run_models.h"
#include "run_view.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

volatile std::sig_atomic_t interrupted = 0;

struct Options {
  CommonOptions common;
  std::string task, root, policy, journal, resume, report, in_doubt;
  std::vector<std::string> inputs, mcp, budgets;
  bool yes = false, dry_run = false, unconstrained = false, json = false, schema = false, list = false, no_journal = false;
  int64_t max_turns = 0;
  std::optional<int64_t> prune;
  std::optional<uint64_t> seed;
  std::optional<double> temperature;
};

std::filesystem::path temporary_place() {
  const char* named = std::getenv("TMPDIR");
  return named && *named ? named : "/tmp";
}

std::optional<std::string> variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

bool is_interrupted() { return interrupted != 0; }

bool has_terminal() { return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1; }

// What a model wants to know of whoever watches: one line; with choices, one of them or its number.
std::optional<std::string> ask_question(RunView& view, const std::string& question, const std::vector<std::string>& choices) {
  view.clear_status();
  fmt::print(stderr, "{}\n", RunView::call_line(question, Json()));
  for (size_t i = 0; i < choices.size(); ++i) fmt::print(stderr, "  {}  {}\n", i + 1, RunView::call_line(choices[i], Json()));
  while (true) {
    fmt::print(stderr, "> ");
    auto line = read_terminal_line(is_interrupted);
    if (!line || choices.empty()) return line;
    for (size_t i = 0; i < choices.size(); ++i)
      if (*line == choices[i] || *line == std::to_string(i + 1)) return choices[i];
  }
}

Decision ask(RunView& view, const ToolCall& call) {
  view.clear_status();
  return confirm_on_terminal(RunView::call_line(call.name, call.arguments), is_interrupted);
}

void end_on_interrupt() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second Ctrl-C ends the program
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

// Whether a call that a run was cut off in took effect.
InDoubt ask_about(RunView& view, const ToolCall& call) {
  view.clear_status();
  while (true) {
    fmt::print(stderr,
               "{}\n  the run was cut off during this call. What became of it: [r]epeat it, it was [d]one, it [f]ailed, [q]uit: ",
               RunView::call_line(call.name, call.arguments));
    const std::string answer = read_terminal_line(is_interrupted).value_or("quit");
    for (const auto& [word, said] :
         {std::pair("repeat", InDoubt::repeat), {"done", InDoubt::done}, {"failed", InDoubt::failed}, {"quit", InDoubt::quit}})
      if (answer == word || (answer.size() == 1 && answer.front() == word[0])) return said;
  }
}

// The journal of --journal, or the user's own; nullptr: none is wanted, or the user's own cannot be written, which a line says.
Result<std::shared_ptr<Journal>> open_journal(const Options& o) {
  if (o.no_journal || o.dry_run) return nullptr;
  if (!o.journal.empty()) return Journal::open(o.journal);
  const auto path = Journal::default_path(std::getenv("XDG_STATE_HOME"), std::getenv("HOME"));
  auto journal = path ? Journal::open(*path) : Result<std::shared_ptr<Journal>>(tl::unexpected(path.error()));
  if (journal || !o.resume.empty() || o.list || o.prune) return journal;
  fmt::print(stderr, "quern run: no journal: {} (--journal FILE writes one elsewhere)\n", journal.error().message);
  return nullptr;
}

// What a run needs, by the order in which it is made; each may refer to those before it.
struct Run {
  std::shared_ptr<Journal> journal;
  std::unique_ptr<JournalRun> record;
  Task task;
  RunChoices choices;
  std::map<std::string, std::string> inputs;
  RunModels models;
  Place place;
  RunTools tools;
  SecretStore secrets;
  RunnerOptions options;
};

// The task, from the command line or from the journal of a run that is continued; what the command says now comes first.
Result<void> find_what_to_do(const Options& o, Run& run) {
  if (o.resume.empty()) {
    QUERN_ASSIGN(run.task, find_task(o.task));
    QUERN_ASSIGN(run.inputs, parse_inputs(o.inputs));
    QUERN_ASSIGN(run.journal, open_journal(o));
  } else {
    QUERN_ASSIGN(run.journal, open_journal(o));
    if (!run.journal)
      return fail(Errc::invalid_argument, "--resume needs the journal: not together with --no-journal or --dry-run");
    QUERN_ASSIGN(run.record, run.journal->resume(o.resume));
    auto described = described_run(run.record->description());
    if (!described) return with_context(described.error(), "run " + o.resume);
    run.task = std::move(described->task), run.inputs = std::move(described->inputs), run.choices = std::move(described->choices);
  }
  if (!o.common.model.empty()) {  // a path stays the same wherever the run is continued
    std::error_code ignored;
    run.choices.model = fs::exists(o.common.model, ignored) ? fs::absolute(o.common.model).string() : o.common.model;
  }
  if (o.seed) run.choices.seed = o.seed;
  if (o.temperature) run.choices.temperature = o.temperature;
  if (o.max_turns > 0) run.choices.max_turns = o.max_turns;
  if (o.unconstrained) run.choices.unconstrained = true;
  run.choices.mcp.insert(run.choices.mcp.end(), o.mcp.begin(), o.mcp.end());
  run.choices.budgets.insert(run.choices.budgets.end(), o.budgets.begin(), o.budgets.end());
  for (const std::string& budget : run.choices.budgets) QUERN_TRY(run.task.set_budget(budget));
  return run.task.fill(run.inputs, variable);
}

Result<void> find_tools(const Options& o, RunView& view, Run& run) {
  QUERN_ASSIGN(run.place, find_place(run.task, run.record ? run.record->description().root : o.root, temporary_place()));
  RunToolsOptions options;
  options.root = run.place.root;
  options.memory = default_memory_file(std::getenv("XDG_DATA_HOME"), std::getenv("HOME")).value_or(fs::path());
  options.command_environment = harmless_environment(environ);
  options.server_environment = mcp_environment(environ);
  options.version = QUERN_VERSION;
  options.format = run.models.of(run.task.steps.front()).format() == ChatFormat::coder ? CallFormat::xml : CallFormat::hermes;
  options.cancelled = [] { return interrupted != 0; };
  options.on_warning = [&](const std::string& line) {
    view.clear_status();
    fmt::print(stderr, "quern run: {}\n", printable_line(line));
  };
  if (has_terminal())
    options.ask = [&](const std::string& question, const std::vector<std::string>& choices) {
      return ask_question(view, question, choices);
    };
  for (const std::string& server : run.choices.mcp) {
    QUERN_ASSIGN(auto configs, parse_mcp_argument(server, variable, options.on_warning));
    std::move(configs.begin(), configs.end(), std::back_inserter(options.servers));
  }
  QUERN_ASSIGN(run.tools, make_run_tools(run.task, options));
  QUERN_ASSIGN(run.secrets, secrets_of(run.task, run.tools.registry));
  return prepare_steps(run.task, run.tools.registry, [&](const TaskStep& step, const ToolRegistry& offered) -> Result<void> {
    const auto ready = run.models.of(step).prepare(offered.definitions(), step.output.schema);
    return ready ? ready : fail(ready.error().code, "{} (--unconstrained runs without)", ready.error().message);
  });
}

void fill_options(const Options& o, RunView& view, Run& run) {
  RunnerOptions& options = run.options;
  options.root = run.place.root;
  options.temporary = temporary_place();
  options.max_turns = run.choices.max_turns;
  options.changes = o.dry_run ? ChangePolicy::preview : o.yes ? ChangePolicy::allow : ChangePolicy::ask;
  options.cancelled = [&] { return interrupted != 0 || view.broken(); };
  if (has_terminal()) {
    options.confirm = [&](const Tool&, const ToolCall& call) { return ask(view, call); };
    options.in_doubt = [&](const Tool&, const ToolCall& call) { return ask_about(view, call); };
  }
  options.refresh_tools = [&run] {
    const CallContext context{.cancelled = [] { return interrupted != 0; }, .on_output = {}};
    return run.tools.servers && run.tools.servers->refresh(run.tools.registry, context);
  };
  for (const auto& [word, said] : {std::pair("repeat", InDoubt::repeat), {"done", InDoubt::done}, {"failed", InDoubt::failed}})
    if (o.in_doubt == word) options.in_doubt = [answer = said](const Tool&, const ToolCall&) { return answer; };
  options.on_text = [&](std::string_view) { view.count_token(); };
  options.on_output = [&](std::string_view text) { view.show_output(text); };
  options.on_event = [&](const Event& event) { view.show(event); };
  options.model_of = [&run](const TaskStep& step) -> ChatModel& { return run.models.of(step); };
  options.journal = run.record.get();
  options.secrets = &run.secrets;
}

Result<EndEvent> run_named(const Options& o, RunView& view) {
  Run run;
  QUERN_TRY(find_what_to_do(o, run));
  if (!o.report.empty()) QUERN_TRY(view.report_to(o.report));
  if (!o.policy.empty()) {
    QUERN_ASSIGN(run.options.limits, load_policy(o.policy));
  }
  QUERN_ASSIGN(run.models, RunModels::load(run.task, run.choices, o.common));
  view.set_model(run.models.path());
  QUERN_TRY(find_tools(o, view, run));
  end_on_interrupt();
  run.options.seed = run.models.seed();
  if (run.place.fresh)
    QUERN_TRY(set_up(
        {.task = run.task, .root = run.place.root, .seed = run.models.seed(), .cancelled = [] { return interrupted != 0; }}));
  if (run.journal && !run.record) {
    QUERN_ASSIGN(run.record, run.journal->begin(describe_run(run.task, run.place.root, run.choices)));
  }
  fill_options(o, view, run);
  return run_task(run.task, run.models.of(run.task.steps.front()), run.tools.registry, run.options);
}

Result<int> list_runs(const Options& o) {
  QUERN_ASSIGN(const auto journal, open_journal(o));
  if (!journal) return fail(Errc::invalid_argument, "run --list: there is no journal with --no-journal");
  QUERN_ASSIGN(const auto runs, journal->runs());
  QUERN_TRY(print_out(o.json ? json_of_runs(runs).dump() + "\n" : list_of_runs(runs)));
  return kSuccess;
}

Result<int> prune_runs(const Options& o) {
  Options recorded = o;
  recorded.dry_run = false;
  QUERN_ASSIGN(const auto journal, open_journal(recorded));
  if (!journal) return fail(Errc::invalid_argument, "run --prune: there is no journal with --no-journal");
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t before = std::chrono::duration_cast<std::chrono::seconds>(now).count() - *o.prune * 24 * 60 * 60;
  QUERN_ASSIGN(const auto removed, journal->prune(before, o.dry_run ? Journal::Prune::preview : Journal::Prune::act));
  if (o.json) {
    QUERN_TRY(print_out(json_of_runs(removed).dump() + "\n"));
  } else {
    const std::string count = fmt::format("{} run{} {}\n", removed.size(), removed.size() == 1 ? "" : "s",
                                          o.dry_run             ? "would be removed"
                                          : removed.size() == 1 ? "was removed"
                                                                : "were removed");
    QUERN_TRY(print_out((removed.empty() ? "" : list_of_runs(removed)) + count));
  }
  return kSuccess;
}

Result<int> run(const Options& o) {
  if (o.schema) {
    QUERN_TRY(print_out(task_schema()));
    return kSuccess;
  }
  if (o.list) return list_runs(o);
  if (o.prune) return prune_runs(o);
  RunView view(o.json);
  const auto end = run_named(o, view);
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
      "MODEL and --mcp servers may stand in the task file as well. Every run is recorded: --list shows them, --resume goes on with one,\n"
      "--prune removes old ones.\n\n"
      "Exit: 0 success, 1 the task failed or a budget ended, 2 wrong usage, 130 interrupted. docs/run-tasks.md describes task "
      "files.");
  command->add_option("task", o->task, "A .yaml file, a folder with a task.yaml, or a sentence")->type_name("TASK");
  command->add_option("--root", o->root, "The folder to work in")->type_name("DIR");
  command->add_option("--input", o->inputs, "A value for the task's {{NAME}}; may be given again")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  auto* yes = command->add_flag("--yes,-y", o->yes, "Change files without asking");
  command->add_flag("--dry-run", o->dry_run, "Change nothing; the model is told what would have happened")->excludes(yes);
  command
      ->add_option(
          "--mcp", o->mcp,
          "An MCP server whose tools are offered too: NAME=PROGRAM ARGUMENTS…, NAME=URL, or a .json file; may be given again")
      ->type_name("SERVER")
      ->allow_extra_args(false);
  command->add_option("--policy", o->policy, "A file with rules for calls; a task that has its own may be stricter, never milder")
      ->type_name("FILE");
  command->add_option("--resume", o->resume, "Go on with a run that was interrupted or failed, by its id")->type_name("ID");
  command
      ->add_option(
          "--in-doubt", o->in_doubt,
          "With --resume: a call that the run was cut off in, and that may have taken effect, is repeated, or counts as done or "
          "as failed; absent: somebody is asked")
      ->check(CLI::IsMember({"repeat", "done", "failed"}))
      ->type_name("WHAT");
  command->add_flag("--list", o->list, "List the journal's runs: id, when, status, task");
  command
      ->add_option("--prune", o->prune,
                   "Remove what the journal holds of runs that began more than this many days ago; with --dry-run: show them")
      ->type_name("DAYS")
      ->check(CLI::Range(int64_t{0}, int64_t{36500}));
  command->add_option("--journal", o->journal, "Where runs are recorded; absent: ~/.local/state/quern/journal.db")
      ->type_name("FILE");
  command->add_flag("--no-journal", o->no_journal, "Record nothing; the run cannot be resumed")->excludes("--journal");
  command->add_flag("--schema", o->schema, "Print the JSON Schema of task files");
  command->add_flag("--unconstrained", o->unconstrained, "Let the model write calls freely; it is told what is wrong with them");
  command->add_flag("--json", o->json, "One event per line, the last {\"type\": \"end\", \"status\": …}");
  command->add_option("--report", o->report, "Also write the run as an HTML page to hand on")->type_name("FILE.html");
  command->add_option("--max-turns", o->max_turns, "Answers the model may give; absent: the task's budget, or 60")
      ->check(CLI::Range(int64_t{1}, int64_t{100000}));
  command
      ->add_option(
          "--budget", o->budgets,
          "What the whole run may use, in place of the task's budget: calls, total_tokens, seconds or cost; may be given again")
      ->type_name("NAME=NUMBER")
      ->allow_extra_args(false);
  command->add_option("--temperature", o->temperature, "0 is greedy; absent: the task's, or 0")->check(CLI::Range(0.0, 100.0));
  command->add_option("--seed", o->seed, "Seed of the sampler, and $SEED of setup: and check:; absent: the task's, or 1");
  o->common.add_to(*command, "bf16");
  command->callback([o, &body] {
    const int things = !o->task.empty() + !o->resume.empty() + o->schema + o->list + o->prune.has_value();
    if (things == 0) throw CLI::RequiredError("TASK");
    if (things > 1) throw CLI::ExcludesError("TASK", "--resume, --list, --prune and --schema");
    body = [o] { return run(*o); };
  });
}

}  // namespace quern
