// The examples can be done, their checks see when they are done, and when they are not.
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "agent/scripted_model_test.h"
#include "agent/task/checks.h"
#include "agent/task/runner.h"
#include "agent/temporary_folder_test.h"
#include "agent/tools/file_tools.h"
#include "base/file.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

std::string json_call(std::string_view name, std::initializer_list<std::pair<std::string_view, std::string>> arguments) {
  Json json = Json::object();
  for (const auto& [key, value] : arguments) json[key] = value;
  return call_text(name, json.dump());
}

std::string field(const fs::path& file, std::string_view name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(name)) return line.substr(name.size());
  return {};
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The same for the tasks with steps: an answer of each item's conversation behind its call.
std::vector<std::string> right_answers_in_steps(const Task& task, const fs::path& root) {
  std::vector<std::string> lines, names;
  const bool letters = task.name == "letters";
  const Scope scope = task.scope();
  if (letters) {
    std::istringstream guests(scope.inputs.at("guests"));
    for (std::string guest; std::getline(guests, guest);) names.push_back(guest + ".txt");
  } else {
    names = names_in(root);
  }
  for (const std::string& name : names) {
    const std::string text = letters
                                 ? "Dear " + fs::path(name).stem().string() + ", the garden opens in " + scope.inputs.at("month")
                                 : "Reviewed by " + scope.inputs.at("reviewer");
    lines.push_back(json_call(letters ? "write_file" : "append_file", {{"path", name}, {"text", text}}));
    lines.push_back("It is done.");
  }
  for (const std::string& name : names)
    lines.push_back(json_call("move_file", {{"from", name}, {"to", (letters ? "letters/" : "reviewed/") + name}}));
  lines.push_back("Done.");
  return lines;
}

// What a model that understands the task would say.
std::vector<std::string> right_answers(const Task& task, const fs::path& root) {
  if (task.has_steps()) return right_answers_in_steps(task, root);
  const std::string& example = task.name;
  std::vector<std::string> lines = {json_call("list_files", {{"folder", "."}})};
  std::string index;
  for (const std::string& name : names_in(root)) {
    const std::string extension = fs::path(name).extension().string();
    if (example == "tidy-folder") {
      const std::string folder = extension == ".txt" ? "texts/" : extension == ".jpg" ? "pictures/" : "papers/";
      lines.push_back(json_call("move_file", {{"from", name}, {"to", folder + name}}));
      continue;
    }
    lines.push_back(json_call("read_file", {{"path", name}}));
    if (example == "file-by-project")
      lines.push_back(json_call("move_file", {{"from", name}, {"to", field(root / name, "Project: ") + "/" + name}}));
    else
      index += name + "," + field(root / name, "Client: ") + "," + field(root / name, "Total: ") + "\n";
  }
  if (!index.empty()) lines.push_back(json_call("write_file", {{"path", "index.csv"}, {"text", index}}));
  lines.push_back("Done.");
  return lines;
}

class Examples : public testing::TestWithParam<std::tuple<const char*, int>> {
 protected:
  void SetUp() override {
    auto loaded = Task::load(fs::path(QUERN_REPO) / "examples" / example / "task.yaml");
    ASSERT_TRUE(loaded) << loaded.error().message;
    task = std::move(*loaded);
    ASSERT_TRUE(task.fill({}));
    ASSERT_EQ(shell(task.setup), 0);
    ASSERT_TRUE(add_file_tools(tools, top.path()));
  }
  const std::string& check() const { return task.has_steps() ? task.checks[0].command : task.steps[0].checks[0].command; }
  int shell(const std::string& command) const {
    const TaskShell place{
        .task = task, .root = top.path(), .seed = static_cast<uint64_t>(std::get<1>(GetParam())), .cancelled = {}};
    const auto done = run_shell(shell_command(place, command));
    return done ? done->exit_code : -1;
  }
  EndEvent run(std::vector<std::string> lines) {
    ScriptedModel model(std::move(lines));
    RunnerOptions options;
    options.root = top.path();
    options.temporary = fs::temp_directory_path();
    options.seed = static_cast<uint64_t>(std::get<1>(GetParam()));
    options.changes = task.has_steps() ? ChangePolicy::ask : ChangePolicy::allow;  // those have a policy that allows
    return run_task(task, model, tools, options);
  }

  const std::string example = std::get<0>(GetParam());
  TemporaryFolder top;
  Task task;
  ToolRegistry tools;
};

TEST_P(Examples, HaveAFewFilesAndSucceedWhenDoneRight) {
  const size_t files = names_in(top.path()).size();
  EXPECT_GE(files, task.has_steps() ? 1U : 4U);
  EXPECT_LE(files, 9U);
  const EndEvent end = run(right_answers(task, top.path()));
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.counts.errors, 0);
}

TEST_P(Examples, FailWhenNothingOrNotAllIsDone) {
  EXPECT_THAT(run({"Done."}).reason, testing::HasSubstr("the task's check failed"));
  std::vector<std::string> lines = right_answers(task, top.path());
  lines.erase(lines.end() - 2);
  EXPECT_EQ(run(lines).reason, "the task's check failed");
}

TEST_P(Examples, FailWhenAFileIsLostOrChangedOrAdded) {
  EXPECT_EQ(run(right_answers(task, top.path())).status, RunStatus::success);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(top.path()))
    if (entry.is_regular_file()) files.push_back(entry.path());
  for (const fs::path& file : {files.front(), files.back()}) {
    const std::string text = *read_file(file);
    fs::remove(file);
    EXPECT_NE(shell(check()), 0) << file << " is lost";
    std::ofstream(file) << text << "more\n";
    EXPECT_NE(shell(check()), 0) << file << " is changed";
    std::ofstream(file) << text;
    EXPECT_EQ(shell(check()), 0) << file;
  }
  std::ofstream(top.path() / "extra") << "x";
  EXPECT_NE(shell(check()), 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Examples,
                         testing::Combine(testing::Values("tidy-folder", "file-by-project", "invoice-index", "review-notes",
                                                          "letters"),
                                          testing::Values(0, 1, 77)));

}  // namespace
}  // namespace quern
