// Json: a JSON value that keeps what prompts and tool calls must not lose: numbers keep their literal text (1.0 stays 1.0, 2^70 stays
// exact), objects keep the order of their keys. Parsing is strict (RFC 8259, valid UTF-8, no trailing text) and bounded in depth; a
// repeated key keeps its first place and takes its last value, as Python does. A value is a value: copy, move, compare.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace quern {

class Json {
 public:
  enum class Kind { null, boolean, number, string, array, object };
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : Json(static_cast<int64_t>(value)) {}
  Json(int64_t value);
  Json(uint64_t value);
  Json(double value);  // shortest text that reads back the same; not finite: null
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  static Json object() { return Json(Object{}); }
  static Json array() { return Json(Array{}); }
  // A number with this literal text, which must be one JSON number.
  static Json number_literal(std::string text) { return Json(Number{std::move(text)}); }

  static constexpr size_t kMaxDepth = 200;  // arrays and objects inside one another
  struct Limits {
    size_t max_depth = kMaxDepth;
  };
  // `where` opens the error message: a file's name, or "request".
  static Result<Json> parse(std::string_view text, std::string_view where, Limits limits);
  static Result<Json> parse(std::string_view text, std::string_view where) { return parse(text, where, Limits{}); }

  enum class Spacing { compact, python };  // {"a":1}  or  {"a": 1, "b": 2}
  std::string dump(Spacing spacing = Spacing::python) const;
  void dump_to(std::string& out, Spacing spacing) const;
  std::string dump_indented() const;  // two spaces a level, for files and people

  Kind kind() const { return static_cast<Kind>(value_.index()); }
  bool is_null() const { return kind() == Kind::null; }
  bool is_bool() const { return kind() == Kind::boolean; }
  bool is_number() const { return kind() == Kind::number; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_array() const { return kind() == Kind::array; }
  bool is_object() const { return kind() == Kind::object; }

  // The value of that kind; calling the wrong one is a bug in the caller (checked).
  bool as_bool() const;
  const std::string& as_string() const;
  const std::string& number_text() const;
  double as_double() const;
  const Array& as_array() const;
  const Object& as_object() const;
  Array& as_array();
  Object& as_object();

  // A number that is an integer in value (3, 3.0, 3e2) and fits; nullopt-like failure as Result for the caller's message.
  Result<int64_t> to_int64() const;

  // Object access: nullptr when this is not an object or has no such key.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key);
  // The member, made (null) at the end when missing; a null value becomes an object first.
  Json& operator[](std::string_view key);
  void push_back(Json value);
  size_t size() const;  // of an array or object; 0 otherwise

  // Same kind and value: numbers by value, objects whatever the order of their keys.
  friend bool operator==(const Json& a, const Json& b);

  static std::string_view kind_name(Kind kind);
  std::string_view kind_name() const { return kind_name(kind()); }

 private:
  struct Number {
    std::string text;
  };
  explicit Json(Number number) : value_(std::move(number)) {}
  void dump_indented_to(std::string& out, int level) const;

  std::variant<std::monostate, bool, Number, std::string, Array, Object> value_;
};

// text as a JSON string with its quotes; non-ASCII kept, control characters escaped (Python's json.dumps, ensure_ascii off).
void append_json_string(std::string& out, std::string_view text);

}  // namespace quern
