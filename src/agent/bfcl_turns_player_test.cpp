// Questions of several turns, with the fixture's services in the user's python3.
#include "agent/bfcl_turns_player.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "agent/sandbox/support.h"
#include "agent/scripted_model_test.h"
#include "agent/temporary_folder_test.h"
#include "base/file.h"

extern char** environ;

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Side = BfclServices::Side;

const fs::path kFixture = fs::path(QUERN_REPO) / "tests" / "data" / "bfcl" / "bfcl_eval";

std::vector<std::string> this_environment() {
  std::vector<std::string> out;
  for (char** entry = environ; *entry; ++entry) out.emplace_back(*entry);
  return out;
}

BfclServices open_services(double answer_seconds = 20) {
  auto services =
      BfclServices::open({.data = kFixture / "data", .environment = this_environment(), .answer_seconds = answer_seconds});
  if (!services) throw std::runtime_error(services.error().message);
  return std::move(*services);
}

BfclTurnsItem item(std::string_view kind, size_t number = 0) {
  auto items = load_bfcl_turns(kFixture / "data", find_bfcl_category("multi_turn_" + std::string(kind)).value());
  if (!items) throw std::runtime_error(items.error().message);
  return items->at(number);
}

// A step a line of sources.
using Turns = std::vector<std::vector<std::vector<std::string>>>;
std::vector<BfclSteps> as_steps(const Turns& turns) {
  std::vector<BfclSteps> out;
  for (const auto& turn : turns) {
    BfclSteps& steps = out.emplace_back();
    for (const auto& step : turn) steps.emplace_back(step.begin(), step.end());
  }
  return out;
}

std::string judge(const BfclTurnsItem& item, const Turns& turns, BfclServices& services) {
  const BfclVerdict verdict = score_bfcl_turns(item, as_steps(turns), services);
  return verdict.right ? "right" : verdict.kind + ": " + verdict.error;
}
std::string judge(const BfclTurnsItem& item, const Turns& turns) {
  BfclServices services = open_services();
  return judge(item, turns, services);
}

TEST(BfclTurnsScore, StatesAndResultsAreCompared) {
  const BfclTurnsItem base = item("base");
  EXPECT_EQ(judge(base, {{{"ring(2)"}, {"fill('wheat', 3)"}}, {{"grind(kind='rye', kilos=2)"}}}), "right")
      << "another order, in steps";
  EXPECT_EQ(judge(base, {{{"ring(2)", "stock()", "fill('wheat', 3)"}}, {{"grind('rye', 2)", "stock()"}}}), "right") << "looked too";
  EXPECT_THAT(judge(base, {{{"fill('wheat', 4)", "ring(2)"}}, {{"grind('rye', 2)"}}}), HasSubstr("state: turn 0: Mill.grain: {"));
  EXPECT_THAT(judge(base, {{{"fill('wheat', 3)"}}, {{"grind('rye', 2)"}}}),
              HasSubstr("response: turn 0: no call so far gave ding"));
  EXPECT_THAT(judge(base, {{{"fill('wheat', 3)", "ring(2)"}}, {}}), HasSubstr("empty_turn: turn 1"));
  EXPECT_THAT(judge(base, {{{"fill('wheat', 3)", "ring(2)"}}}), HasSubstr("force_terminated: 1 turns, expected 2"));
  EXPECT_EQ(judge(item("long_context"), {{{"stock()"}}}), "right");
}

TEST(BfclTurnsScore, AResultOfAnEarlierTurnCountsAndEachOnce) {
  BfclTurnsItem twice = item("base", 1);
  twice.turns.push_back(twice.turns[0]);
  EXPECT_EQ(judge(twice, {{{"stock()", "stock()"}}, {{"ring(1)"}}}), "right") << "an error changes nothing";
  twice.turns[1].truth = {"stock()", "stock()"};
  EXPECT_THAT(judge(twice, {{{"stock()"}}, {{"fill('rye', 0)"}}}), HasSubstr("response: turn 1"));
}

TEST(BfclTurnsScore, CallsWhereNothingCanBeCalledYetCountInTheNextTurn) {
  const BfclTurnsItem miss = item("miss_param");
  EXPECT_EQ(judge(miss, {{}, {{"grind('rye')"}}}), "right");
  EXPECT_EQ(judge(miss, {{{"stock()"}}, {{"grind('rye')"}}}), "right");
  EXPECT_THAT(judge(miss, {{{"grind('rye')"}}, {{"grind('rye')"}}}), HasSubstr("state: turn 1"));
}

