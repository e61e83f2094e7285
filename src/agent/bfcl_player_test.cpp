// pebble plays items of the leaderboard's form. It has not learnt to answer them; its calls are valid all the same.
#include "agent/bfcl_player.h"

#include <gtest/gtest.h>

#include "agent/scripted_model_test.h"
#include "text/assistant_parser.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

BfclItem item() {
  BfclItem out{.id = "t_0", .messages = {}, .functions = {}, .tools = {}, .answers = {}};
  Message message{.role = Role::user};
  message.content = "Grind five kilos of rye, then close the mill.";
  out.messages.push_back(std::move(message));
  const Json functions = Json::parse(R"([
    {"name": "mill.grind", "description": "Grinds grain.", "parameters": {"type": "dict", "required": ["grain", "kilos"], "properties": {
      "grain": {"type": "string", "enum": ["rye", "wheat"]}, "kilos": {"type": "float"}, "notes": {"type": "tuple", "items": {"type": "string"}},
      "who": {"type": "dict", "properties": {"name": {"type": "string"}}}, "any": {"type": "any"}}}},
    {"name": "mill.close", "description": "Closes the mill.", "parameters": {"type": "dict", "required": [], "properties": {}}}])",
                                     "functions")
                             .value();
  for (const Json& function : functions.as_array()) {
    out.functions.push_back(function);
    out.tools.push_back(bfcl_tool(function));
  }
  out.answers =
      Json::parse(R"([{"mill.grind": {"grain": ["rye"], "kilos": [5.0]}}, {"mill.close": {}}])", "answers").value().as_array();
  return out;
}

TEST(BfclRecord, ReadsTheCallsOfATurn) {
  const std::string good = call_text("mill.close", "{}") + "\n" + call_text("mill.grind", R"({"grain": "rye", "kilos": 5})");
  EXPECT_TRUE(judge_bfcl(item(), BfclRule::in_parallel, good, ChatFormat::instruct).verdict.right);
  const BfclRecord broken =
      judge_bfcl(item(), BfclRule::in_parallel, good + "\n<tool_call>\nnonsense\n</tool_call>", ChatFormat::instruct);
  EXPECT_TRUE(broken.malformed);
  EXPECT_EQ(broken.verdict.kind, "malformed");
  EXPECT_EQ(judge_bfcl(item(), BfclRule::in_parallel, "I cannot.", ChatFormat::instruct).verdict.kind, "wrong_count");
  EXPECT_TRUE(judge_bfcl(item(), BfclRule::no_call, "I cannot.", ChatFormat::instruct).verdict.right);
  EXPECT_EQ(judge_bfcl(item(), BfclRule::no_call, good, ChatFormat::instruct).verdict.kind, "called");
}

TEST(LongBfclPebble, CallsAreValid) {
  const fs::path pebble = fs::path(QUERN_REPO) / "models" / "pebble";
  if (!fs::exists(pebble / "config.json")) GTEST_SKIP() << "models/pebble is not there";
  const auto engine = Engine::load({.model = pebble});
  ASSERT_TRUE(engine) << engine.error().message;
  auto player = BfclPlayer::create(**engine, /*constrained=*/true, 300);
  ASSERT_TRUE(player);
  BfclCounts counts;
  const auto asked = item();
  for (const BfclRule rule : {BfclRule::in_parallel, BfclRule::no_call}) {
    const auto record = player->play(asked, rule);
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_FALSE(record->unenforced);
    EXPECT_TRUE(record->cut || !record->malformed) << record->reply;
    for (const ToolCall& call : record->calls) {
      const Json* tool = find_tool(asked.tools, call.name);
      ASSERT_TRUE(tool) << call.name;
      EXPECT_TRUE(check_arguments(*tool, call.arguments)) << call.arguments.dump();
    }
    counts.add(*record);
  }
  EXPECT_EQ(counts.items, 2);
  EXPECT_GT(player->work().tokens, 0);
}

}  // namespace
}  // namespace quern
