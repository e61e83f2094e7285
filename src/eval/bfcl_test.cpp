// The leaderboard's files and rules, on items written for this test.
#include "eval/bfcl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "eval/bfcl_score.h"
#include "formats/temporary_folder_test.h"
#include "text/assistant_parser.h"

namespace quern {
namespace {

using testing::HasSubstr;

Json parse(std::string_view text) {
  auto value = Json::parse(text, "test");
  EXPECT_TRUE(value) << value.error().message;
  return value.value_or(Json());
}

// Functions of a mill, with every type that the files use.
constexpr std::string_view kFunctions = R"([
  {"name": "mill.grind", "description": "Grinds.", "parameters": {"type": "dict", "required": ["grain", "kilos"], "properties": {
    "grain": {"type": "string", "enum": ["rye", "wheat", "oats, rolled"], "description": "What."}, "kilos": {"type": "float"},
    "passes": {"type": "integer", "default": 2}, "fine": {"type": "boolean", "optional": true}, "sieves": {"type": "array", "items": {"type": "float"}},
    "marks": {"type": "tuple", "items": {"type": "string"}}, "label": {"type": "any"},
    "customer": {"type": "dict", "properties": {"name": {"type": "string"}, "since": {"type": "integer"}}, "required": ["name"]},
    "orders": {"type": "array", "items": {"type": "dict", "properties": {"day": {"type": "string", "format": "date"}}}}}}},
  {"name": "close", "description": "Closes.", "parameters": {"type": "dict", "properties": {}, "required": []}}])";

BfclItem item(std::string_view answers) {
  BfclItem out{
      .id = "t", .messages = {}, .functions = parse(kFunctions).as_array(), .tools = {}, .answers = parse(answers).as_array()};
  for (const Json& function : out.functions) out.tools.push_back(bfcl_tool(function));
  return out;
}

std::vector<ToolCall> calls(std::string_view text) {
  std::vector<ToolCall> out;
  const Json made = parse(text);
  for (const Json& call : made.as_array()) out.push_back({call.as_object()[0].first, call.as_object()[0].second});
  return out;
}

std::string judge(std::string_view answers, BfclRule rule, std::string_view made) {
  const BfclVerdict verdict = score_bfcl(item(answers), rule, calls(made));
  EXPECT_EQ(verdict.right, verdict.kind.empty());
  return verdict.right ? "right" : verdict.kind;
}
std::string judge_arguments(std::string_view allowed, std::string_view arguments) {
  return judge(fmt::format(R"([{{"mill.grind": {}}}])", allowed), BfclRule::one_call,
               fmt::format(R"([{{"mill.grind": {}}}])", arguments));
}

TEST(BfclScore, NamesAndParameters) {
  constexpr std::string_view allowed = R"({"grain": ["rye"], "kilos": [5.0, 6.5], "passes": [2, ""], "fine": [true]})";
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "rye", "kilos": 5.0, "fine": true})"), "right");
  EXPECT_EQ(judge_arguments(allowed, R"({"kilos": 5, "fine": true, "passes": 2, "grain": "RYE."})"), "right")
      << "order, case, integer for float";
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "rye", "fine": true})"), "missing_parameter");
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "rye", "kilos": 5.0})"), "missing_parameter") << "fine may not be left out";
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "rye", "kilos": 5.0, "fine": true, "speed": 1})"), "unexpected_parameter");
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "rye", "kilos": 5.0, "fine": true, "label": "x"})"), "unexpected_parameter")
      << "known to the function, not to the answer";
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "oats", "kilos": 5.0, "fine": true})"), "value");
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "rye", "kilos": 5.5, "fine": true})"), "value");
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "rye", "kilos": "5", "fine": true})"), "type");
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "rye", "kilos": 5, "fine": "true"})"), "type");
  EXPECT_EQ(judge_arguments(allowed, R"({"grain": "rye", "kilos": 5, "fine": true, "passes": 2.0})"), "type")
      << "no float for an integer";
}

