#include "agent/task/run_tools.h"

#include <gmock/gmock.h>

#include "agent/task/runner.h"
#include "agent/temporary_folder_test.h"
#include "base/file.h"

extern char** environ;

namespace quern {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

class RunToolsTest : public testing::Test {
 protected:
  Task task_of(std::string text) const {
    auto task = Task::from_text(std::move(text), top.path() / "task.yaml");
    EXPECT_TRUE(task) << task.error().message;
    const auto environment = [](const std::string&) { return std::optional<std::string>("token-value"); };
    EXPECT_TRUE(task->fill({}, environment));
    return std::move(*task);
  }
  Result<RunTools> make(const Task& task) const {
    RunToolsOptions options;
    options.root = top.path();
    options.memory = top.path() / "memory.db";
    options.server_environment = mcp_environment(environ);
    return make_run_tools(task, options);
  }

  TemporaryFolder top;
};

TEST_F(RunToolsTest, AreThoseThatSomeStepIsOffered) {
  EXPECT_THAT(builtin_tools_of(task_of("task: x")), ElementsAre("files"));
  EXPECT_THAT(builtin_tools_of(task_of("task: x\ntools: [read_file, 're*', server__a]")),
              ElementsAre("read_file", "read_lines", "recall", "remember"));
  EXPECT_THAT(builtin_tools_of(task_of("tools: [recall]\nsteps: [{name: a, task: x}, {name: b, task: y, tools: [grep_*]}]")),
              ElementsAre("grep_files", "recall"));
  EXPECT_THAT(builtin_tools_of(task_of("tools: [recall]\nsteps: [{name: a, task: x, tools: []}]")), ElementsAre());
  const Task more = task_of("task: x\ntools: [files, edit_file]");
  EXPECT_EQ(builtin_tools_of(more).size(), 10U);
  EXPECT_EQ(tools_of(more, more.steps[0], make(more)->registry)->names().size(), 10U);
  EXPECT_THAT(builtin_tools_of(task_of("task: x\ntools: [recall]\non_failure: [{name: a, task: x, tools: [ask_user]}]")),
              ElementsAre("ask_user", "recall"));
}

TEST_F(RunToolsTest, AreMadeWithWhatTheTaskGrants) {
  const auto tools =
      make(task_of("task: x\ntools: [http_request, run_command, edit_file]\naccess: {hosts: [127.0.0.1], write: [.]}"));
  ASSERT_TRUE(tools) << tools.error().message;
  EXPECT_EQ(tools->registry.names().size(), 3U);
  EXPECT_EQ(make(task_of("task: x"))->registry.names().size(), 9U);
  EXPECT_THAT(make(task_of("task: x\ntools: [run_command]\naccess: {read: [nowhere]}")).error().message,
              HasSubstr("access: nowhere: "));
  EXPECT_FALSE(make(task_of("task: x\ntools: [http_request]\naccess: {hosts: ['a b']}")));
}

TEST_F(RunToolsTest, AServerGetsItsValuesAndNoMoreThanItIsGranted) {
  fs::create_directory(top.path() / "data");
  const Task task = task_of(R"(task: x
inputs: {token: {secret: true, env: T}, n: three}
mcp:
  program: {command: ./serve, args: ["--n={{n}}"], env: {TOKEN: "{{token}}"}, folders: [data]}
  free: {command: serve, confined: false, network: true, tools: [a]}
  remote: {url: "https://example.org/{{n}}", headers: {Authorization: "Bearer {{token}}"}, trusted: true}
  lost: {command: serve, folders: [nowhere]}
)");
  const auto program = server_config(task.mcp[0], task, top.path());
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_THAT(program->command, ElementsAre((top.path() / "./serve").string(), "--n=three"));
  EXPECT_THAT(program->environment, ElementsAre(std::pair("TOKEN", "token-value")));
  EXPECT_EQ(program->sandbox.mode, SandboxPolicy::Mode::required);
  EXPECT_FALSE(program->sandbox.network);
  EXPECT_THAT(program->sandbox.writable, ElementsAre(top.path(), top.path() / "data"));
  const auto free = server_config(task.mcp[1], task, top.path());
  EXPECT_EQ(free->sandbox.mode, SandboxPolicy::Mode::none);
  EXPECT_THAT(free->command, ElementsAre("serve"));
  EXPECT_THAT(*free->tools, ElementsAre("a"));
  const auto remote = server_config(task.mcp[2], task, top.path());
  EXPECT_EQ(remote->url, "https://example.org/three");
  EXPECT_EQ(*remote->headers.find("authorization"), "Bearer token-value");
  EXPECT_TRUE(remote->trusted);
  EXPECT_THAT(server_config(task.mcp[3], task, top.path()).error().message, HasSubstr("mcp: lost: nowhere: "));
}

TEST_F(RunToolsTest, AServerOfTheTaskOffersItsToolsUnlessATaskChoosesOthers) {
  std::string text = "task: x\nmcp: {test: {command: python3, args: [\"" + std::string(QUERN_REPO) +
                     "/tests/mcp_server.py\"], confined: false, tools: [echo]}}\n";
  const auto tools = make(task_of(text));
  ASSERT_TRUE(tools) << tools.error().message;
  EXPECT_THAT(tools->registry.names(), Contains("test__echo"));
  EXPECT_EQ(tools->registry.names().size(), 10U);
  const auto chosen = make(task_of(text + "tools: [test__*]"));
  ASSERT_TRUE(chosen);
  EXPECT_THAT(chosen->registry.names(), ElementsAre("test__echo"));
  const Json arguments = Json::parse(R"({"text": "hello"})", "arguments").value();
  EXPECT_EQ(chosen->registry.find("test__echo")->execute(arguments, {}).text, "hello");
}

}  // namespace
}  // namespace quern
