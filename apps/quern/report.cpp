// quern report: the page of a run, from what `quern run --json` wrote or from the journal.
#include <cstdlib>

#include "agent/report/journal_lines.h"
#include "agent/report/run_report.h"
#include "base/file.h"
#include "command.h"

namespace quern {
namespace {

struct Options {
  std::string run, out, journal;
};

Result<RunRecord> find_run(const Options& o) {
  std::error_code ignored;
  if (o.journal.empty() && std::filesystem::exists(o.run, ignored)) {
    QUERN_ASSIGN(const std::string lines, read_file(o.run));
    return RunRecord::from_lines(lines, o.run);
  }
  std::filesystem::path path = o.journal;
  if (path.empty()) {
    QUERN_ASSIGN(path, Journal::default_path(std::getenv("XDG_STATE_HOME"), std::getenv("HOME")));
  }
  if (!std::filesystem::exists(path, ignored))
    return fail(Errc::not_found, "{}: no such file, and there is no journal {} in which it could be a run", o.run, path.string());
  QUERN_ASSIGN(const auto journal, Journal::open(path));
  return record_of_journal(*journal, o.run);
}

Result<int> write_report(const Options& o) {
  QUERN_ASSIGN(const RunRecord record, find_run(o));
  std::error_code ignored;
  if (std::filesystem::equivalent(o.run, o.out, ignored)) return fail(Errc::invalid_argument, "{}: is the run that is read", o.out);
  QUERN_TRY(write_file(o.out, run_report(record)));
  return kSuccess;
}

}  // namespace

void add_report_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "report", "Write a run as one HTML page");
  command->footer(
      "Examples:\n"
      "  quern run examples/tidy-folder --yes --json > run.jsonl\n"
      "  quern report run.jsonl run.html\n"
      "  quern report 20261127-3f run.html               # a run of the journal, by its name\n\n"
      "The page says what was asked and answered, every call with its arguments and its result, what was confirmed, where the time\n"
      "went, and which files changed, line by line. It is one file that loads nothing; `quern run --report run.html` writes the same.\n"
      "Whoever gets it sees all that the run saw of your files: read it before you hand it on.");
  command->add_option("run", o->run, "What `quern run --json` wrote, or the name of a run in the journal")
      ->required()
      ->type_name("RUN");
  command->add_option("out", o->out, "The page; replaced if it is there")->required()->type_name("OUT.html");
  command->add_option("--journal", o->journal, "The journal that RUN is in; absent: the usual one")->type_name("FILE");
  command->callback([o, &body] { body = [o] { return write_report(*o); }; });
}

}  // namespace quern
