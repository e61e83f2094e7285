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

TEST_F(BfclFiles, WhereNothingIsToBeCalledThereMayBeNoFunction) {
  const std::string text = R"({"id": "a", "question": [[{"role": "user", "content": "x"}]], "function": []})";
  write("BFCL_v4_live_irrelevance.json", text);
  write("BFCL_v4_live_relevance.json", text);
  EXPECT_EQ(load_bfcl(folder_.path(), find_bfcl_category("live_irrelevance").value())->size(), 1u);
  EXPECT_FALSE(load_bfcl(folder_.path(), find_bfcl_category("live_relevance").value()));
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
  EXPECT_EQ(find_bfcl_category("multi_turn_base")->rule, BfclRule::in_turns);
  EXPECT_THAT(find_bfcl_category("memory").error().message, HasSubstr("services"));
  EXPECT_EQ(find_bfcl_category("simple_java")->language, BfclLanguage::java);
  EXPECT_EQ(find_bfcl_category("simple_javascript")->language, BfclLanguage::javascript);
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

struct SourceValue {
  const char *text, *type, *nested, *value;
};

void expect_values(BfclLanguage language, std::initializer_list<SourceValue> values) {
  for (const auto& [text, type, nested, value] : values)
    EXPECT_EQ(bfcl_source_value(language, text, type, nested).dump(), value) << type << " " << text;
}

TEST(BfclSource, ReadsJavaValues) {
  expect_values(BfclLanguage::java,
                {{"true", "boolean", "", "true"},
                 {"True", "boolean", "", "\"True\""},
                 {"-123", "integer", "", "-123"},
                 {"12.5", "integer", "", "\"12.5\""},
                 {"007", "short", "", "7"},
                 {"3.14f", "float", "", "3.14"},
                 {"3F", "float", "", "3.0"},
                 {"3e-3F", "float", "", "3e-3"},
                 {"3.14", "float", "", "\"3.14\""},
                 {"3.14e2", "double", "", "3.14e2"},
                 {"3", "double", "", "3.0"},
                 {"123L", "long", "", "123"},
                 {"123", "long", "", "\"123\""},
                 {"'a'", "char", "", "\"'a'\""},
                 {"a b", "String", "", "\"a b\""},
                 {"12", "any", "", "\"12\""},
                 {"new int[]{1, 2,3}", "Array", "integer", "[1, 2, 3]"},
                 {"new int[] { }", "Array", "integer", "[]"},
                 {"new long[]{1L, 2, 3L}", "Array", "long", "[1, \"2\", 3]"},
                 {"new String[]{\"a\"}", "Array", "String", "[\"\\\"a\\\"\"]"},
                 {"new Object[]{1, \"abc\", true, 2.5f, x}", "Array", "", "[1, \"abc\", true, 2.5, \"x\"]"},
                 {"someArray", "Array", "integer", "\"someArray\""},
                 {"new ArrayList<String>(Arrays.asList(\"a\", \"b\"))", "ArrayList", "String", "[\"a\", \"b\"]"},
                 {"new ArrayList<>(Arrays.asList(1, \"abc\", true))", "ArrayList", "", "[1, \"abc\", true]"},
                 {"new ArrayList<Float>() {{ add(1.0f); add(2.0f); }}", "ArrayList", "float", "[1.0, 2.0]"},
                 {"new ArrayList<>()", "ArrayList", "any", "[]"},
                 {"new ArrayList<>(Arrays.asList())", "ArrayList", "any", "\"new ArrayList<>(Arrays.asList())\""},
                 {"new HashMap<String, Object>() {{ put(\"k 1\", 1); put(\"k2\", \"v\"); put(\"k3\",true); }}", "HashMap", "",
                  "{\"k 1\": 1, \"k2\": \"v\", \"k3\": true}"},
                 {"new HashMap<String, List<String>>() { { put(\"a\", b); } }", "HashMap", "", "{\"a\": \"b\"}"},
                 {"new HashMap<>()", "HashMap", "", "{}"},
                 {"new HashMap<>() {{}}", "HashMap", "", "{}"},
                 {"options", "HashMap", "", "\"options\""}});
}

TEST(BfclSource, ReadsJavaScriptValues) {
  expect_values(BfclLanguage::javascript,
                {{"'a'", "String", "", "\"a\""},
                 {"\"a\"", "String", "", "\"a\""},
                 {"a", "String", "", "\"a\""},
                 {"-3", "integer", "", "-3"},
                 {"3.14", "float", "", "3.14"},
                 {"1e3", "float", "", "\"1e3\""},
                 {"123n", "Bigint", "", "123"},
                 {"123", "Bigint", "", "\"123\""},
                 {"false", "Boolean", "", "false"},
                 {"[1, 'two', true]", "array", "", "[1, \"two\", true]"},
                 {"new Array(1.5, 2.5)", "array", "float", "[1.5, 2.5]"},
                 {"['a', \"b\"]", "array", "String", "[\"a\", \"b\"]"},
                 {"[]", "array", "integer", "[]"},
                 {" [ [1, 2], [3,  4]]", "array", "array", "[[1, 2], [3, 4]]"},
                 {"new Array([1, 2], [3])", "array", "array", "[[1, 2], [3]]"},
                 {"[{\"a\": 1}, {\"b\": 2}]", "array", "dict", "[{\"a\": 1}, {\"b\": 2}]"},
                 {"items", "array", "", "\"items\""},
                 {"{}", "dict", "", "{}"},
                 {"{'a': 1, b: \"c\", \"d\": false}", "dict", "", "{\"a\": 1, \"b\": \"c\", \"d\": false}"},
                 {"{\"i\": state, \"m\": [\"x\"], \"e\": [\"y\", \"z\"]}", "dict", "",
                  "{\"i\": \"state\", \"m\": [\"x\"], \"e\": [\"y\", \"z\"]}"},
                 {"options", "dict", "", "\"options\""},
                 {"x => x", "any", "", "\"x => x\""}});
}

TEST(BfclSource, IsHeldAgainstTheAnswers) {
  BfclItem java{.id = "t", .messages = {}, .functions = {}, .tools = {}, .answers = {}};
  java.functions = {
      parse(R"j({"name": "f", "description": "Does.", "parameters": {"type": "dict", "required": ["list"], "properties": {
    "list": {"type": "ArrayList", "items": {"type": "integer"}, "description": "Some."},
    "map": {"type": "HashMap"}, "size": {"type": "float"}, "any": {"type": "any"}}}})j")};
  java.answers = parse(R"j([{"f": {"list": [[1, 2]], "map": [{"a": [1]}, ""], "size": [2.5, ""], "any": ["", "v"]}}])j").as_array();
  java.language = BfclLanguage::java;
  const auto verdict = [&](std::string_view arguments) {
    const BfclVerdict said = score_bfcl(java, BfclRule::one_call, {{"f", parse(arguments)}});
    return said.right ? "right" : said.kind;
  };
  EXPECT_EQ(verdict(R"j({"list": "new ArrayList<Integer>(Arrays.asList(1, 2))"})j"), "right");
  EXPECT_EQ(verdict(R"j({"list": "new ArrayList<Integer>(Arrays.asList(2, 1))"})j"), "value");
  EXPECT_EQ(verdict(R"j({"list": [1, 2]})j"), "type") << "it is to be source text";
  EXPECT_EQ(verdict(R"j({"list": "numbers"})j"), "type");
  EXPECT_EQ(verdict(R"j({"list": "new ArrayList<Integer>() {{ add(1); add(2); }}", "map": "new HashMap<>() {{ put(\"a\", 1); }}",
                        "size": "2.5f"})j"),
            "right");
  EXPECT_EQ(verdict(R"j({"list": "new ArrayList<Integer>(Arrays.asList(1, 2))", "size": "2.5"})j"), "type");
  EXPECT_EQ(verdict(R"j({"list": "new ArrayList<Integer>(Arrays.asList(1, 2))", "any": "V"})j"), "right");

  const Json tool = bfcl_tool(java.functions[0], BfclLanguage::java);
  const Json& parameters = *tool.find("function")->find("parameters");
  EXPECT_EQ(parameters.find("properties")->find("list")->dump(),
            R"j({"type": "string", "description": "Some. The source text of a Java 8 ArrayList. Its elements are integer."})j");
  EXPECT_EQ(parameters.find("required")->dump(), R"j(["list"])j");
  EXPECT_THAT(tool.find("function")->find("description")->as_string(), HasSubstr("a function of Java 8."));
}

}  // namespace
}  // namespace quern