TEST(BfclScore, Values) {
  const auto with = [](std::string_view name, std::string_view allowed, std::string_view value) {
    return judge_arguments(fmt::format(R"({{"grain": ["rye"], "kilos": [1], "{}": {}}})", name, allowed),
                           fmt::format(R"({{"grain": "rye", "kilos": 1, "{}": {}}})", name, value));
  };
  EXPECT_EQ(with("sieves", "[[0.5, 1.0]]", "[0.5, 1]"), "right");
  EXPECT_EQ(with("sieves", "[[0.5, 1.0]]", "[1, 0.5]"), "value") << "lists keep their order";
  EXPECT_EQ(with("sieves", "[[0.5], [1.5]]", "[1.5]"), "right");
  EXPECT_EQ(with("sieves", "[[0.5]]", "0.5"), "type");
  EXPECT_EQ(with("sieves", R"(["my_sieves"])", R"("my_sieves")"), "right") << "a variable, by the answer's type";
  EXPECT_EQ(with("sieves", R"(["my_sieves"])", R"("My_sieves")"), "value") << "which counts exactly";
  EXPECT_EQ(with("marks", R"([["A-1", "b"]])", R"(["a1", "B"])"), "right");
  EXPECT_EQ(with("marks", R"([["a"]])", R"(["a", "b"])"), "value");
  EXPECT_EQ(with("label", R"(["North Wind's"])", R"("north-wind\"s")"), "right");
  EXPECT_EQ(with("label", "[7]", "7"), "right");
  EXPECT_EQ(with("label", "[7]", R"("7")"), "value");
  constexpr std::string_view customer = R"([{"name": ["Ada", "Ada L."], "since": [1999, ""]}])";
  EXPECT_EQ(with("customer", customer, R"({"name": "ada"})"), "right");
  EXPECT_EQ(with("customer", customer, R"({"since": 1999, "name": "Ada L"})"), "right");
  EXPECT_EQ(with("customer", customer, R"({"name": "Ada", "since": 2000})"), "value");
  EXPECT_EQ(with("customer", customer, R"({"since": 1999})"), "value") << "the name is missing";
  EXPECT_EQ(with("customer", customer, R"({"name": "Ada", "of": 1})"), "value");
  EXPECT_EQ(with("customer", customer, R"(["Ada"])"), "type");
  constexpr std::string_view orders = R"([[{"day": ["May 1", "1 May"]}, {"day": ["May 2"]}]])";
  EXPECT_EQ(with("orders", orders, R"([{"day": "May 1"}, {"day": "May 2"}])"), "right");
  EXPECT_EQ(with("orders", orders, R"([{"day": "May 2"}, {"day": "May 1"}])"), "value");
  EXPECT_EQ(with("orders", orders, R"([{"day": "May 1"}])"), "value");
}

TEST(BfclScore, HowManyCallsAndWhich) {
  constexpr std::string_view
      one = R"([{"close": {}}])",
      two = R"([{"mill.grind": {"grain": ["rye"], "kilos": [1]}}, {"mill.grind": {"grain": ["rye"], "kilos": [1, 2]}}])";
  EXPECT_EQ(judge(one, BfclRule::choose, R"([{"close": {}}])"), "right");
  EXPECT_EQ(judge(one, BfclRule::choose, R"([{"mill.grind": {}}])"), "wrong_function");
  EXPECT_EQ(judge(one, BfclRule::choose, "[]"), "wrong_count");
  EXPECT_EQ(judge(one, BfclRule::choose, R"([{"close": {}}, {"close": {}}])"), "wrong_count");
  EXPECT_EQ(judge(two, BfclRule::in_parallel,
                  R"([{"mill.grind": {"grain": "rye", "kilos": 2}}, {"mill.grind": {"grain": "rye", "kilos": 1}}])"),
            "right");
  EXPECT_EQ(judge(two, BfclRule::in_parallel,
                  R"([{"mill.grind": {"grain": "rye", "kilos": 2}}, {"mill.grind": {"grain": "rye", "kilos": 2}}])"),
            "value");
  EXPECT_EQ(judge(two, BfclRule::in_parallel, R"([{"mill.grind": {"grain": "rye", "kilos": 1}}, {"close": {}}])"),
            "wrong_function");
  EXPECT_EQ(judge("[]", BfclRule::no_call, "[]"), "right");
  EXPECT_EQ(judge("[]", BfclRule::no_call, R"([{"close": {}}])"), "called");
  EXPECT_EQ(judge("[]", BfclRule::some_call, R"([{"close": {}}])"), "right");
  EXPECT_EQ(judge("[]", BfclRule::some_call, "[]"), "not_called");
}

TEST(BfclTool, IsAJsonSchema) {
  const Json tool = bfcl_tool(parse(kFunctions).as_array()[0]);
  const Json& parameters = *tool_function(tool).find("parameters");
  EXPECT_EQ(parameters.find("type")->as_string(), "object");
  const Json& properties = *parameters.find("properties");
  EXPECT_EQ(properties.find("kilos")->dump(), R"({"type": "number"})");
  EXPECT_EQ(properties.find("marks")->dump(), R"({"type": "array", "items": {"type": "string"}})");
  EXPECT_EQ(properties.find("label")->dump(), "{}");
  EXPECT_EQ(properties.find("fine")->dump(), R"({"type": "boolean"})");
  EXPECT_EQ(properties.find("grain")->find("description")->as_string(), "What.");
  EXPECT_FALSE(properties.find("orders")->find("items")->find("properties")->find("day")->find("format"));
  EXPECT_FALSE(properties.find("customer")->find("additionalProperties")->as_bool());
  EXPECT_TRUE(check_arguments(tool, parse(R"({"grain": "rye", "kilos": 2, "marks": ["a"], "label": [1]})")));
  EXPECT_FALSE(check_arguments(tool, parse(R"({"grain": "barley", "kilos": 2})")));
  EXPECT_FALSE(check_arguments(tool, parse(R"({"grain": "rye", "kilos": 2, "other": 2})")));
  const Json odd = parse(
      R"({"name": "f", "parameters": {"type": "dict", "required": ["gone", 3], "properties": {"a": {"type": "Odd", "items": 3}}}})");
  EXPECT_EQ(bfcl_tool(odd).find("function")->find("parameters")->dump(),
            R"({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": false})");
}

class BfclFiles : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_.path() / "possible_answer"); }
  void write(const std::string& name, std::string_view text) { ASSERT_TRUE(write_file(folder_.path() / name, text)); }
  std::string error() const {
    const auto items = load_bfcl(folder_.path(), find_bfcl_category("multiple").value());
    return items ? "" : items.error().message;
  }
  const std::string line_ =
      R"({"id": "m_0", "question": [[{"role": "system", "content": "S"}, {"role": "user", "content": "Close."}]], "function": [{"name": "close", "parameters": {"type": "dict", "properties": {}, "required": []}}]})";

  TemporaryFolder folder_;
};

