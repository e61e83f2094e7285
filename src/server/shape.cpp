#include "server/shape.h"

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"

namespace quern {
namespace {

std::shared_ptr<Shape::Node> node_of(uint8_t kinds, std::string_view about) {
  auto node = std::make_shared<Shape::Node>();
  node->kinds = kinds;
  node->about = about;
  return node;
}

Json number_json(const Shape::Node& node, bool high) {
  if (node.whole) return high ? node.most_integer : node.least_integer;
  return high ? node.high : node.low;
}

uint8_t kind_of(const Json& value) {
  switch (value.kind()) {
    case Json::Kind::boolean:
      return Shape::kBoolean;
    case Json::Kind::number:
      return Shape::kNumber;
    case Json::Kind::string:
      return Shape::kText;
    case Json::Kind::array:
      return Shape::kList;
    case Json::Kind::object:
      return Shape::kObject;
    case Json::Kind::null:
      break;
  }
  return 0;
}

// "a number from 0 to 2", "a string or an array".
std::string expected(const Shape::Node& node) {
  std::vector<std::string> all;
  if (node.kinds & Shape::kBoolean) all.emplace_back("true or false");
  if (node.kinds & Shape::kNumber)
    all.push_back(fmt::format("{} from {} to {}", node.whole ? "an integer" : "a number", number_json(node, false).number_text(),
                              number_json(node, true).number_text()));
  if (node.kinds & Shape::kText) {
    std::string words;
    for (const std::string& word : node.words) words += (words.empty() ? "" : ", ") + word;
    all.push_back(words.empty() ? "a string" : node.words.size() == 1 ? words : "one of " + words);
  }
  if (node.kinds & Shape::kList) all.emplace_back("an array");
  if (node.kinds & Shape::kObject) all.emplace_back("an object");
  std::string text;
  for (size_t i = 0; i < all.size(); ++i) text += (i == 0 ? "" : i + 1 < all.size() ? ", " : " or ") + all[i];
  return node.kinds == Shape::kAny ? "a value" : text;
}

std::string found(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = value.dump();
  if (text.size() <= 60) return text;
  text.resize(complete_utf8_prefix(std::string_view(text).substr(0, 57)));
  return text + "…";
}

tl::unexpected<Error> wrong(const Shape::Node& node, const Json& value, std::string_view where) {
  return fail(Errc::invalid_argument, "{}{}{}: expected {}", where, where.empty() ? "" : ": ", found(value), expected(node));
}

bool in_range(const Shape::Node& node, const Json& value) {
  if (!node.whole) return value.as_double() >= node.low && value.as_double() <= node.high;
  const auto integer = value.to_int64();
  return integer && *integer >= node.least_integer && *integer <= node.most_integer;
}

}  // namespace

Shape Shape::any(std::string_view about) { return Shape(node_of(kAny, about)); }
Shape Shape::boolean(std::string_view about) { return Shape(node_of(kBoolean, about)); }
Shape Shape::integer(int64_t low, int64_t high, std::string_view about) {
  auto node = node_of(kNumber, about);
  node->whole = true;
  node->least_integer = low;
  node->most_integer = high;
  return Shape(std::move(node));
}
Shape Shape::number(double low, double high, std::string_view about) {
  auto node = node_of(kNumber, about);
  node->low = low;
  node->high = high;
  return Shape(std::move(node));
}
Shape Shape::text(std::string_view about) { return Shape(node_of(kText, about)); }
Shape Shape::one_of(std::vector<std::string> words, std::string_view about) {
  auto node = node_of(kText, about);
  node->words = std::move(words);
  return Shape(std::move(node));
}
Shape Shape::list(const Shape& items, size_t least, size_t most, std::string_view about) {
  auto node = node_of(kList, about);
  node->items = items;
  node->least = least;
  node->most = most;
  return Shape(std::move(node));
}
Shape Shape::object(std::vector<Member> members, std::string_view about) {
  auto node = node_of(kObject, about);
  node->members = std::move(members);
  return Shape(std::move(node));
}
Shape Shape::map(const Shape& values, std::string_view about) {
  auto node = node_of(kObject, about);
  node->values = values;
  return Shape(std::move(node));
}
Shape Shape::either(std::initializer_list<Shape> shapes, std::string_view about) {
  auto node = node_of(0, about);
  for (const Shape& shape : shapes) {
    const Node& one = shape.node();
    QUERN_CHECK((node->kinds & one.kinds) == 0, "two shapes of one kind");
    node->kinds |= one.kinds;
    if (one.kinds & kNumber) {
      node->whole = one.whole, node->low = one.low, node->high = one.high;
      node->least_integer = one.least_integer, node->most_integer = one.most_integer;
    }
    if (one.kinds & kText) node->words = one.words;
    if (one.kinds & kList) node->items = one.items, node->least = one.least, node->most = one.most;
    if (one.kinds & kObject) node->members = one.members, node->values = one.values;
  }
  return Shape(std::move(node));
}

Shape Shape::named(std::string_view name) const {
  auto node = std::make_shared<Node>(*node_);
  node->name = name;
  return Shape(std::move(node));
}
Shape Shape::with(std::vector<Member> members) const {
  auto node = std::make_shared<Node>(*node_);
  for (Member& member : members) node->members.push_back(std::move(member));
  return Shape(std::move(node));
}

Result<void> Shape::check(const Json& value, std::string_view where) const {
  const Node& node = *node_;
  if (node.kinds == kAny) return {};
  if ((kind_of(value) & node.kinds) == 0) return wrong(node, value, where);
  if (value.is_number() && !in_range(node, value)) return wrong(node, value, where);
  if (value.is_string() && !node.words.empty() &&
      std::find(node.words.begin(), node.words.end(), value.as_string()) == node.words.end())
    return wrong(node, value, where);
  if (value.is_array()) {
    if (value.size() < node.least || value.size() > node.most)
      return fail(Errc::invalid_argument, "{}: {} items: expected {} to {}", where, value.size(), node.least, node.most);
    for (size_t i = 0; i < value.size(); ++i) QUERN_TRY(node.items->check(value.as_array()[i], fmt::format("{}[{}]", where, i)));
  }
  if (!value.is_object()) return {};
  const auto place = [&](std::string_view name) { return where.empty() ? std::string(name) : fmt::format("{}.{}", where, name); };
  for (const Member& member : node.members) {
    const Json* own = member_of(value, member.name);
    if (own)
      QUERN_TRY(member.shape.check(*own, place(member.name)));
    else if (member.presence == Member::required)
      return fail(Errc::invalid_argument, "{}: missing: expected {}", place(member.name), expected(member.shape.node()));
  }
  if (node.values)
    for (const auto& [name, own] : value.as_object()) QUERN_TRY(node.values->check(own, place(name.substr(0, 60))));
  return {};
}

namespace {

// What a shape's JSON may be; null: also nothing.
Json types_of(const Shape::Node& node, bool null) {
  Json types = Json::array();
  if (node.kinds & Shape::kBoolean) types.push_back("boolean");
  if (node.kinds & Shape::kNumber) types.push_back(node.whole ? "integer" : "number");
  if (node.kinds & Shape::kText) types.push_back("string");
  if (node.kinds & Shape::kList) types.push_back("array");
  if (node.kinds & Shape::kObject) types.push_back("object");
  if (null) types.push_back("null");
  return types.size() == 1 ? types.as_array()[0] : types;
}

Json schema_of(const Shape& shape, Json* refs, bool null);

void add_members(const Shape::Node& node, Json* refs, Json& schema) {
  if (!node.members.empty()) {
    Json properties = Json::object(), required = Json::array();
    for (const Shape::Member& member : node.members) {
      properties[member.name] = schema_of(member.shape, refs, member.presence == Shape::Member::optional);
      if (member.presence == Shape::Member::required) required.push_back(member.name);
    }
    schema["properties"] = std::move(properties);
    if (required.size() > 0) schema["required"] = std::move(required);
  }
  if (node.values) schema["additionalProperties"] = schema_of(*node.values, refs, false);
}

Json plain_schema(const Shape::Node& node, Json* refs, bool null) {
  Json schema = Json::object();
  if (!node.about.empty()) schema["description"] = node.about;
  if (node.kinds == Shape::kAny) return schema;
  schema["type"] = types_of(node, null);
  if (node.kinds & Shape::kNumber) {
    schema["minimum"] = number_json(node, false);
    schema["maximum"] = number_json(node, true);
  }
  if (!node.words.empty()) {
    Json words = Json::array();
    for (const std::string& word : node.words) words.push_back(word);
    if (null) words.push_back(nullptr);
    if (node.kinds == Shape::kText) schema["enum"] = std::move(words);
  }
  if (node.kinds & Shape::kList) {
    schema["items"] = schema_of(*node.items, refs, false);
    schema["minItems"] = static_cast<int64_t>(node.least);
    schema["maxItems"] = static_cast<int64_t>(node.most);
  }
  if (node.kinds & Shape::kObject) add_members(node, refs, schema);
  return schema;
}

Json schema_of(const Shape& shape, Json* refs, bool null) {
  const Shape::Node& node = shape.node();
  if (!refs || node.name.empty()) return plain_schema(node, refs, null);
  if (!refs->find(node.name)) {
    (*refs)[node.name] = Json::object();
    Json own = plain_schema(node, refs, false);
    (*refs)[node.name] = std::move(own);
  }
  Json reference = Json::Object{{"$ref", "#/components/schemas/" + node.name}};
  if (!null) return reference;
  return Json::Object{{"anyOf", Json::Array{std::move(reference), Json::Object{{"type", "null"}}}}};
}

}  // namespace

Json Shape::schema(Json* refs) const { return schema_of(*this, refs, false); }

const Json* member_of(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  return found && !found->is_null() ? found : nullptr;
}
std::optional<bool> boolean_of(const Json& object, std::string_view name) {
  const Json* found = member_of(object, name);
  return found && found->is_bool() ? std::optional(found->as_bool()) : std::nullopt;
}
std::optional<double> number_of(const Json& object, std::string_view name) {
  const Json* found = member_of(object, name);
  return found && found->is_number() ? std::optional(found->as_double()) : std::nullopt;
}
std::optional<int64_t> integer_of(const Json& object, std::string_view name) {
  const Json* found = member_of(object, name);
  if (!found || !found->is_number()) return std::nullopt;
  const auto value = found->to_int64();
  return value ? std::optional(*value) : std::nullopt;
}
std::optional<std::string> text_of(const Json& object, std::string_view name) {
  const Json* found = member_of(object, name);
  return found && found->is_string() ? std::optional(found->as_string()) : std::nullopt;
}

}  // namespace quern
