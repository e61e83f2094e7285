// A client and a server that keeps to the protocol: what reaches the registry, and what a call brings.
#include "agent/mcp/mcp_tools.h"

#include <chrono>
#include <thread>

#include "agent/mcp/mcp_test.h"

namespace quern {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class McpTools : public McpTest {};

TEST_F(McpTools, AreNamedAfterTheirServerAndAskFirst) {
  const auto server = start(python());
  ASSERT_TRUE(server);
  EXPECT_EQ(server->protocol_version(), "2025-06-18");
  const Tool* echo = registry.find("test__echo");
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->origin, "test");
  EXPECT_TRUE(echo->changes);  // whatever it says of itself
  EXPECT_FALSE(echo->idempotent);
  EXPECT_EQ(string_member(tool_function(echo->definition), "description"), "Does echo.");
  EXPECT_EQ(tool_function(echo->definition).find("parameters")->find("properties")->dump(), R"({"text": {"type": "string"}})");
  EXPECT_EQ(text("test__echo", R"({"text": "grüß\n Gott"})"), "grüß\n Gott");
  EXPECT_EQ(text("test__add", R"({"a": 2, "b": 40})"), "42");
  EXPECT_THAT(echo->preview(Json::object(), context).text, HasSubstr("nothing was done"));
  EXPECT_THAT(warnings(), IsEmpty());
}

TEST_F(McpTools, OfATrustedServerAreWhatItSays) {
  McpServerConfig config = python();
  config.trusted = true;
  ASSERT_TRUE(start(config));
  EXPECT_FALSE(registry.find("test__echo")->changes);
  EXPECT_TRUE(registry.find("test__work")->changes);
  EXPECT_TRUE(registry.find("test__work")->idempotent);
}

TEST_F(McpTools, ReturnEveryKindOfContentAsText) {
  ASSERT_TRUE(start(python()));
  EXPECT_EQ(
      text("test__picture"),
      "look:\n(image, image/png, about 300 bytes: it cannot be shown here)\ninside\n(a resource: a://c c)\n(something of the type "
      "'hologram', which is unknown here)");
  EXPECT_EQ(text("test__structured"), R"({"celsius": 21.5})");
  EXPECT_EQ(text("test__nothing"), "done");
  EXPECT_EQ(error("test__fail"), "it did not work");
  EXPECT_EQ(error("test__refuse"), "error: the server test: no\\nthank you (error -32602)");
}

TEST_F(McpTools, AreHeldToTheirOutputSchemas) {
  ASSERT_TRUE(start(python({"--tools", "outputs"})));
  EXPECT_EQ(text("test__right"), R"({"celsius": 21.5})");
  EXPECT_EQ(text("test__with_text"), "21.5 degrees") << "the text says the same";
  const ToolResult wrong = call("test__wrong");
  EXPECT_TRUE(wrong.is_error);
  EXPECT_THAT(wrong.text,
              HasSubstr("error: the server test does not keep to the outputSchema of wrong: does not satisfy the schema"));
  EXPECT_THAT(wrong.text, HasSubstr(". The call was made; it returned:\n{\"celsius\": \"warm\"}"));
  EXPECT_THAT(call("test__missing").text, HasSubstr("there is no structuredContent"));
  EXPECT_THAT(call("test__missing").text, HasSubstr("just text"));
  EXPECT_EQ(error("test__failed"), "no thermometer") << "of an error no schema speaks";
  EXPECT_EQ(text("test__unchecked"), R"({"celsius": "warm"})");
  EXPECT_THAT(warnings(), ElementsAre(HasSubstr("the outputSchema of the tool 'unchecked' is not checked: ")));
}

TEST_F(McpTools, AnswerWhatAServerAsks) {
  const auto server = start(python());
  ASSERT_TRUE(server);
  EXPECT_EQ(text("test__roots"), fmt::format(R"({{"roots": [{{"uri": "file://{}", "name": "{}"}}]}})", folder.path().string(),
                                             folder.path().filename().string()));
  EXPECT_EQ(text("test__sample"), R"({"code": -32601, "message": "quern does not offer sampling/createMessage"})");
  EXPECT_EQ(text("test__ping"), "{}");
}

TEST_F(McpTools, RunInTheRootWithAnEnvironmentOfTheirOwn) {
  ::setenv("QUERN_TEST_SECRET", "x", 1);
  McpServerConfig config = python();
  config.environment = {{"GIVEN", "yes"}, {"LANG", "C"}};
  options.environment = mcp_environment(environ);
  ASSERT_TRUE(start(config));
  const std::string in = " in " + folder.path().string();
  EXPECT_EQ(text("test__environment", R"({"name": "QUERN_TEST_SECRET"})"), "not set" + in);
  EXPECT_EQ(text("test__environment", R"({"name": "GIVEN"})"), "yes" + in);
  EXPECT_EQ(text("test__environment", R"({"name": "LANG"})"), "C" + in);
  EXPECT_THAT(text("test__environment", R"({"name": "PATH"})"), Not(HasSubstr("not set")));
}

