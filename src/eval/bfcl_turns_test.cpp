// Questions of several turns, from the fixture that tests/data/bfcl has, and from files that are wrong.
#include "eval/bfcl_turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "formats/temporary_folder_test.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kFixture = fs::path(QUERN_REPO) / "tests" / "data" / "bfcl" / "bfcl_eval";

BfclCategory category(std::string_view name) { return find_bfcl_category(name).value(); }

std::vector<std::string> names(const std::vector<Json>& tools) {
  std::vector<std::string> out;
  for (const Json& tool : tools) out.push_back(tool_function(tool).find("name")->as_string());
  return out;
}

// A copy of the fixture, to be spoilt.
class BfclTurns : public testing::Test {
 protected:
  void SetUp() override { fs::copy(kFixture, folder_ / "bfcl_eval", fs::copy_options::recursive); }

  void write(const std::string& file, std::string_view text) { ASSERT_TRUE(write_file(data() / file, text)); }
  fs::path data() const { return folder_ / "bfcl_eval" / "data"; }

  // The error of the base category when its item is this one.
  std::string error_of(const std::string& members, std::string_view truth = "[[\"stock()\"]]") {
    const std::string item = fmt::format("\n{{{}}}\n", members);
    write("BFCL_v4_multi_turn_base.json", item);
    write("possible_answer/BFCL_v4_multi_turn_base.json", fmt::format("{{\"id\": \"x\", \"ground_truth\": {}}}\n", truth));
    const auto loaded = load_bfcl_turns(data(), category("multi_turn_base"));
    return loaded ? "none" : loaded.error().message;
  }
  std::string error_with(const std::string& more, std::string_view truth = "[[\"stock()\"]]") {
    return error_of(R"("id": "x", "question": [[{"role": "user", "content": "?"}]], "involved_classes": ["Mill"], )" + more, truth);
  }

  TemporaryFolder folder_;
};

TEST(BfclTurnsFiles, ItemsHaveTheFunctionsOfTheirServices) {
  const auto items = load_bfcl_turns(kFixture / "data", category("multi_turn_base"));
  ASSERT_TRUE(items) << items.error().message;
  ASSERT_EQ(items->size(), 2U);
  const BfclTurnsItem& item = items->front();
  EXPECT_EQ(item.id, "multi_turn_base_0");
  EXPECT_EQ(names(item.tools), (std::vector<std::string>{"fill", "grind", "stock", "ring"}));
  ASSERT_EQ(item.services.size(), 2U);
  EXPECT_EQ(item.services[0].module, "mill");
  ASSERT_EQ(item.turns.size(), 2U);
  EXPECT_EQ(item.turns[0].truth, (std::vector<std::string>{"fill(kind='wheat', kilos=3)", "ring(2)"}));
  EXPECT_FALSE(item.long_context);
  EXPECT_TRUE(load_bfcl_turns(kFixture / "data", category("multi_turn_long_context"))->front().long_context);
}

TEST(BfclTurnsFiles, AMissedFunctionComesInItsTurn) {
  const auto items = load_bfcl_turns(kFixture / "data", category("multi_turn_miss_func"));
  ASSERT_TRUE(items) << items.error().message;
  const BfclTurnsItem& item = items->front();
  EXPECT_EQ(names(item.tools), (std::vector<std::string>{"fill", "stock", "ring"}));
  EXPECT_TRUE(item.turns[0].new_tools.empty());
  EXPECT_EQ(names(item.turns[1].new_tools), std::vector<std::string>{"grind"});
  ASSERT_EQ(item.turns[1].messages.size(), 1U);
  EXPECT_THAT(item.turns[1].messages[0].content, HasSubstr("more functions"));
}

