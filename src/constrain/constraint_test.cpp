#include "constrain/constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

bool accepts(Machine& machine, std::string_view text) {
  auto state = std::optional(machine.start());
  for (size_t i = 0; i < text.size() && state; ++i) state = machine.step(*state, static_cast<uint8_t>(text[i]), text.substr(0, i));
  return state && machine.can_end(*state, text);
}

Json parsed(std::string_view text) {
  auto json = Json::parse(text, "schema");
  EXPECT_TRUE(json) << json.error().message;
  return json ? *json : Json();
}

std::string schema_error(std::string_view schema) {
  const auto machine = compile_schema(parsed(schema), {});
  EXPECT_FALSE(machine) << schema;
  return machine ? "" : machine.error().message;
}

template <class Made>
std::string error_of(const Made& made) {
  EXPECT_FALSE(made);
  return made ? "" : made.error().message;
}

TEST(CompileSchema, ErrorsNamePlaceAndReasonInOneLine) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"properties": {"a": {"type": "strin"}}})", "schema: #/properties/a/type: "},
      {R"({"properties": {"a/b~": {"minLength": -1}}})", "schema: #/properties/a~1b~0/minLength: "},
      {R"({"items": {"$ref": "#/$defs/none"}})", "schema: #/items/$ref: "},
      {R"({"allOf": [true, {"pattern": "(a"}]})", "schema: #/allOf/1/pattern: "},
      {R"({"$schema": "http://example.org/none"})", "schema: #/$schema: "},
      {R"({"$ref": "http://example.org/elsewhere.json"})", "schema: #/$ref: "},
      {R"({"anyOf": {}})", "schema: #/anyOf: "},
      {R"({"pattern": "a\\1(b)\u0001"})", "schema: #/pattern: "},
      {R"({"properties": {"line\nbreak": {"type": 3}}})", "schema: #/properties/line"},
      {R"(7)", "schema: #: "},
      {R"([])", "schema: #: "},
  };
  for (const auto& [schema, start] : cases) {
    const std::string message = schema_error(schema);
    EXPECT_THAT(message, StartsWith(std::string(start))) << schema;
    EXPECT_GT(message.size(), start.size()) << schema;
    for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << message;
  }
}

TEST(CompileSchema, RefusesWhatNoValueSatisfies) {
  for (const std::string_view schema :
       {"false", R"({"type": "integer", "minimum": 3, "maximum": 2})", R"({"enum": []})",
        R"({"type": "string", "not": {"type": "string"}})",
        R"({"type": "object", "required": ["a"], "properties": {"a": {"const": 1, "type": "string"}}})",
        R"({"type": "string", "minLength": 3, "maxLength": 2})",
        R"({"type": "string", "pattern": "^[^\\u0000-\\uD7FF\\uE000-\\u{10FFFF}]$"})",  // a surrogate, which no text has
        R"({"type": "object", "patternProperties": {"^x[a-d]$": true}, "additionalProperties": false, "minProperties": 5})",
        R"({"type": "array", "items": {"$ref": "#"}, "minItems": 1})"})
    EXPECT_THAT(schema_error(schema), StartsWith("schema: #")) << schema;
}

TEST(CompileSchema, EnforcesWhatItCompiles) {
  const auto machine = compile_schema(parsed(R"({"type": "object", "properties": {"city": {"type": "string", "maxLength": 5}},
                                                 "required": ["city"], "additionalProperties": false})"),
                                      {});
  ASSERT_TRUE(machine) << machine.error().message;
  for (const std::string_view good : {R"({"city": "Paris"})", R"({"city":""})", R"({"city": "Zü\n\"😀"})"})
    EXPECT_TRUE(accepts(**machine, good)) << good;
  for (const std::string_view bad :
       {R"({})", R"({"city": "London"})", R"({"city": 1})", R"({"city": "a", "b": 1})", R"({"city": "a", "city": "b"})",
        R"({"city":  "a"})", R"({ "city": "a"})", R"([{"city": "a"}])", R"({"city": "a"} )"})
    EXPECT_FALSE(accepts(**machine, bad)) << bad;
}

TEST(CompileSchema, SpacingIsAsOneAsksForIt) {
  SchemaMachineOptions options;
  const Json schema = parsed(R"({"type": "object"})");
  const std::string_view spaced = R"({"a": 1, "b": [1, 2]})", compact = R"({"a":1,"b":[1,2]})";
  const auto either = compile_schema(schema, options);
  options.spacing = JsonSpacing::always;
  const auto always = compile_schema(schema, options);
  ASSERT_TRUE(either && always);
  EXPECT_TRUE(accepts(**either, spaced) && accepts(**either, compact));
  EXPECT_TRUE(accepts(**always, spaced));
  EXPECT_FALSE(accepts(**always, compact));
  EXPECT_TRUE(accepts(**always, "{}"));
}

TEST(CompileSchema, FormatsAreAssertedOrNot) {
  SchemaMachineOptions options;
  const Json schema = parsed(R"({"type": "string", "format": "date"})");
  const auto asserted = compile_schema(schema, options);
  options.schema.assert_formats = false;
  const auto ignored = compile_schema(schema, options);
  ASSERT_TRUE(asserted && ignored);
  EXPECT_TRUE(accepts(**asserted, R"("2024-02-29")") && accepts(**ignored, R"("2024-02-29")"));
  EXPECT_FALSE(accepts(**asserted, R"("tomorrow")"));
  EXPECT_TRUE(accepts(**ignored, R"("tomorrow")"));
}

TEST(CompileSchema, TheValueMayHaveToSatisfyAnotherSchemaToo) {
  SchemaMachineOptions options;
  options.also = parsed(R"({"type": "object", "required": ["b"]})");
  const auto machine = compile_schema(parsed(R"({"properties": {"a": {"type": "integer"}}})"), options);
  ASSERT_TRUE(machine);
  EXPECT_TRUE(accepts(**machine, R"({"a": 1, "b": null})"));
  EXPECT_FALSE(accepts(**machine, R"({"a": 1})"));
  EXPECT_FALSE(accepts(**machine, R"({"a": "x", "b": null})"));
  EXPECT_FALSE(accepts(**machine, "1"));
}

TEST(CompileAnyJson, AdmitsJsonAsADumpSpellsIt) {
  const auto machine = compile_any_json();
  ASSERT_TRUE(machine);
  for (const std::string_view good : {"null", "true", "false", "0", "-1.5", "\"\"", "\"a\\u001fb\\\\\"", "[]", "{}", "[[], {}]",
                                      "[1,2, 3]", R"({"a": {"b": [null, "é", {"c": -1}]}})", R"({"a":1})"})
    EXPECT_TRUE(accepts(**machine, good)) << good;
  for (const std::string_view bad : {"",
                                     " ",
                                     "nul",
                                     "True",
                                     "01",
                                     "+1",
                                     "1.",
                                     ".5",
                                     "1e",
                                     "--1",
                                     "\"",
                                     "\"\n\"",
                                     "'a'",
                                     "[1,]",
                                     "[,1]",
                                     "{\"a\"}",
                                     "{a:1}",
                                     "{\"a\":1,}",
                                     "[1 ,2]",
                                     "[ 1]",
                                     "[1] ",
                                     "1 2",
                                     "{\"a\":1,\"a\":2}",
                                     "\"\\/\"",
                                     "\"\\u0041\"",
                                     "\"\\x41\"",
                                     "NaN",
                                     "[1,  2]",
                                     "\"\xff\"",
                                     "]",
                                     "}"})
    EXPECT_FALSE(accepts(**machine, bad)) << bad;
}

TEST(CompileRegex, TheWholeTextMatchesThePattern) {
  const auto machine = compile_regex("(yes|no)( +(yes|no))*");
  ASSERT_TRUE(machine);
  EXPECT_TRUE(accepts(**machine, "yes"));
  EXPECT_TRUE(accepts(**machine, "no  yes"));
  for (const std::string_view bad : {"", "y", "yes ", " no", "yesno", "maybe"}) EXPECT_FALSE(accepts(**machine, bad)) << bad;
  const auto characters = compile_regex("^.{2}$");
  ASSERT_TRUE(characters);
  EXPECT_TRUE(accepts(**characters, "é😀"));
  EXPECT_FALSE(accepts(**characters, "é"));
  EXPECT_FALSE(accepts(**characters, "a\xc3"));
  const auto anything = compile_regex("");
  ASSERT_TRUE(anything);
  EXPECT_TRUE(accepts(**anything, ""));
  EXPECT_FALSE(accepts(**anything, "a"));
}

TEST(CompileRegex, ErrorsNameThePatternInOneLine) {
  for (const std::string_view pattern : {"(a", "a\\1", "[z-a]", "a{3,2}", "(?<=a)b", "[^\\s\\S]", "a(?=b)c", "x\n("}) {
    const std::string message = error_of(compile_regex(pattern));
    EXPECT_THAT(message, HasSubstr("pattern")) << pattern;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(CompileGrammar, RootIsTheWholeText) {
  const auto machine = compile_grammar("root ::= \"(\" root \")\" | [0-9]+");
  ASSERT_TRUE(machine) << machine.error().message;
  for (const std::string_view good : {"1", "((12))"}) EXPECT_TRUE(accepts(**machine, good)) << good;
  for (const std::string_view bad : {"", "(", "()", "(1", "1)", "((1)"}) EXPECT_FALSE(accepts(**machine, bad)) << bad;
}

TEST(CompileGrammar, ErrorsNameLineAndColumn) {
  EXPECT_THAT(error_of(compile_grammar("root ::= \"a\"\nx ::= y")), StartsWith("grammar:2:7: "));
  EXPECT_THAT(error_of(compile_grammar("")), StartsWith("grammar:1:1: "));
  EXPECT_THAT(error_of(compile_grammar("root ::= root")), HasSubstr("derives no text"));
}

}  // namespace
}  // namespace quern
