#include "agent/mcp/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/temporary_folder_test.h"
#include "base/file.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class McpConfig : public testing::Test {
 protected:
  Result<std::vector<McpServerConfig>> read(std::string_view text) {
    return parse_mcp_config(Json::parse(text, "test").value(), "mcp.json", variables,
                            [&](std::string line) { warnings.push_back(line); });
  }
  std::string error(std::string_view text) {
    const auto config = read(text);
    EXPECT_FALSE(config) << text;
    return config ? "" : config.error().message;
  }

  McpVariables variables = [](const std::string& name) -> std::optional<std::string> {
    return name == "TOKEN" ? std::optional<std::string>("secret") : std::nullopt;
  };
  std::vector<std::string> warnings;
};

TEST_F(McpConfig, ReadsTheFormatThatAgentsShare) {
  const auto all = read(R"({"theme": "dark", "mcpServers": {
    "files": {"command": "npx", "args": ["-y", "server", "${HOME_OF:-/home}"], "env": {"KEY": "a${TOKEN}b"}, "cwd": "/tmp", "alwaysAllow": []},
    "web": {"type": "http", "url": "https://a.test/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}, "trusted": true,
            "tools": ["a"], "resources": true, "timeout": 5, "maxRestarts": 0},
    "off": {"command": "x", "disabled": true}}})");
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), 2u);
  const McpServerConfig &files = all->at(0), &web = all->at(1);
  EXPECT_EQ(files.name, "files");
  EXPECT_THAT(files.command, ElementsAre("npx", "-y", "server", "/home"));
  EXPECT_THAT(files.environment, ElementsAre(testing::Pair("KEY", "asecretb")));
  EXPECT_EQ(files.folder, "/tmp");
  EXPECT_FALSE(files.trusted);
  EXPECT_FALSE(files.tools);
  EXPECT_EQ(web.url, "https://a.test/mcp");
  EXPECT_EQ(*web.headers.find("authorization"), "Bearer secret");
  EXPECT_TRUE(web.trusted && web.resources && !web.prompts);
  EXPECT_THAT(*web.tools, ElementsAre("a"));
  EXPECT_EQ(web.call_timeout_s, 5);
  EXPECT_EQ(web.max_restarts, 0);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("files: alwaysAllow is not known here")));
}

TEST_F(McpConfig, SaysWhereItIsWrong) {
  EXPECT_THAT(error(R"({})"), HasSubstr("mcp.json: expected {\"mcpServers\""));
  EXPECT_THAT(error(R"({"mcpServers": {"a": 7}})"), HasSubstr("mcpServers: a: expected an object, found number"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {}}})"), HasSubstr("either a command or a url"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"command": "x", "url": "http://a.test"}}})"), HasSubstr("either a command or a url"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"args": ["x"]}}})"), HasSubstr("args without a command"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"command": "x", "args": "y"}}})"),
              HasSubstr("args: expected a list of strings, found string"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"command": "x", "env": {"K": 1}}}})"), HasSubstr("env: K: expected a string"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"command": "${NOPE}"}}})"),
              HasSubstr("command: the environment has no variable NOPE"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"command": "${TOKEN"}}})"), HasSubstr("without }"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"url": "ftp://a.test"}}})"), HasSubstr("only http and https"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"url": "http://a.test", "type": "sse"}}})"), HasSubstr("is not spoken"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"command": "x", "timeout": -1}}})"), HasSubstr("times above 0"));
  EXPECT_THAT(error(R"({"mcpServers": {"a": {"command": "x", "trusted": "yes"}}})"), HasSubstr("expected true or false"));
  for (const char* name : {"", "a b", "a__b", "_a", "a_", "ä", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
    EXPECT_THAT(error(fmt::format(R"({{"mcpServers": {{"{}": {{"command": "x"}}}}}})", name)), HasSubstr("expected a name"))
        << name;
}

TEST_F(McpConfig, TakesOneWordOfACommandLine) {
  const auto parse = [&](const std::string& word) { return parse_mcp_argument(word, variables, nullptr); };
  const auto program = parse(R"(files=npx -y "a b" 'c "d' e\ f "")");
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_EQ(program->front().name, "files");
  EXPECT_THAT(program->front().command, ElementsAre("npx", "-y", "a b", "c \"d", "e f", ""));
  const auto url = parse("web=http://127.0.0.1:1/mcp?a=b");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->front().url, "http://127.0.0.1:1/mcp?a=b");
  EXPECT_FALSE(parse("a='x"));
  EXPECT_FALSE(parse("a="));
  EXPECT_FALSE(parse("just words"));
  EXPECT_FALSE(parse("/nowhere/mcp.json"));
  const TemporaryFolder folder;
  const auto file = folder.path() / "x=y.json";
  ASSERT_TRUE(write_file(file, R"({"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}}})"));
  const auto both = parse(file.string());
  ASSERT_TRUE(both) << both.error().message;
  EXPECT_EQ(both->size(), 2u);
}

}  // namespace
}  // namespace quern