TEST_F(BfclTurns, WhatIsWrongWithAFileIsNamedWithItsLine) {
  EXPECT_EQ(error_with(R"("initial_config": {})"), "none");
  const std::string config = R"("initial_config": {}, )";
  EXPECT_THAT(error_with(R"("initial_config": [])"), HasSubstr("BFCL_v4_multi_turn_base.json:2: \"initial_config\": array"));
  EXPECT_THAT(error_with(config + R"("missed_function": {"1": ["stock"]})"), HasSubstr("turn \"1\", expected 0 to 0"));
  EXPECT_THAT(error_with(config + R"("missed_function": {"-1": ["stock"]})"), HasSubstr("turn \"-1\""));
  EXPECT_THAT(error_with(config + R"("missed_function": {"99999999999999999999": []})"), HasSubstr("expected 0 to 0"));
  EXPECT_THAT(error_with(config + R"("missed_function": {"0": ["gone"]})"), HasSubstr("\"gone\" is no function"));
  EXPECT_THAT(error_with(config + R"("missed_function": {"0": [7]})"), HasSubstr("7 is no function"));
  EXPECT_THAT(error_with(config + R"("missed_function": {"0": "stock"})"), HasSubstr("expected lists"));
  EXPECT_THAT(error_with(config + R"("missed_function": {"0": ["stock"]})"), HasSubstr("either messages or new functions"));
  EXPECT_THAT(error_with(config + R"("involved_classes": [])"), HasSubstr("0, expected 1 to"));
  EXPECT_THAT(error_with(config + R"("involved_classes": [1])"), HasSubstr("expected names"));
  EXPECT_THAT(error_with(config + R"("involved_classes": ["../../etc"])"), HasSubstr("class ../../etc: no module"));
  EXPECT_THAT(error_with(config + R"("question": [])"), HasSubstr("0 turns"));
  EXPECT_THAT(error_with(config + R"("question": [[]])"), HasSubstr("either messages or new functions"));
  EXPECT_THAT(error_with(config + R"("question": ["no"])"), HasSubstr("a turn that is string"));
  EXPECT_THAT(error_with(config + R"("question": [[{"role": "king", "content": "?"}]])"), HasSubstr("base.json:2"));
  EXPECT_THAT(error_of(R"("id": 3)"), HasSubstr("\"id\": number"));
}

TEST_F(BfclTurns, SoIsAGroundTruthThatIsNone) {
  const std::string config = R"("initial_config": {})";
  EXPECT_THAT(error_with(config, R"([])"), HasSubstr("base.json:1: \"ground_truth\": 0 turns, the question has 1"));
  EXPECT_THAT(error_with(config, "[\"stock()\"]"), HasSubstr("expected a list of calls"));
  EXPECT_THAT(error_with(config, R"([[{"stock": {}}]])"), HasSubstr("a call that is no string"));
  write("possible_answer/BFCL_v4_multi_turn_base.json", "");
  EXPECT_THAT(load_bfcl_turns(data(), category("multi_turn_base")).error().message, HasSubstr("no answer for id x"));
}

TEST_F(BfclTurns, FoldersThatAreMissingAreNotFound) {
  fs::remove_all(folder_ / "bfcl_eval" / "eval_checker");
  const auto without_services = load_bfcl_turns(data(), category("multi_turn_base"));
  ASSERT_FALSE(without_services);
  EXPECT_EQ(without_services.error().code, Errc::not_found);
  EXPECT_THAT(without_services.error().message, HasSubstr("func_source_code: no such folder"));
  EXPECT_FALSE(load_bfcl_turns(data(), category("multiple")));
  EXPECT_FALSE(load_bfcl(data(), category("multi_turn_base")));
}

TEST_F(BfclTurns, ResultsAreStepsWithCalls) {
  write("r.jsonl",
        R"lines({"id": "a", "result": [[[{"fill": {"kilos": 1.0}}, {"ring": "{\"times\": 2}"}], ["stock()"], [], "Done."], []]}
{"id": "b", "result": "no"}
{"id": "c", "result": ["no"]}
{"id": "d"}
{"id": "e", "result": [[[{"a": {}}, {"b": 1}], [{"c": "no JSON"}], [3], [{"d": {}, "e": {}}], null]]}
)lines");
  const auto results = load_bfcl_turns_results(data() / "r.jsonl");
  ASSERT_TRUE(results) << results.error().message;
  const BfclTurnsResult& a = results->at("a");
  ASSERT_TRUE(a.readable);
  ASSERT_EQ(a.turns.size(), 2U);
  ASSERT_EQ(a.turns[0].size(), 2U);
  EXPECT_EQ(a.turns[0][0][1].dump(), R"({"ring": {"times": 2}})");
  EXPECT_EQ(a.turns[0][1][0].as_string(), "stock()");
  EXPECT_TRUE(a.turns[1].empty());
  for (const char* id : {"b", "c", "d"}) EXPECT_FALSE(results->at(id).readable) << id;
  EXPECT_TRUE(results->at("e").turns.at(0).empty()) << "a step with anything that is no call makes none";
}

}  // namespace
}  // namespace quern
