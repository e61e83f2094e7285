#include "text/assistant_parser.h"

#include <gtest/gtest.h>

#include "text/xml_calls.h"

namespace quern {
namespace {

const std::vector<Json> kTools{Json::parse(R"({"type": "function", "function": {"name": "add", "parameters": {"type": "object",
  "properties": {"n": {"type": "integer", "minimum": 0}, "tag": {"type": "string", "enum": ["a", "b"]}, "list": {"type": "array", "items": {"type": "number"}}},
  "required": ["n"], "additionalProperties": false}}})",
                                           "tools")
                                   .value()};

AssistantTurn parse(std::string_view text, ChatFormat format = ChatFormat::instruct) {
  return parse_assistant(text, format, kTools);
}

TEST(AssistantParser, FindsCallsAndTheTextBeforeThem) {
  const auto turn = parse(
      "Let me see.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"n\": 1.50}}\n</tool_call>\n<tool_call>\n{\"name\": \"sub\", "
      "\"arguments\": {}}\n</tool_call>");
  EXPECT_EQ(turn.content, "Let me see.");
  ASSERT_EQ(turn.calls.size(), 2u);
  EXPECT_FALSE(turn.calls[0].error);
  EXPECT_EQ(turn.calls[0].call.name, "add");
  EXPECT_EQ(turn.calls[0].call.arguments.dump(), R"({"n": 1.50})");
  EXPECT_EQ(turn.calls[1].call.name, "sub");
}

TEST(AssistantParser, IgnoresAnExtraBraceAndMarkupInsideStrings) {
  const auto turn = parse(R"(<tool_call>{"name": "add", "arguments": {"text": "a </tool_call> } b"}}}</tool_call>)");
  ASSERT_EQ(turn.calls.size(), 1u);
  EXPECT_FALSE(turn.calls[0].error);
  EXPECT_EQ(turn.calls[0].call.arguments.find("text")->as_string(), "a </tool_call> } b");
}

TEST(AssistantParser, ReportsACallThatIsCutOffInsteadOfRunningIt) {
  for (const std::string_view text : {"<tool_call>\n{\"name\": \"add\", \"arguments\": {\"n\": 1",
                                      "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"n\": 1}}"}) {
    const auto turn = parse(text);
    ASSERT_EQ(turn.calls.size(), 1u);
    EXPECT_EQ(turn.calls[0].error, "the call has no </tool_call>");
  }
}

