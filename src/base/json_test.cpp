#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>

namespace quern {
namespace {

std::string again(std::string_view text, Json::Spacing spacing = Json::Spacing::compact) {
  const auto json = Json::parse(text, "t");
  return json ? json->dump(spacing) : "error: " + json.error().message;
}

TEST(Json, KeepsTheLiteralTextOfNumbers) {
  for (const char* number :
       {"0", "-0", "1", "1.0", "1.50", "-0.0", "1e5", "1E+05", "1e-7", "123456789012345678", "9007199254740993",
        "1180591620717411303424", "-9223372036854775808", "18446744073709551615", "0.1000000000000000055511151231257827"})
    EXPECT_EQ(again(number), number);
}

TEST(Json, KeepsTheOrderOfKeysAndTheLastValueOfARepeatedOne) {
  EXPECT_EQ(again(R"({"z":1,"a":2,"m":{"y":1,"b":2}})"), R"({"z":1,"a":2,"m":{"y":1,"b":2}})");
  EXPECT_EQ(again(R"({"a":1,"b":2,"a":3,"c":4,"b":5,"a":6})"), R"({"a":6,"b":5,"c":4})");
  EXPECT_EQ(again(R"({"":1,"":{"x":1,"x":2}})"), R"({"":{"x":2}})");
}

TEST(Json, WritesStringsAsPythonDoesWithoutAsciiEscapes) {
  EXPECT_EQ(again(R"("\u00e9\ud83d\ude00\n\u0001\/\"\\")"), "\"é😀\\n\\u0001/\\\"\\\\\"");
  EXPECT_EQ(again(R"("a\u0000b")"), R"("a\u0000b")");
  EXPECT_EQ(again(R"({"a":[1,{"b":null}],"c":true})", Json::Spacing::python), R"({"a": [1, {"b": null}], "c": true})");
  EXPECT_EQ(Json::parse(R"({"a":[1,[]],"b":{}})", "t")->dump_indented(), "{\n  \"a\": [\n    1,\n    []\n  ],\n  \"b\": {}\n}");
}

TEST(Json, RefusesWhatIsNotOneStrictValue) {
  for (const std::string_view text : {"",
                                      " ",
                                      "{",
                                      "[1,]",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "'a'",
                                      "NaN",
                                      "Infinity",
                                      "-",
                                      "01",
                                      "1.",
                                      ".5",
                                      "+1",
                                      "0x10",
                                      "1e",
                                      "tru",
                                      "nul",
                                      "[1 2]",
                                      "1 2",
                                      "{} x",
                                      "\"a",
                                      "\"\t\"",
                                      "\"\\x\"",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\u12\"",
                                      "// c\n1",
                                      "/* c */ 1",
                                      "1e400",
                                      "\xEF\xBB",
                                      "\"\xff\"",
                                      "\"\xC0\x80\"",
                                      "\"\xED\xA0\x80\"",
                                      "\"\xF4\x90\x80\x80\"",
                                      "\"\xE2\x82\""}) {
    const auto json = Json::parse(text, "where");
    ASSERT_FALSE(json) << text;
    EXPECT_EQ(json.error().code, Errc::malformed);
    EXPECT_EQ(json.error().message.rfind("where: ", 0), 0u) << json.error().message;
    EXPECT_EQ(json.error().message.find('\n'), std::string::npos) << text;
  }
  EXPECT_FALSE(Json::parse(std::string_view("1\0", 2), "t"));
}

TEST(Json, BoundsTheDepthExactlyAndCheaply) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(Json::parse(nested(200), "t"));
  EXPECT_FALSE(Json::parse(nested(201), "t"));
  EXPECT_TRUE(Json::parse(nested(3), "t", {.max_depth = 3}));
  EXPECT_FALSE(Json::parse(nested(4), "t", {.max_depth = 3}));
  EXPECT_FALSE(Json::parse(std::string(5'000'000, '['), "t"));
}

TEST(Json, ReadsLargeDocuments) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":[" + std::to_string(i) + "]";
  const auto json = Json::parse(text + "}", "t");
  ASSERT_TRUE(json);
  EXPECT_EQ(json->size(), 200'000u);
  EXPECT_EQ(json->as_object()[123'456].second.dump(), "[123456]");
  EXPECT_EQ(json->find("k199999")->dump(), "[199999]");
}

TEST(Json, MakesIntegersOfNumbersThatAreThem) {
  const auto integer = [](std::string_view text) { return Json::parse(text, "t").value().to_int64(); };
  EXPECT_EQ(integer("3").value(), 3);
  EXPECT_EQ(integer("3.0").value(), 3);
  EXPECT_EQ(integer("3e2").value(), 300);
  EXPECT_EQ(integer("-0").value(), 0);
  EXPECT_EQ(integer("9223372036854775807").value(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(integer("-9223372036854775808").value(), std::numeric_limits<int64_t>::min());
  for (const char* text : {"9223372036854775808", "-9223372036854775809", "1e19", "3.5", "1e300", "\"3\"", "null", "true", "[3]"})
    EXPECT_FALSE(integer(text)) << text;
}

TEST(Json, ComparesByValueWhateverTheSpellingOrOrder) {
  const auto equal = [](std::string_view a, std::string_view b) {
    return Json::parse(a, "a").value() == Json::parse(b, "b").value();
  };
  EXPECT_TRUE(equal("1", "1.0"));
  EXPECT_TRUE(equal("[1e2]", "[100]"));
  EXPECT_TRUE(equal(R"({"a":1,"b":2})", R"({"b":2,"a":1})"));
  EXPECT_TRUE(equal("-0", "0.0e5"));
  EXPECT_TRUE(equal("-120e-1", "-12"));
  EXPECT_TRUE(equal("0.00120", "12E-4"));
  EXPECT_FALSE(equal("9007199254740992", "9007199254740993"));
  EXPECT_FALSE(equal("100000000000000000000", "100000000000000000001"));
  EXPECT_FALSE(equal("0.1", "0.1000000000000000055"));
  EXPECT_FALSE(equal("1", "-1"));
  EXPECT_FALSE(equal("10", "1"));
  EXPECT_FALSE(equal("[1,2]", "[2,1]"));
  EXPECT_FALSE(equal("1", "\"1\""));
  EXPECT_FALSE(equal("1", "true"));
  EXPECT_FALSE(equal(R"({"a":1})", R"({"a":1,"b":2})"));
}

TEST(Json, IsBuiltInPlace) {
  Json json;
  json["b"]["c"] = 1.5;
  json["a"].push_back("x");
  json["b"]["d"] = Json();
  EXPECT_EQ(json.dump(), R"({"b": {"c": 1.5, "d": null}, "a": ["x"]})");
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
  EXPECT_EQ(Json(uint64_t{18446744073709551615U}).dump(), "18446744073709551615");
  EXPECT_EQ(Json(0.1).dump(), "0.1");
  EXPECT_EQ(json.find("z"), nullptr);
  EXPECT_EQ(Json(3).find("z"), nullptr);
}

}  // namespace
}  // namespace quern