TEST_F(McpTools, ReportProgressWhichCountsAsASignOfLife) {
  McpServerConfig config = python();
  config.call_timeout_s = 1;
  ASSERT_TRUE(start(config));
  EXPECT_EQ(text("test__work", R"({"steps": 5, "seconds": 0.4})"), "worked");
  EXPECT_THAT(output, Contains("test: 3 of 5: step \\x1b[31m3"));
  output.clear();
  EXPECT_THAT(error("test__work", R"({"steps": 1, "seconds": 5})"), HasSubstr("no answer to tools/call within 1 s"));
  config.call_max_s = 1.5;
  config.name = "other";
  ASSERT_TRUE(start(config));
  EXPECT_THAT(error("other__work", R"({"steps": 100, "seconds": 0.3})"), HasSubstr("no answer to tools/call within 1.5 s"));
}

TEST_F(McpTools, AreCancelledWithTheRun) {
  ASSERT_TRUE(start(python()));
  const auto start = std::chrono::steady_clock::now();
  context.cancelled = [&] { return std::chrono::steady_clock::now() - start > std::chrono::milliseconds(300); };
  EXPECT_THAT(error("test__work", R"({"steps": 1, "seconds": 1.5})"), HasSubstr("interrupted"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  context.cancelled = nullptr;
  EXPECT_THAT(text("test__seen"), HasSubstr(R"({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": )"));
}

TEST_F(McpTools, ShowWhatTheServerLogs) {
  ASSERT_TRUE(start(python()));
  EXPECT_EQ(text("test__log", R"({"lines": 1000})"), "logged");
  EXPECT_EQ(logs().size(), 200u);
  EXPECT_EQ(logs().front(), "MCP server test: line 0\\n\\x1b[2Jrest");
}

TEST_F(McpTools, ComeFromAllPagesOfTheList) {
  ASSERT_TRUE(start(python()));
  const size_t count = registry.names().size();
  McpServerConfig config = python({"--tools", "pages"});
  config.name = "paged";
  ASSERT_TRUE(start(config));
  EXPECT_EQ(registry.names().size(), 2 * count);
  EXPECT_TRUE(registry.find("paged__ignore_input"));
}

TEST_F(McpTools, AreOnlyThoseThatWereAskedFor) {
  McpServerConfig config = python();
  config.tools = {"add", "subtract"};
  ASSERT_TRUE(start(config));
  EXPECT_THAT(registry.names(), ElementsAre("test__add"));
  EXPECT_THAT(warnings(), ElementsAre("MCP server test: it has no tool called subtract"));
}

TEST_F(McpTools, MakeResourcesAndPromptsReachableWhereThatWasAskedFor) {
  McpServerConfig config = python();
  config.resources = config.prompts = true;
  ASSERT_TRUE(start(config));
  EXPECT_FALSE(registry.find("test__read_resource")->changes);
  EXPECT_EQ(text("test__list_resources"), "memo://one  one  The first\nmemo://{n}  any\n");
  EXPECT_EQ(text("test__read_resource", R"({"uri": "memo://one"})"),
            "read memo://one\n(the resource b is not text: of no known type, about 3 bytes)");
  EXPECT_EQ(text("test__list_prompts"), "greet  Greets  [who]  [how?]\n");
  EXPECT_EQ(text("test__get_prompt", R"({"name": "greet", "arguments": {"who": "Ann"}})"), "A greeting\nuser: Hello Ann");
}

TEST_F(McpTools, AreReplacedWhenTheServerSaysTheyChanged) {
  auto servers = McpClients::start(registry, {python()}, options, context);
  ASSERT_TRUE(servers) << servers.error().message;
  EXPECT_FALSE(servers->refresh(registry, context));
  EXPECT_EQ(text("test__change"), "changed");
  EXPECT_TRUE(servers->refresh(registry, context));
  EXPECT_THAT(registry.names(), ElementsAre("test__echo", "test__add", "test__new_one_"));
  EXPECT_EQ(error("test__new_one_"), "error: the server test: unknown: 'new one!' (error -32601)");
  EXPECT_FALSE(servers->refresh(registry, context));
}

TEST_F(McpTools, ThatATaskDoesNotWantDoNotComeBackWithAChange) {
  auto servers = McpClients::start(registry, {python()}, options, context);
  ASSERT_TRUE(servers);
  ASSERT_TRUE(registry.restrict_to({"test__add", "test__change"}));
  EXPECT_EQ(text("test__change"), "changed");
  EXPECT_TRUE(servers->refresh(registry, context));
  EXPECT_THAT(registry.names(), ElementsAre("test__add"));
}

TEST_F(McpTools, OfTwoServersOfOneNameAreRefused) {
  const auto servers = McpClients::start(registry, {python(), python()}, options, context);
  ASSERT_FALSE(servers);
  EXPECT_THAT(servers.error().message, HasSubstr("there is another of that name"));
}

}  // namespace
}  // namespace quern