TEST(AssistantParser, SaysWhatIsWrongWithACall) {
  const auto error = [](std::string_view inside) {
    return parse("<tool_call>" + std::string(inside) + "</tool_call>").calls.at(0).error.value_or("");
  };
  EXPECT_NE(error("{\"name\": add}").find("not JSON"), std::string::npos);
  EXPECT_EQ(error("{\"arguments\": {}}"), "name: expected a string");
  EXPECT_EQ(error(R"({"name": "", "arguments": {}})"), "name: missing");
  EXPECT_EQ(error("{\"name\": \"add\"}"), "arguments: missing");
  EXPECT_EQ(error("{\"name\": \"add\", \"arguments\": [1]}"), "arguments: expected an object, found array");
  EXPECT_EQ(error("add(1)"), "expected a JSON object {\"name\": …, \"arguments\": {…}}");
  EXPECT_EQ(error(R"({"name": "add", "arguments": "{\"n\": 1}"})"), "");
}

TEST(AssistantParser, FlagsACallWithoutItsOpener) {
  EXPECT_TRUE(parse("{\"name\": \"add\", \"arguments\": {\"n\": 1}}\n</tool_call>").missing_opener);
  EXPECT_TRUE(parse("Sure.\n<function=add>").missing_opener);
  EXPECT_FALSE(parse("{\"name\": \"Anna\", \"age\": 3}").missing_opener);
  EXPECT_FALSE(parse("The answer is 4.").missing_opener);
}

TEST(AssistantParser, KeepsReasoningApartAndTakesNoCallsFromIt) {
  const auto turn = parse("I could <tool_call>{}</tool_call>\n</think>\n\nDone.", ChatFormat::thinking);
  EXPECT_EQ(turn.reasoning, "I could <tool_call>{}</tool_call>");
  EXPECT_EQ(turn.content, "Done.");
  EXPECT_TRUE(turn.calls.empty());
  const auto cut = parse("still thinking <tool_call>", ChatFormat::thinking);
  EXPECT_EQ(cut.content, "");
  EXPECT_TRUE(cut.calls.empty());
}

TEST(AssistantParser, TakesATagInsideACallForAPartOfIt) {
  const auto turn =
      parse("Look:\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"text\": \"a </think> <tool_call> b\"}}\n</tool_call>");
  EXPECT_EQ(turn.content, "Look:");
  EXPECT_EQ(turn.reasoning, "");
  ASSERT_EQ(turn.calls.size(), 1u);
  EXPECT_FALSE(turn.calls[0].error);
  EXPECT_EQ(turn.calls[0].call.arguments.find("text")->as_string(), "a </think> <tool_call> b");
  EXPECT_EQ(parse("Hm.\n</think>\n\nYes. <tool_call>{}</tool_call>").reasoning, "Hm.");
}

TEST(AssistantParser, ChecksArgumentsAgainstTheSchema) {
  const auto check = [](std::string_view arguments) {
    const auto result = check_arguments(kTools[0], Json::parse(arguments, "a").value());
    return result ? std::string() : result.error().message;
  };
  EXPECT_EQ(check(R"({"n": 3, "tag": "a", "list": [1, 2.5]})"), "");
  EXPECT_EQ(check(R"({"n": 3.0})"), "");
  for (const char* integer :
       {"0", "-0.00", "3.0", "12e1", "0.5e1", "1500e-2", "4813098128171921390526491", "1e300", "0e-9", "10.50E1"})
    EXPECT_EQ(check(fmt::format("{{\"n\": {}}}", integer)), "") << integer;
  for (const char* fraction : {"0.5", "3.01", "12e-2", "1e-400", "1500.5e0", "10.55E1", "9007199254740993.5"})
    EXPECT_EQ(check(fmt::format("{{\"n\": {}}}", fraction)), "arguments.n: expected integer, found number") << fraction;
  EXPECT_EQ(check("{}"), "arguments: n is missing");
  EXPECT_EQ(check(R"({"n": "3"})"), "arguments.n: expected integer, found string");
  EXPECT_EQ(check(R"({"n": -1})"), "arguments.n: -1 is below 0");
  EXPECT_EQ(check(R"({"n": 1, "tag": "c"})"), "arguments.tag: \"c\" is not one of [\"a\", \"b\"]");
  EXPECT_EQ(check(R"({"n": 1, "x": 2})"), "arguments: x is not a parameter");
  EXPECT_EQ(check(R"({"n": 1, "list": [1, "2"]})"), "arguments.list[1]: expected number, found string");
}

std::vector<Json> write_tool() {
  return {Json::parse(R"({"type": "function", "function": {"name": "write", "parameters": {"properties": {
    "path": {"type": "string"}, "lines": {"type": "integer"}, "force": {"type": "boolean"}, "tags": {"type": "array"},
    "mode": {"type": ["string", "null"]}, "any": {}}}}})",
                      "tool")
              .value()};
}

