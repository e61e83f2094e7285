#include "server/shape.h"

#include <gtest/gtest.h>

#include "constrain/constraint.h"

namespace quern {
namespace {

Json json(std::string_view text) { return Json::parse(text, "test").value(); }

Shape message() {
  return Shape::object(
             {{"role", Shape::one_of({"user", "assistant"}, "Who says it"), Shape::Member::required},
              {"content", Shape::either({Shape::text(""), Shape::list(Shape::object({}, ""), 0, 3, "")}, "What is said")}},
             "A message")
      .named("Message");
}
Shape request() {
  return Shape::object({{"temperature", Shape::number(0, 2, "How free"), Shape::Member::optional},
                        {"n", Shape::integer(1, 8, "How many")},
                        {"stream", Shape::boolean("")},
                        {"bias", Shape::map(Shape::number(-100, 100, ""), "")},
                        {"messages", Shape::list(message(), 1, 4, ""), Shape::Member::required}},
                       "A request");
}

TEST(Shape, TakesWhatFits) {
  for (const char* text :
       {R"({"messages": [{"role": "user"}]})", R"({"messages": [{"role": "user", "content": null, "other": 3}], "x": []})",
        R"({"temperature": 2, "n": 3.0, "stream": true, "bias": {"12": -100, "a": 1.5},
                               "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [{}, {}, {}]}]})"})
    EXPECT_TRUE(request().check(json(text))) << text;
}

TEST(Shape, SaysWhatDoesNotFitAndWhere) {
  const auto error = [](std::string_view text) {
    const auto checked = request().check(json(text));
    return checked ? "fits" : checked.error().message;
  };
  EXPECT_EQ(error("[]"), "an array: expected an object");
  EXPECT_EQ(error("{}"), "messages: missing: expected an array");
  EXPECT_EQ(error(R"({"temperature": 2.5})"), "temperature: 2.5: expected a number from 0 to 2");
  EXPECT_EQ(error(R"({"temperature": 1e300})"), "temperature: 1e300: expected a number from 0 to 2");
  EXPECT_EQ(error(R"({"temperature": "a"})"), "temperature: \"a\": expected a number from 0 to 2");
  EXPECT_EQ(error(R"({"n": 1.5})"), "n: 1.5: expected an integer from 1 to 8");
  EXPECT_EQ(error(R"({"n": 9})"), "n: 9: expected an integer from 1 to 8");
  EXPECT_EQ(error(R"({"stream": 0})"), "stream: 0: expected true or false");
  EXPECT_EQ(error(R"({"bias": {"7": 101}})"), "bias.7: 101: expected a number from -100 to 100");
  EXPECT_EQ(error(R"({"messages": []})"), "messages: 0 items: expected 1 to 4");
  EXPECT_EQ(error(R"({"messages": [{"role": "user"}, {"role": "me"}]})"),
            "messages[1].role: \"me\": expected one of user, assistant");
  EXPECT_EQ(error(R"({"messages": [{"role": "user", "content": 1}]})"), "messages[0].content: 1: expected a string or an array");
  EXPECT_LT(error(R"({"stream": ")" + std::string(1000, 'x') + "\"}").size(), 120u);
}

TEST(Shape, IsAJsonSchemaOfTheSame) {
  Json refs = Json::object();
  const Json schema = request().schema(&refs);
  EXPECT_EQ(schema.find("properties")->find("messages")->find("items")->find("$ref")->as_string(), "#/components/schemas/Message");
  EXPECT_EQ(*schema.find("required"), json(R"(["messages"])"));
  EXPECT_EQ(*refs.find("Message")->find("required"), json(R"(["role"])"));
  const Json plain = request().schema();
  for (const char* text :
       {R"({"messages": [{"role": "user"}]})", R"({"messages": [{"role": "user", "content": null, "other": 3}], "x": []})", "{}",
        R"({"messages": [{"role": "me"}]})", R"({"messages": [{"role": "user"}], "n": 9})",
        R"({"messages": [{"role": "user"}], "n": 8})", R"({"messages": [{"role": "user"}], "bias": {"a": 1000}})",
        R"({"messages": [{"role": "user"}], "temperature": 2.5})"})
    EXPECT_EQ(request().check(json(text)).has_value(), check_json(plain, json(text)).has_value()) << text;
}

TEST(Shape, GivesMembersOfWhatWasChecked) {
  const Json object = json(R"({"a": null, "b": true, "n": 3.0, "t": "x"})");
  EXPECT_FALSE(member_of(object, "a"));
  EXPECT_EQ(boolean_of(object, "b"), true);
  EXPECT_EQ(integer_of(object, "n"), 3);
  EXPECT_EQ(number_of(object, "n"), 3.0);
  EXPECT_EQ(text_of(object, "t"), "x");
  EXPECT_FALSE(text_of(object, "n"));
}

}  // namespace
}  // namespace quern
