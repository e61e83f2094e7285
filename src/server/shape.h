// Shapes: what JSON the API takes and gives, each declared once. Requests are checked against theirs before anybody reads them, and the
// OpenAPI document (openapi.h) and the tests that throw random requests at the server are made of the same ones.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quern {

// A value; cheap to copy. Members that a shape does not know are ignored, null counts as absent where a member is not required.
class Shape {
 public:
  struct Member;

  static Shape any(std::string_view about);
  static Shape boolean(std::string_view about);
  static Shape integer(int64_t low, int64_t high, std::string_view about);  // low to high, both included
  static Shape number(double low, double high, std::string_view about);
  static Shape text(std::string_view about);
  static Shape one_of(std::vector<std::string> words, std::string_view about);
  static Shape list(const Shape& items, size_t least, size_t most, std::string_view about);
  static Shape object(std::vector<Member> members, std::string_view about);
  static Shape map(const Shape& values, std::string_view about);  // any names
  // One of several kinds of value: at most one shape of each kind.
  static Shape either(std::initializer_list<Shape> shapes, std::string_view about);
  static Shape constant(std::string_view word) { return one_of({std::string(word)}, ""); }

  // The same with a name, under which the OpenAPI document has it once.
  Shape named(std::string_view name) const;
  // An object with more members.
  Shape with(std::vector<Member> members) const;

  // invalid_argument, in one line that begins with the place: "messages[2].role: 7: expected a string". where: of the value; "" for a
  // whole request, whose members are then named alone.
  Result<void> check(const Json& value, std::string_view where = "") const;

  // As JSON Schema (2020-12). refs: named shapes below are {"$ref": "#/components/schemas/NAME"}, and added there, once each, with theirs.
  Json schema(Json* refs = nullptr) const;

  enum Kind : uint8_t { kBoolean = 1, kNumber = 2, kText = 4, kList = 8, kObject = 16, kAny = 31 };
  struct Node;
  const Node& node() const { return *node_; }

 private:
  explicit Shape(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  std::shared_ptr<const Node> node_;
};

struct Shape::Member {
  std::string name;
  Shape shape;
  enum Presence : uint8_t { optional, required } presence = optional;
};

struct Shape::Node {
  uint8_t kinds = 0;  // of Kind
  std::string about, name;
  bool whole = false;        // of numbers: integers only
  double low = 0, high = 0;  // of numbers
  int64_t least_integer = 0, most_integer = 0;
  std::vector<std::string> words;  // of texts; empty: any
  size_t least = 0, most = 0;      // of lists
  std::optional<Shape> items;      // of lists
  std::vector<Member> members;     // of objects
  std::optional<Shape> values;     // of objects: of the members that are not named
};

// A member of a request that was checked; nothing when it is absent or null.
const Json* member_of(const Json& object, std::string_view name);
std::optional<bool> boolean_of(const Json& object, std::string_view name);
std::optional<double> number_of(const Json& object, std::string_view name);
std::optional<int64_t> integer_of(const Json& object, std::string_view name);
std::optional<std::string> text_of(const Json& object, std::string_view name);

}  // namespace quern