TEST(AssistantParser, ReadsXmlCallsWithTheTypesOfTheirSchemas) {
  const AssistantTurn turn = parse_assistant(
      "I write.\n\n<tool_call>\n<function=write>\n<parameter=path>\n12\n</parameter>\n<parameter=lines>\n72.50\n</parameter>\n"
      "<parameter=force>\ntrue\n</parameter>\n<parameter=tags>\n[\"a\", 1]\n</parameter>\n<parameter=mode>\nnull\n</parameter>\n"
      "<parameter=any>\n{\"x\": [1]}\n</parameter>\n<parameter=other>\n  two\nlines \n</parameter>\n</function>\n</tool_call>\n"
      "<tool_call>\n<function=write>\n</function>\n</tool_call>",
      ChatFormat::coder, write_tool());
  EXPECT_EQ(turn.content, "I write.");
  ASSERT_EQ(turn.calls.size(), 2u);
  EXPECT_FALSE(turn.calls[0].error) << *turn.calls[0].error;
  EXPECT_EQ(turn.calls[0].call.name, "write");
  EXPECT_EQ(
      turn.calls[0].call.arguments.dump(),
      R"({"path": "12", "lines": 72.50, "force": true, "tags": ["a", 1], "mode": null, "any": {"x": [1]}, "other": "  two\nlines "})");
  EXPECT_EQ(turn.calls[1].call.arguments.dump(), "{}");
  EXPECT_FALSE(turn.missing_opener);
}

TEST(AssistantParser, KeepsRawTextThatLooksLikeMarkup) {
  const std::string code = "<div a=\"b\">&amp;</div>\n</tool_call>\n</parameter> and\n<|im_end|>\n\n";
  ToolCall call{"write", Json::object()};
  call.arguments["path"] = code;
  call.arguments["lines"] = "not a number";  // the wrong type stays as it was said
  const AssistantTurn turn =
      parse_assistant("<tool_call>\n" + xml_call(call) + "\n</tool_call>\nbye", ChatFormat::coder, write_tool());
  ASSERT_EQ(turn.calls.size(), 1u);
  EXPECT_FALSE(turn.calls[0].error);
  EXPECT_EQ(turn.calls[0].call.arguments, call.arguments);
  EXPECT_EQ(turn.content, "bye");
}

TEST(AssistantParser, ForgivesMissingClosersAndNamesWhatIsNoXmlCall) {
  const auto one = [](std::string_view inside) {
    const AssistantTurn turn = parse_assistant(fmt::format("<tool_call>{}</tool_call>", inside), ChatFormat::coder, write_tool());
    return turn.calls.empty()    ? std::string("no call")
           : turn.calls[0].error ? "error: " + *turn.calls[0].error
                                 : turn.calls[0].call.name + " " + turn.calls[0].call.arguments.dump();
  };
  EXPECT_EQ(one("<function=write>\n<parameter=path>\na\n<parameter=lines>\n3\n</function>\n"),
            R"(write {"path": "a", "lines": 3})");
  // A closer that comes decides: what stands before it may well be text about parameters.
  EXPECT_EQ(one("<function=write>\n<parameter=path>\na\n<parameter=lines>\n3\n</parameter>\n</function>\n"),
            R"(write {"path": "a\n<parameter=lines>\n3"})");
  EXPECT_EQ(one("\n<function=write>\n<parameter=path>\na\n</parameter>\n"), R"(write {"path": "a"})");
  EXPECT_EQ(one("<function=write </parameter>\n<parameter=path>\na\n</parameter>"), R"(write {"path": "a"})");
  EXPECT_EQ(one("<function=write>\n<parameter=path>\n\n</parameter>\n</function>"), R"(write {"path": ""})");
  EXPECT_EQ(one("{\"name\": \"write\"}"), "error: expected <function=NAME>");
  EXPECT_EQ(one("<function=>"), "error: <function=: the name is missing");
  EXPECT_EQ(one("<function=write>\nwhat?"), "error: write: expected <parameter= or </function>, found \"what?\"");
  EXPECT_EQ(parse_assistant("<tool_call>\n<function=write>\n<parameter=path>\na", ChatFormat::coder, write_tool()).calls[0].error,
            "the call has no </tool_call>");
  EXPECT_TRUE(parse_assistant("<function=write>\n</function>", ChatFormat::coder, write_tool()).missing_opener);
}

}  // namespace
}  // namespace quern
