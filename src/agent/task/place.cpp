#include "agent/task/place.h"

#include <stdlib.h>

#include <cctype>

#include "agent/sandbox/shell.h"
#include "agent/task/checks.h"

namespace quern {

namespace fs = std::filesystem;

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

Result<std::map<std::string, std::string>> parse_inputs(const std::vector<std::string>& given) {
  std::map<std::string, std::string> values;
  for (const std::string& one : given) {
    const size_t equals = one.find('=');
    if (equals == std::string::npos) return fail(Errc::invalid_argument, "--input {}: expected NAME=VALUE", one);
    values[one.substr(0, equals)] = one.substr(equals + 1);
  }
  return values;
}

namespace {

Result<fs::path> fresh_folder(const std::string& name, const fs::path& temporary) {
  std::string stem;
  for (const char c : name) stem += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  std::string folder = (temporary / ("quern-" + (stem.empty() ? "task" : stem.substr(0, 40)) + "-XXXXXX")).string();
  if (!::mkdtemp(folder.data())) return fail(Errc::io, "{}: cannot make a folder there", temporary.string());
  return fs::path(folder);
}

}  // namespace

Result<Place> find_place(const Task& task, const fs::path& named, const fs::path& temporary) {
  std::error_code error;
  Place place{named.empty() ? task.root : named, false};
  if (place.root.empty() && !task.folder.empty()) {
    QUERN_ASSIGN(place.root, fresh_folder(task.name, temporary));
    place.fresh = true;
  }
  if (place.root.empty()) place.root = ".";
  const fs::path canonical = fs::canonical(place.root, error);
  if (error) return fail(Errc::not_found, "{}: {}", place.root.string(), error.message());
  place.root = canonical;
  return place;
}

Result<void> set_up(const TaskShell& shell) {
  if (shell.task.setup.empty()) return {};
  auto done = run_shell(shell_command(shell, shell.task.setup));
  if (!done) return with_context(done.error(), "setup");
  if (done->exit_code != 0)
    return fail(Errc::io, "setup: exit {} in {}: {}", done->exit_code, shell.root.string(), done->output.substr(0, 300));
  return {};
}

}  // namespace quern
