// The examples can be done, their checks see when they are done, and when they are not.
#include <gtest/gtest.h>

#include <fstream>

#include "agent/loop.h"
#include "agent/sandbox/shell.h"
#include "agent/scripted_model_test.h"
#include "agent/task/task.h"
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

// What a model that understands the task would say.
std::vector<std::string> right_answers(const std::string& example, const fs::path& root) {
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
  int shell(const std::string& command) const {
    const auto done =
        run_shell({.command = command,
                   .folder = top.path(),
                   .environment = {{"TASK_DIR", task.folder.string()}, {"SEED", std::to_string(std::get<1>(GetParam()))}},
                   .cancelled = {}});
    return done ? done->exit_code : -1;
  }
  EndEvent run(std::vector<std::string> lines) {
    ScriptedModel model(std::move(lines));
    LoopOptions options{.name = task.name,
                        .instruction = task.instruction,
                        .system = task.system,
                        .root = top.path().string(),
                        .budget = task.budget};
    options.changes = ChangePolicy::allow;
    options.check = [&](const std::string&) -> Result<CheckResult> { return CheckResult{shell(task.check) == 0, ""}; };
    return run_loop(model, tools, options);
  }

  const std::string example = std::get<0>(GetParam());
  TemporaryFolder top;
  Task task;
  ToolRegistry tools;
};

TEST_P(Examples, HaveFourToNineFilesAndSucceedWhenDoneRight) {
  const size_t files = names_in(top.path()).size();
  EXPECT_GE(files, 4U);
  EXPECT_LE(files, 9U);
  const EndEvent end = run(right_answers(example, top.path()));
  EXPECT_EQ(end.status, RunStatus::success) << end.reason;
  EXPECT_EQ(end.counts.errors, 0);
}

TEST_P(Examples, FailWhenNothingOrNotAllIsDone) {
  EXPECT_EQ(run({"Done."}).reason, "the task's check failed");
  std::vector<std::string> lines = right_answers(example, top.path());
  lines.erase(lines.end() - 2);
  EXPECT_EQ(run(lines).reason, "the task's check failed");
}

TEST_P(Examples, FailWhenAFileIsLostOrChangedOrAdded) {
  EXPECT_EQ(run(right_answers(example, top.path())).status, RunStatus::success);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(top.path()))
    if (entry.is_regular_file()) files.push_back(entry.path());
  for (const fs::path& file : {files.front(), files.back()}) {
    const std::string text = *read_file(file);
    fs::remove(file);
    EXPECT_NE(shell(task.check), 0) << file << " is lost";
    std::ofstream(file) << text << "more\n";
    EXPECT_NE(shell(task.check), 0) << file << " is changed";
    std::ofstream(file) << text;
    EXPECT_EQ(shell(task.check), 0) << file;
  }
  std::ofstream(top.path() / "extra") << "x";
  EXPECT_NE(shell(task.check), 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Examples,
                         testing::Combine(testing::Values("tidy-folder", "file-by-project", "invoice-index"),
                                          testing::Values(0, 1, 77)));

}  // namespace
}  // namespace quern
