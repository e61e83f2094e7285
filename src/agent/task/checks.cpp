#include "agent/task/checks.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

#include "agent/tools/root_folder.h"
#include "base/file.h"
#include "constrain/constraint.h"

namespace quern {
namespace {

constexpr size_t kMaxJsonFile = 16 << 20;

// The answer as a file for the check, gone afterwards.
class AnswerFile {
 public:
  static Result<AnswerFile> create(const std::string& answer, const std::filesystem::path& temporary) {
    std::string name = (temporary / "quern-answer-XXXXXX").string();
    const UniqueFd fd(::mkstemp(name.data()));
    if (!fd) return fail(Errc::io, "{}: cannot make a file there", temporary.string());
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

Result<Json> read_json(const std::string& path, const std::filesystem::path& root) {
  QUERN_ASSIGN(const RootFolder folder, RootFolder::open(root));
  const auto normal = RootFolder::normal(path);
  if (!normal) return fail(Errc::denied, "{}: it must be below the folder of the run", path);
  const auto content = folder.read(*normal, kMaxJsonFile);
  if (!content) return fail(Errc::not_found, "{}: there is no such file to read", path);
  if (content->size > kMaxJsonFile) return fail(Errc::out_of_range, "{}: larger than {} bytes", path, kMaxJsonFile);
  return Json::parse(content->bytes, path);
}

CheckResult judge(const Check& check, const Result<Json>& value) {
  const std::string what = check.file.empty() ? "the answer" : check.file;
  if (!value) return {false, value.error().message};
  const auto fits = check_json(*check.schema, *value);
  return fits ? CheckResult{true, {}} : CheckResult{false, fmt::format("{}: {}", what, fits.error().message)};
}

Result<CheckResult> run_command(const Check& check, const std::string& answer, const CheckPlace& place) {
  QUERN_ASSIGN(const AnswerFile file, AnswerFile::create(answer, place.temporary));
  ShellCommand command = shell_command(place.shell, check.command);
  for (const auto& variable : place.environment) command.environment.push_back(variable);
  command.environment.emplace_back("ANSWER", answer);
  command.environment.emplace_back("ANSWER_FILE", file.path());
  QUERN_ASSIGN(ShellOutcome outcome, run_shell(command));
  return CheckResult{outcome.exit_code == 0, std::move(outcome.output)};
}

}  // namespace

ShellCommand shell_command(const TaskShell& shell, const std::string& command) {
  ShellCommand made{.command = command,
                    .folder = shell.root,
                    .environment = {{"TASK_DIR", shell.task.folder.string()}, {"SEED", std::to_string(shell.seed)}},
                    .cancelled = shell.cancelled};
  for (const TaskInput& input : shell.task.inputs) {
    std::string variable = "INPUT_" + input.name;
    std::replace(variable.begin(), variable.end(), '-', '_');
    made.environment.emplace_back(std::move(variable), input.value.value_or(""));
  }
  return made;
}

Result<Json> json_answer(const std::string& answer) {
  std::string_view text = answer;
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
  const auto trim = [&] {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  };
  trim();
  if (text.starts_with("```") && text.ends_with("```") && text.size() > 6 && text.find('\n') != std::string_view::npos) {
    text.remove_suffix(3);
    text.remove_prefix(text.find('\n'));
    trim();
  }
  return Json::parse(text, "the answer is not the JSON that was asked for");
}

Result<CheckResult> run_checks(const std::vector<Check>& checks, const std::string& answer, const CheckPlace& place) {
  CheckResult last{true, {}};
  for (const Check& check : checks) {
    if (check.schema) {
      last = judge(check, check.file.empty() ? json_answer(answer) : read_json(check.file, place.shell.root));
    } else {
      QUERN_ASSIGN(last, run_command(check, answer, place));
    }
    if (!last.passed) return last;
  }
  return last;
}

}  // namespace quern
