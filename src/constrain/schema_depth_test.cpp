// Nesting is bounded: with less room a machine takes those of its texts that are not nested deeper, and never leads to where no text fits.
#include <gtest/gtest.h>

#include "base/random.h"
#include "constrain/schema_machine.h"

namespace quern {
namespace {

constexpr size_t kShallow = 4, kDeep = 7;

std::unique_ptr<SchemaMachine> compiled(std::string_view schema, size_t max_depth) {
  Refusal refusal;
  auto machine = SchemaMachine::compile(Json::parse(schema, "schema").value(), {.max_depth = max_depth}, refusal);
  EXPECT_TRUE(machine) << schema << ": " << refusal.reason;
  return machine;
}

bool accepts(SchemaMachine& machine, std::string_view text) {
  auto state = std::optional(machine.start());
  for (size_t i = 0; i < text.size() && state; ++i) state = machine.step(*state, static_cast<uint8_t>(text[i]), text.substr(0, i));
  return state && machine.can_end(*state, text);
}

// A text that the machine leads through, with a liking for brackets; empty where it grew too long. Fails at a dead end.
std::string random_text(SchemaMachine& machine, Random& random) {
  std::string text;
  auto state = machine.start();
  while (text.size() < 400) {
    const bool may_end = machine.can_end(state, text);
    if (may_end && random.chance(0.5)) return text;
    const std::string_view liked = random.chance(0.6) ? "[{" : "]}\",";
    std::string bytes(liked.substr(random.below(liked.size())));
    bytes += liked;
    for (uint64_t i = 0, first = random.below(256); i < 256; ++i) bytes += static_cast<char>(first + i);
    std::optional<Machine::State> next;
    for (size_t i = 0; i < bytes.size() && !next; ++i)
      if ((next = machine.step(state, static_cast<uint8_t>(bytes[i]), text))) text += bytes[i];
    if (!next) {
      EXPECT_TRUE(may_end) << "dead end behind " << text;
      return may_end ? text : "";
    }
    state = machine.settle(*next, text);
  }
  return "";
}

class SchemaDepth : public testing::TestWithParam<const char*> {};

TEST_P(SchemaDepth, LessRoomTakesAwayWhatIsNestedDeeperAndNothingElse) {
  const auto shallow = compiled(GetParam(), kShallow), deep = compiled(GetParam(), kDeep);
  ASSERT_TRUE(shallow && deep);
  Random random(5);
  int fit = 0, too_deep = 0;
  for (int i = 0; i < 1000; ++i) {
    SchemaMachine& leader = i % 2 == 0 ? *shallow : *deep;
    const std::string text = random_text(leader, random);
    if (text.empty()) continue;
    EXPECT_TRUE(Json::parse(text, "text", {.max_depth = kDeep})) << text;
    EXPECT_TRUE(accepts(*deep, text)) << text;
    const bool fits = Json::parse(text, "text", {.max_depth = kShallow}).has_value();
    EXPECT_EQ(accepts(*shallow, text), fits) << text;
    ++(fits ? fit : too_deep);
  }
  EXPECT_GT(fit, 10);
  EXPECT_GT(too_deep, 10);
}

INSTANTIATE_TEST_SUITE_P(
    Schemas, SchemaDepth,
    testing::Values(
        "true", R"({"type": "array", "items": {"$ref": "#"}})", R"({"type": "array", "uniqueItems": true})",
        // What comes next may need more room than there is: by name, by pattern, by position.
        R"({"type": "object", "required": ["leaf"], "additionalProperties": false, "properties": {
        "leaf": {"type": "array", "minItems": 1, "items": {"type": "array"}}, "next": {"$ref": "#"}, "n": {"type": "null"}}})",
        R"({"type": "object", "additionalProperties": {"$ref": "#"}, "patternProperties": {"^[a-f]": {"type": "array", "minItems": 1,
        "items": {"type": "array"}}}})",
        R"({"type": "array", "prefixItems": [{"enum": [1, {}]}, {"type": "array"}, {"type": "array", "minItems": 1, "items":
        {"type": "object"}}], "items": {"$ref": "#"}})",
        // Only by going deeper one may come to an end, or has to.
        R"({"anyOf": [{"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#"}}, {"const": [[1]]}]})",
        R"({"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "array"}]}, "contains": {"type": "array", "minItems": 1,
        "items": {"type": "array"}}})",
        R"({"type": "object", "additionalProperties": {"anyOf": [{"$ref": "#"}, {"type": "array", "items": {"$ref": "#"}}]},
        "dependentRequired": {"a": ["b"]}, "properties": {"b": {"type": "array", "minItems": 1, "items": {"type": "array"}}},
        "maxProperties": 3})",
        R"({"type": "array", "contains": {"type": "array", "minItems": 1}, "minContains": 0, "maxContains": 1, "items": {"$ref": "#"}})"));

TEST(SchemaDepth, ArraysOfDifferentItemsWantRoomForThem) {
  // Without room inside them there is one such object, and no second item that differs.
  const char* schema = R"({"type": "array", "uniqueItems": true, "minItems": 2, "items": {"type": "object",
      "additionalProperties": {"type": "array"}}})";
  Refusal refusal;
  EXPECT_FALSE(SchemaMachine::compile(Json::parse(schema, "schema").value(), {.max_depth = 2}, refusal));
  EXPECT_TRUE(accepts(*compiled(schema, 3), R"([{}, {"a": []}])"));
  EXPECT_FALSE(accepts(*compiled(schema, 3), R"([{}, {}])"));
}

}  // namespace
}  // namespace quern
