// quern's MCP client against `quern mcp`, with the embedded model: both ends of the protocol, and models as tools.
#include "agent/mcp/mcp_test.h"
#include "base/file.h"
#include "text/tokenizer.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class QuernMcp : public McpTest {
 protected:
  void SetUp() override {
    if (!fs::exists(fs::path(QUERN_REPO) / "models" / "pebble" / "config.json")) GTEST_SKIP() << "models/pebble is not there";
    config_.name = "quern";
    config_.command = {QUERN_BUILD "/quern", "mcp", "--model", QUERN_REPO "/models/pebble", "--threads", "2"};
    config_.call_timeout_s = 300;
    config_.environment = {{"TMPDIR", folder.path().string()}};
  }
  Json json(const std::string& tool, std::string_view arguments) {
    const std::string said = text(tool, arguments);
    return Json::parse(said, "answer").value_or(Json(said));
  }

  McpServerConfig config_;
};

TEST_F(QuernMcp, OffersTheModelsThatThereAre) {
  config_.resources = true;
  ASSERT_TRUE(start(config_));
  EXPECT_EQ(text("quern__list_models"), "pebble\n");
  EXPECT_THAT(text("quern__read_resource", R"({"uri": "quern://models"})"), HasSubstr("models/pebble"));
  EXPECT_FALSE(registry.find("quern__run_task"));
  EXPECT_THAT(warnings(), IsEmpty());
}

TEST_F(QuernMcp, GeneratesCountsAndKeepsToASchema) {
  ASSERT_TRUE(start(config_));
  const std::string first = text("quern__generate", R"({"prompt": "Say hello.", "max_tokens": 20, "temperature": 0})");
  EXPECT_THAT(first, Not(IsEmpty()));
  EXPECT_EQ(text("quern__generate", R"({"prompt": "Say hello.", "max_tokens": 20, "temperature": 0})"), first);
  EXPECT_EQ(text("quern__count_tokens", R"({"text": ""})"), "0");
  EXPECT_GT(json("quern__count_tokens", R"({"text": "one two three <|im_end|>"})").as_double(),
            4);  // no special token: ordinary text
  const Json answer =
      json("quern__ask_with_schema",
           R"({"prompt": "How warm is it?", "temperature": 0, "schema": {"type": "object", "properties": {"celsius": )"
           R"({"type": "integer", "minimum": -50, "maximum": 60}}, "required": ["celsius"], "additionalProperties": false}})");
  ASSERT_TRUE(answer.is_object()) << answer.dump();
  EXPECT_EQ(answer.size(), 1u);
  EXPECT_TRUE(answer.find("celsius")->to_int64());
  EXPECT_THAT(error("quern__ask_with_schema", R"({"prompt": "x", "schema": {"$ref": "http://127.0.0.1:1/"}})"), HasSubstr("$ref"));
  EXPECT_THAT(error("quern__generate", R"({"prompt": "x", "model": "other"})"), HasSubstr("error -32602"));
}

TEST_F(QuernMcp, ReportsProgressAndCanBeInterrupted) {
  ASSERT_TRUE(start(config_));
  const std::string endless = R"({"prompt": "Count: 1 2 3 4", "raw": true, "max_tokens": 100000})";
  const auto begin = std::chrono::steady_clock::now();
  context.cancelled = [&] { return output.size() >= 3 || std::chrono::steady_clock::now() - begin > std::chrono::seconds(30); };
  EXPECT_THAT(error("quern__generate", endless), HasSubstr("interrupted"));
  ASSERT_GE(output.size(), 3u);
  EXPECT_THAT(output.back(), HasSubstr(" of 100000"));
  context.cancelled = nullptr;
  EXPECT_EQ(text("quern__count_tokens", R"({"text": ""})"), "0");  // it was not held up by what was cancelled
}

TEST_F(QuernMcp, RunsTasksOfOneFolderByName) {
  const fs::path tasks = folder.path() / "tasks";
  fs::create_directories(tasks);
  ASSERT_TRUE(write_file(
      tasks / "greet.yaml",
      "name: greet\ndescription: Says hello\ninputs:\n  who:\ntask: Say hello to {{who}}. Use no tool.\nbudget:\n  turns: 3\n"));
  ASSERT_TRUE(write_file(tasks / "broken.yaml", "task: [\n"));
  ASSERT_TRUE(write_file(folder.path() / "outside.yaml", "task: Do harm.\n"));
  config_.command.insert(config_.command.end(), {"--tasks", tasks.string(), "--root", folder.path().string()});
  ASSERT_TRUE(start(config_));
  const Tool* run = registry.find("quern__run_task");
  ASSERT_TRUE(run);
  EXPECT_TRUE(run->changes);
  const std::string described = string_member(tool_function(run->definition), "description");
  EXPECT_THAT(described, HasSubstr("\ngreet: Says hello [who]"));
  EXPECT_THAT(described, Not(HasSubstr("broken")));
  const ToolResult done = call("quern__run_task", R"({"task": "greet", "inputs": {"who": "Ann=1"}})");  // pebble may do as it likes
  EXPECT_THAT(done.text, testing::AnyOf(HasSubstr("(carried out in "), HasSubstr("the task greet failed: ")));
  EXPECT_THAT(error("quern__run_task", R"({"task": "greet"})"), HasSubstr("who"));
  EXPECT_THAT(error("quern__run_task", R"({"task": "../outside"})"), HasSubstr("error -32602"));
  EXPECT_THAT(error("quern__run_task", R"({"task": "broken"})"), HasSubstr("error -32602"));
}

TEST_F(QuernMcp, SaysWhyItCannotStart) {
  config_.command = {QUERN_BUILD "/quern", "mcp", "--model", "/nowhere"};
  EXPECT_THAT(start_error(config_), HasSubstr("/nowhere: no such file or folder"));
  config_.command = {QUERN_BUILD "/quern", "mcp", "--tasks", folder.path().string()};
  EXPECT_THAT(start_error(config_), HasSubstr("no task file there"));
}

}  // namespace
}  // namespace quern