TEST(BfclServices, ResultsAreTextAndErrorsAreResults) {
  BfclServices services = open_services();
  ASSERT_TRUE(services.start(item("base")));
  const auto call = [&](BfclStep calls) { return services.call(Side::model, calls).value(); };
  EXPECT_THAT(call({Json::parse(R"({"fill": {"kind": "oats", "kilos": 2.0}})", "call").value(), "ring(1)", "ring(times='x')"}),
              ElementsAre(R"({"kind": "oats", "kilos": 2.0})", "ding", HasSubstr("Error during execution: ")));
  EXPECT_THAT(call({"grind('gold')"}), ElementsAre("Error during execution: not enough gold"));
  EXPECT_THAT(call({"quit()"}), ElementsAre("Error during execution: Function call quit is not allowed."));
  EXPECT_THAT(call({"_load_scenario({})"}), ElementsAre("Error during execution: name '_load_scenario' is not defined"));
  EXPECT_THAT(call({"print('x')"}), ElementsAre("Error during execution: name 'print' is not defined"));
  for (const char* none : {"7", "a.b()", "ring(times=ring(1))", "ring(**{})", "ring(", "ring(1) + ring(2)"})
    EXPECT_THAT(call({none}), ElementsAre(HasSubstr("Error during execution: "))) << none;
  EXPECT_FALSE(services.call(Side::truth, {"ring("})) << "a ground truth has to be a call";
}

TEST(BfclServices, WhatTheyPrintIsNoAnswer) {
  BfclServices services = open_services();
  ASSERT_TRUE(services.start(item("base")));
  EXPECT_THAT(services.call(Side::model, {"clatter()", "ring(1)"}).value(), ElementsAre("much noise", "ding"));
  EXPECT_THAT(services.call(Side::model, {"listen()"}).value(), ElementsAre(HasSubstr("EOF")));
  const auto song = services.call(Side::model, {"song(5000000)"}).value();
  EXPECT_LT(song[0].size(), size_t{2} << 20);
  EXPECT_THAT(song[0].substr(song[0].size() - 40), HasSubstr("characters left out"));
}

TEST(BfclServices, OneThatHangsOrDiesIsReplaced) {
  BfclTurnsItem base = item("base", 1);
  BfclServices hasty = open_services(/*answer_seconds=*/2);
  EXPECT_THAT(judge(base, {{{"spin()"}}}, hasty), HasSubstr("services: the services took longer than 2 s"));
  EXPECT_FALSE(hasty.call(Side::model, {"stock()"})) << "its state is gone";
  BfclServices services = open_services();  // with time for a machine that is busy
  EXPECT_THAT(judge(base, {{{"collapse()"}}}, services), HasSubstr("services: the services ended with exit code 3"));
  EXPECT_THAT(judge(base, {{{"interrupt()"}}}, services), HasSubstr("services: the services sent "));
  EXPECT_THAT(judge(base, {{std::vector<std::string>(70, "song(1000000)")}}, services), HasSubstr("sent more than 64 MiB at once"));
  EXPECT_EQ(judge(base, {{{"stock()"}}}, services), "right");
  base.turns[0].truth = {"no call"};
  EXPECT_THAT(judge(base, {{{"stock()"}}}, services), HasSubstr("data: "));
  base.config = Json::parse(R"({"Mill": {"burnt_down": true}})", "config").value();
  EXPECT_THAT(judge(base, {{{"stock()"}}}, services), HasSubstr("services: the services: RuntimeError: the mill is gone"));
}

TEST(BfclServices, TheSandboxHidesWhatIsNotTheirs) {
  if (!this_machines_sandbox().confines()) GTEST_SKIP() << "nothing here confines a program";
  TemporaryFolder folder;
  const fs::path secret = folder.path() / "secret";
  ASSERT_TRUE(write_file(secret, "hidden"));
  BfclServices services = open_services();
  ASSERT_TRUE(services.start(item("base")));
  EXPECT_THAT(services.call(Side::model, {fmt::format("look_around('{}')", secret.string())}).value(),
              ElementsAre(AllOf(HasSubstr("Error during execution: [Errno "), HasSubstr(secret.string()))));
}

