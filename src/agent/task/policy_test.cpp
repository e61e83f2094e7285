#include "agent/task/policy.h"

#include <gtest/gtest.h>

#include <chrono>

namespace quern {
namespace {

Tool tool(std::string name, bool changes = false, std::string origin = "") {
  Tool made;
  made.definition = Json::Object{{"type", "function"}, {"function", Json::Object{{"name", std::move(name)}}}};
  made.origin = std::move(origin);
  made.changes = changes;
  return made;
}
ToolCall call(std::string_view arguments) { return {"x", Json::parse(arguments, "arguments").value()}; }

PolicyRule rule(Verdict verdict, std::vector<std::string> tools, std::vector<std::pair<std::string, std::string>> globs = {}) {
  PolicyRule made{.tools = std::move(tools), .server = {}, .arguments = {}, .verdict = verdict};
  for (auto& [name, glob] : globs) made.arguments.push_back({name, {TextPattern::glob(glob).value()}});
  return made;
}

TEST(Policy, WithoutRulesChangesAskAndLooksDoNot) {
  EXPECT_EQ(Policy{}.decide(tool("write_file", true), call("{}")), Verdict::ask);
  EXPECT_EQ(Policy{}.decide(tool("read_file"), call("{}")), Verdict::allow);
}

TEST(Policy, TheFirstRuleThatFitsDecides) {
  Policy policy;
  policy.rules = {rule(Verdict::deny, {"delete_*"}), rule(Verdict::allow, {"write_file", "append_file"}, {{"path", "out/*"}}),
                  rule(Verdict::allow, {"*"}, {{"path", "never looked at"}}), rule(Verdict::ask, {"read_file"})};
  EXPECT_EQ(policy.decide(tool("delete_file", true), call(R"({"path": "out/a"})")), Verdict::deny);
  EXPECT_EQ(policy.decide(tool("write_file", true), call(R"({"path": "out/a/b.txt"})")), Verdict::allow);
  EXPECT_EQ(policy.decide(tool("write_file", true), call(R"({"path": "in/a"})")), Verdict::ask);
  EXPECT_EQ(policy.decide(tool("write_file", true), call(R"({})")), Verdict::ask);
  EXPECT_EQ(policy.decide(tool("read_file"), call(R"({"path": "x"})")), Verdict::ask);
  EXPECT_EQ(policy.decide(tool("list_files"), call(R"({"folder": "."})")), Verdict::allow);
  policy.fallback = Verdict::deny;
  EXPECT_EQ(policy.decide(tool("list_files"), call(R"({"folder": "."})")), Verdict::deny);
}

TEST(Policy, OtherSpellingsDoNotGetAroundARule) {
  Policy policy;
  policy.rules = {rule(Verdict::deny, {"*"}, {{"path", "secret/*"}}), rule(Verdict::allow, {"*"}, {{"path", "open/*"}})};
  policy.fallback = Verdict::ask;
  for (const char* path : {"secret/a", "./secret/a", "open/../secret/a", "secret//a", "x/../secret/./a", "secret/b/../../secret/a"})
    EXPECT_EQ(policy.decide(tool("t"), call(fmt::format(R"({{"path": "{}"}})", path))), Verdict::deny) << path;
  for (const char* path : {"open/../a", "open/../../etc/passwd", "./open/a"})
    EXPECT_EQ(policy.decide(tool("t"), call(fmt::format(R"({{"path": "{}"}})", path))), Verdict::ask) << path;
  EXPECT_EQ(policy.decide(tool("t"), call(R"({"path": "open/a"})")), Verdict::allow);
}

TEST(Policy, LooksIntoListsMembersAndOtherValues) {
  Policy policy;
  policy.rules = {rule(Verdict::deny, {"*"}, {{"args", "--force*"}}), rule(Verdict::allow, {"*"}, {{"args", "-*"}}),
                  rule(Verdict::deny, {"*"}, {{"request.method", "DELETE"}}), rule(Verdict::deny, {"*"}, {{"n", "1?"}}),
                  rule(Verdict::deny, {"*"}, {{"on", "true"}})};
  policy.fallback = Verdict::ask;
  EXPECT_EQ(policy.decide(tool("t"), call(R"({"args": ["-a", "--force=1"]})")), Verdict::deny);
  EXPECT_EQ(policy.decide(tool("t"), call(R"({"args": ["-a", "b"]})")), Verdict::ask);
  EXPECT_EQ(policy.decide(tool("t"), call(R"({"args": ["-a", "-b"]})")), Verdict::allow);
  EXPECT_EQ(policy.decide(tool("t"), call(R"({"args": []})")), Verdict::ask);
  EXPECT_EQ(policy.decide(tool("t"), call(R"({"request": {"method": "DELETE"}})")), Verdict::deny);
  EXPECT_EQ(policy.decide(tool("t"), call(R"({"request.method": "DELETE"})")), Verdict::deny);
  EXPECT_EQ(policy.decide(tool("t"), call(R"({"n": 12})")), Verdict::deny);
  EXPECT_EQ(policy.decide(tool("t"), call(R"({"n": 123, "on": true})")), Verdict::deny);
}

TEST(Policy, KnowsServersAndRegularExpressions) {
  Policy policy;
  policy.rules.push_back({.tools = {"*"}, .server = "git*", .arguments = {}, .verdict = Verdict::deny});
  policy.rules.push_back({.tools = {},
                          .server = {},
                          .arguments = {{"command", {TextPattern::regex("git (status|diff)( [a-z/.]+)*").value()}}},
                          .verdict = Verdict::allow});
  EXPECT_EQ(policy.decide(tool("push", true, "github"), call("{}")), Verdict::deny);
  EXPECT_EQ(policy.decide(tool("run_command", true), call(R"({"command": "git diff src/a.cpp"})")), Verdict::allow);
  EXPECT_EQ(policy.decide(tool("run_command", true), call(R"({"command": "git diff; rm -rf x"})")), Verdict::ask);
  EXPECT_FALSE(TextPattern::regex("(a"));
  EXPECT_FALSE(TextPattern::regex("(a)\\1"));
  EXPECT_FALSE(TextPattern::glob(std::string(1001, '*')));
}

TEST(Policy, HostileTextsTakeNoLongerThanTheirLength) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(TextPattern::regex("(a*)*(a|aa)*b").value().matches(std::string(100'000, 'a')));
  std::string globs;
  for (int i = 0; i < 100; ++i) globs += "*a";
  EXPECT_FALSE(TextPattern::glob(globs + "b").value().matches(std::string(10'000, 'a')));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Policy, OnePolicyBeforeAnother) {
  Policy step, task;
  step.rules = {rule(Verdict::allow, {"write_file"})};
  task.rules = {rule(Verdict::deny, {"*"})};
  task.fallback = Verdict::deny;
  const Policy both = step.before(task);
  EXPECT_EQ(both.decide(tool("write_file", true), call("{}")), Verdict::allow);
  EXPECT_EQ(both.decide(tool("read_file"), call("{}")), Verdict::deny);
  EXPECT_EQ(both.fallback, Verdict::deny);
  step.fallback = Verdict::ask;
  EXPECT_EQ(step.before(task).fallback, Verdict::ask);
  EXPECT_TRUE(Policy{}.before({}).empty());
}

TEST(Policy, KnowsWhatAPathMeans) {
  for (const auto& [text, normal] : {std::pair("a/b", "a/b"),
                                     {"./a//b/", "a/b"},
                                     {"a/../b", "b"},
                                     {"../a", "../a"},
                                     {"a/../../b", "../b"},
                                     {"/a/../../b", "/b"},
                                     {"", ""},
                                     {".", "."},
                                     {"a/..", "."},
                                     {"https://x.org/a/../b", "https://x.org/b"},
                                     {"https://x.org/../../b", "https://x.org/b"},
                                     {"git status", "git status"}})
    EXPECT_EQ(normal_spelling(text), normal) << text;
}

}  // namespace
}  // namespace quern
