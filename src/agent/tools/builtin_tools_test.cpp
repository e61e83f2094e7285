#include "agent/tools/builtin_tools.h"

#include <chrono>

#include "agent/sandbox/support.h"
#include "agent/tools/builtin_test.h"
#include "text/file_tools.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using BuiltinTools = BuiltinTest;

TEST_F(BuiltinTools, AreTheNineUnlessAskedForByName) {
  ASSERT_TRUE(add_builtin_tools(registry, options));
  std::vector<Json> nine = file_tools::definitions();
  EXPECT_EQ(registry.definitions(), nine);

  ToolRegistry some;
  options.tools = {"recall", "grep_files", "read_file", "grep_files", "ask_user"};
  ASSERT_TRUE(add_builtin_tools(some, options));
  EXPECT_THAT(some.names(), ElementsAre("read_file", "grep_files", "ask_user", "recall"));

  ToolRegistry all;
  options.tools = builtin_tool_names();
  ASSERT_TRUE(add_builtin_tools(all, options));
  EXPECT_EQ(all.names(), builtin_tool_names());
  EXPECT_EQ(all.names().size(), 18u);
  for (const std::string& name : all.names()) {
    const Tool& one = *all.find(name);
    EXPECT_EQ(one.changes, static_cast<bool>(one.preview)) << name;
    for (const auto& [parameter, schema] : one.definition.find("function")->find("parameters")->find("properties")->as_object())
      EXPECT_TRUE(schema.find("description") && schema.find("type")) << name << " " << parameter;
  }
}

TEST_F(BuiltinTools, SayWhatIsMissing) {
  options.tools = {"fly"};
  EXPECT_THAT(add_builtin_tools(registry, options).error().message,
              HasSubstr("no built-in tool is called fly; there are files, list_files, "));
  options.tools = {"recall"};
  options.memory.clear();
  EXPECT_EQ(add_builtin_tools(registry, options).error().message, "tools: recall needs a file to remember in");
  options.tools = {"http_request"};
  options.http.allowed_hosts = {"a b"};
  EXPECT_EQ(add_builtin_tools(registry, options).error().code, Errc::invalid_argument);
  options.root = top.path() / "nowhere";
  options.tools = {"run_command"};
  EXPECT_EQ(add_builtin_tools(registry, options).error().code, Errc::not_found);
}

using AskUserTool = BuiltinTest;

TEST_F(AskUserTool, PassesQuestionAndAnswerOn) {
  std::string asked;
  std::vector<std::string> offered;
  std::optional<std::string> answer = "blue";
  options.ask = [&](const std::string& question, const std::vector<std::string>& choices) {
    asked = question, offered = choices;
    return answer;
  };
  EXPECT_EQ(said("ask_user", R"({"question": "Which\ncolour?\u001b[2J"})"), "blue");
  EXPECT_EQ(asked, "Which\ncolour??[2J");
  EXPECT_TRUE(offered.empty());
  answer = "2";
  EXPECT_EQ(said("ask_user", R"({"question": "Which?", "choices": ["red", "green"]})"), "green");
  EXPECT_THAT(offered, ElementsAre("red", "green"));
  answer = "3";
  EXPECT_EQ(said("ask_user", R"({"question": "Which?", "choices": ["red", "green"]})"), "3");
  answer = "";
  EXPECT_EQ(said("ask_user", R"({"question": "Which?"})"), "(an empty answer)");
  answer = std::string(20'000, 'x');
  EXPECT_EQ(said("ask_user", R"({"question": "Which?"})").size(), 16u << 10);
  answer.reset();
  EXPECT_EQ(refused("ask_user", R"({"question": "Which?"})"), "error: the question was not answered");
  EXPECT_THAT(refused("ask_user", R"({"question": " "})"), HasSubstr("empty"));
  EXPECT_THAT(refused("ask_user", R"({"question": "x", "choices": [""]})"), HasSubstr("a choice has 1 to 200 bytes"));
}

TEST_F(AskUserTool, WithoutSomebodyIsAnError) {
  EXPECT_THAT(refused("ask_user", R"({"question": "Which?"})"), HasSubstr("nobody is there to answer"));
}

class RunCommandTool : public BuiltinTest {
 protected:
  void SetUp() override {
    BuiltinTest::SetUp();
    if (!this_machines_sandbox().confines()) GTEST_SKIP() << this_machines_sandbox().describe();
  }
};

TEST_F(RunCommandTool, RunsInTheFolderAndNowhereElse) {
  put(root() / "sub/a.txt", "x");
  EXPECT_EQ(said("run_command", R"({"command": "echo hi > made; ls"})"), "link\nlink.txt\nmade\nsub\n");
  EXPECT_EQ(said("run_command", R"({"command": "ls; pwd", "folder": "sub"})"), "a.txt\n" + (root() / "sub").string() + "\n");
  EXPECT_EQ(said("run_command", R"({"command": "true"})"), "(no output)");
  EXPECT_EQ(refused("run_command", R"({"command": "echo no >&2; exit 3"})"), "no\n(exit code 3)");
  refused("run_command", R"({"command": "cat link.txt"})");
  refused("run_command", R"({"command": "echo x > link.txt"})");
  for (const char* folder : {"link", "..", "../outside", "/", "missing", "sub/a.txt"})
    refused("run_command", fmt::format(R"({{"command": "pwd", "folder": "{}"}})", folder));
  EXPECT_THAT(refused("run_command", R"({"command": " "})"), HasSubstr("empty"));
  EXPECT_THAT(refused("run_command", R"({"command": "a\u0000b"})"), HasSubstr("zero"));
  EXPECT_TRUE(tool("run_command").changes);
  EXPECT_FALSE(tool("run_command").idempotent);
}

TEST_F(RunCommandTool, SaysWhatItPrintsAsItComes) {
  std::vector<std::string> lines;
  const CallContext context{.cancelled = {}, .on_output = [&](std::string_view line) { lines.emplace_back(line); }};
  const ToolResult result = call("run_command", R"({"command": "echo one; echo two >&2"})", context);
  EXPECT_EQ(result.text, "one\ntwo\n");
  EXPECT_THAT(lines, ElementsAre("one", "two"));
}

TEST_F(RunCommandTool, EndsWithTheRunItsTimeOrItsOutput) {
  const auto start = std::chrono::steady_clock::now();
  const CallContext cancelled{
      .cancelled = [&] { return std::chrono::steady_clock::now() - start > std::chrono::milliseconds(300); }, .on_output = {}};
  EXPECT_THAT(call("run_command", R"({"command": "echo begun; sleep 60"})", cancelled).text, "begun\nerror: interrupted");
  EXPECT_EQ(refused("run_command", R"({"command": "sleep 60", "timeout_s": 1})"),
            "error: the command took longer than 1 s and was ended");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  options.command.sandbox.output_bytes = 1'000'000;
  registry = ToolRegistry();
  const std::string flood = refused("run_command", R"({"command": "yes"})");
  EXPECT_LT(flood.size(), 40'000u);
  EXPECT_THAT(flood, testing::EndsWith("printed more than 1000000 bytes and was ended"));
  EXPECT_THAT(said("run_command", R"({"command": "seq 100000"})"), HasSubstr(" bytes left out)"));
}

TEST_F(RunCommandTool, APreviewRunsNothing) {
  const Json arguments = parsed("run_command", R"({"command": "touch made"})");
  EXPECT_EQ(tool("run_command").preview(arguments, {}).text, "would run: touch made");
  EXPECT_FALSE(std::filesystem::exists(root() / "made"));
}

}  // namespace
}  // namespace quern