TEST(BfclServices, WhatIsToBeInstalledIsNamed) {
  BfclServices services = open_services();
  const auto loaded = services.load({{"Mill", "mill"}, {"Vane", "vane"}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Errc::not_found);
  EXPECT_THAT(loaded.error().message, HasSubstr("the Python package no_such_weather_package"));
  EXPECT_THAT(loaded.error().message, HasSubstr("python3-no_such_weather_package"));
  EXPECT_TRUE(services.load({{"Mill", "mill"}, {"Bell", "bell"}}));
  const auto without_python = BfclServices::open({.data = kFixture / "data", .environment = {"PATH=/nowhere"}});
  ASSERT_FALSE(without_python);
  EXPECT_EQ(without_python.error().code, Errc::not_found);
  EXPECT_THAT(without_python.error().message, HasSubstr("no python3 in PATH"));
}

class BfclTurnsPlay : public testing::Test {
 protected:
  BfclRecord play(const BfclTurnsItem& item, std::vector<std::string> lines) {
    model_.emplace(std::move(lines));
    auto record = play_bfcl_turns(*model_, item, services_, 100, work_);
    EXPECT_TRUE(record) << record.error().message;
    return std::move(*record);
  }

  BfclServices services_ = open_services();
  std::optional<ScriptedModel> model_;
  BfclWork work_;
};

TEST_F(BfclTurnsPlay, TheModelSeesResultsUntilItCallsNothing) {
  const std::string fill = call_text("fill", R"({"kind": "wheat", "kilos": 3})"), ring = call_text("ring", R"({"times": 2})");
  const BfclRecord record =
      play(item("base"), {fill + "\n" + ring, "Done.", call_text("grind", R"({"kind": "rye", "kilos": 2})"), "Ground."});
  EXPECT_TRUE(record.verdict.right) << record.verdict.error;
  EXPECT_THAT(model_->results(), ElementsAre(R"({"kind": "wheat", "kilos": 3})", "ding ding", R"({"flour": 2})"));
  EXPECT_EQ(
      record.turns->dump(),
      R"([[[{"fill": {"kind": "wheat", "kilos": 3}}, {"ring": {"times": 2}}], "Done."], [[{"grind": {"kind": "rye", "kilos": 2}}], "Ground."]])");
  EXPECT_EQ(work_.tokens, 20);
}

TEST_F(BfclTurnsPlay, FunctionsTurnUpInTheirTurn) {
  const BfclRecord record = play(item("miss_func"), {call_text("ring", R"({"times": 1})"), "I cannot grind.",
                                                     call_text("grind", R"({"kind": "rye"})"), "Done."});
  EXPECT_TRUE(record.verdict.right) << record.verdict.error;
  EXPECT_FALSE(find_tool(model_->shown[1].tools, "grind"));
  EXPECT_TRUE(find_tool(model_->shown[2].tools, "grind"));
  EXPECT_THAT(model_->shown[2].messages.back().content, HasSubstr("more functions"));
}

TEST_F(BfclTurnsPlay, WhatCannotBeReadEndsTheTurn) {
  const std::string stock = call_text("stock", "{}");
  const BfclRecord record = play(item("base", 1), {stock, stock + "\n<tool_call>\nnonsense\n</tool_call>"});
  EXPECT_TRUE(record.malformed);
  EXPECT_TRUE(record.verdict.right) << record.verdict.error;
  EXPECT_EQ(model_->results().size(), 1U);
}

TEST_F(BfclTurnsPlay, ThereAreOnlySoManySteps) {
  const BfclRecord record = play(item("base"), {call_text("stock", "{}")});
  EXPECT_EQ(record.verdict.kind, "force_terminated");
  EXPECT_EQ(model_->shown.size(), size_t{kBfclMostSteps} + 1);
}

TEST_F(BfclTurnsPlay, AnAnswerThatIsCutIsSaid) {
  model_.emplace(std::vector<std::string>{call_text("stock", "{}")});
  model_->finish = FinishReason::context;
  const auto record = play_bfcl_turns(*model_, item("base"), services_, 100, work_);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_TRUE(record->cut);
  EXPECT_EQ(record->verdict.kind, "cut");
  EXPECT_EQ(model_->shown.size(), 1U);
  model_->fails = true;
  EXPECT_FALSE(play_bfcl_turns(*model_, item("base"), services_, 100, work_));
}

}  // namespace
}  // namespace quern