TEST_F(BfclFiles, AreRead) {
  write("BFCL_v4_multiple.json", line_ + "\n\n");
  write("possible_answer/BFCL_v4_multiple.json", R"({"id": "m_9", "ground_truth": []})"
                                                 "\n"
                                                 R"({"id": "m_0", "ground_truth": [{"close": {"x": ["", 1]}}]})");
  const auto items = load_bfcl(folder_.path(), find_bfcl_category("multiple").value());
  ASSERT_TRUE(items) << items.error().message;
  ASSERT_EQ(items->size(), 1u);
  EXPECT_EQ((*items)[0].messages.size(), 2u);
  EXPECT_EQ((*items)[0].messages[1].content, "Close.");
  EXPECT_EQ((*items)[0].answers.size(), 1u);
}

TEST_F(BfclFiles, ErrorsNameTheLine) {
  EXPECT_THAT(error(), HasSubstr("BFCL_v4_multiple.json"));
  write("possible_answer/BFCL_v4_multiple.json", R"({"id": "m_0", "ground_truth": [{"close": {}}]})");
  for (
      const auto& [text, says] :
      {std::pair<std::string, std::string>{"{", ":1"},
       {line_ + "\n[]", ":2: an array, expected an object"},
       {line_ + "\n" + line_, ":2: id m_0 is there twice"},
       {R"({"id": 1})", "\"id\": number, expected string"},
       {R"({"id": "a", "question": [[], []], "function": []})", "2 turns, expected one"},
       {R"({"id": "a", "question": [[{"role": "user", "content": "x"}]], "function": []})", "no function"},
       {R"({"id": "a", "question": [[{"role": "user", "content": "x"}]], "function": [{"name": "f", "parameters": {"properties": {"p": 3}}}]})",
        "parameter \"p\""}}) {
    write("BFCL_v4_multiple.json", text);
    EXPECT_THAT(error(), HasSubstr(says));
  }
  write("BFCL_v4_multiple.json", line_);
  EXPECT_EQ(error(), "");
  for (const auto& [text, says] :
       {std::pair<std::string, std::string>{R"({"id": "m_0", "ground_truth": [{"a": {}, "b": {}}]})", "ground_truth"},
        {R"({"id": "m_0", "ground_truth": [{"a": {"p": 3}}]})", "expected a list of values"},
        {R"({"id": "m_1", "ground_truth": []})", "no answer for id m_0"}}) {
    write("possible_answer/BFCL_v4_multiple.json", text);
    EXPECT_THAT(error(), HasSubstr(says));
  }
  EXPECT_THAT(find_bfcl_category("multi_turn_base").error().message, HasSubstr("Python classes"));
  EXPECT_THAT(find_bfcl_category("simple_java").error().message, HasSubstr("source code"));
  EXPECT_FALSE(find_bfcl_category("nonsense"));
}

TEST_F(BfclFiles, ResultsOfOthersAreRead) {
  write("r.jsonl", R"({"id": "a", "result": [{"close": {}}]})"
                   "\n"
                   R"({"id": "b", "result": "I cannot."})"
                   "\n"
                   R"({"id": "c", "result": []})");
  const auto results = load_bfcl_results(folder_.path() / "r.jsonl");
  ASSERT_TRUE(results);
  EXPECT_EQ(results->at("a").calls.at(0).name, "close");
  EXPECT_FALSE(results->at("b").readable);
  EXPECT_TRUE(results->at("c").readable && results->at("c").calls.empty());
}

}  // namespace
}  // namespace quern
