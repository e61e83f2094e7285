#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace quern {
namespace {

// Collects nlohmann's events into Json values. Its parser is iterative, so depth costs heap, not stack; depth is bounded all the same
// because everything that walks a Json later is recursive.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(size_t max_depth) : max_depth_(max_depth) {}

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(Json(value)); }
  // The lexer reports an integer as signed only when it was written with a minus sign: zero here was "-0".
  bool number_integer(number_integer_t value) override {
    return add(value == 0 ? Json::number_literal("-0") : Json(int64_t{value}));
  }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(uint64_t{value})); }
  bool number_float(number_float_t, const string_t& text) override { return add(Json::number_literal(text)); }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool key(string_t& value) override {
    keys_.push_back(std::move(value));
    return true;
  }
  bool end_object() override {
    merge_repeated_keys(stack_.back().as_object());
    return close();
  }
  bool end_array() override { return close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& e) override {
    std::string_view what = e.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."
    if (const size_t bracket = what.find("] "); bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
    error = fmt::format("byte {}: {}", position, what.substr(0, 300));
    std::replace(error.begin(), error.end(), '\n', ' ');
    return false;
  }

  Json root;
  std::string error;

 private:
  bool open(Json container) {
    if (stack_.size() >= max_depth_) {
      error = fmt::format("nested deeper than {} levels", max_depth_);
      return false;
    }
    stack_.push_back(std::move(container));
    return true;
  }
  bool close() {
    Json done = std::move(stack_.back());
    stack_.pop_back();
    return add(std::move(done));
  }
  bool add(Json value) {
    if (stack_.empty())
      root = std::move(value);
    else if (stack_.back().is_array())
      stack_.back().push_back(std::move(value));
    else {
      stack_.back().as_object().emplace_back(std::move(keys_.back()), std::move(value));
      keys_.pop_back();
    }
    return true;
  }
  static void merge_repeated_keys(Json::Object& members) {
    std::vector<size_t> order(members.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return members[a].first < members[b].first; });
    std::vector<bool> drop(members.size(), false);
    bool any = false;
    for (size_t i = 0; i + 1 < order.size();) {
      size_t last = i;
      while (last + 1 < order.size() && members[order[last + 1]].first == members[order[i]].first) ++last;
      if (last > i) {
        members[order[i]].second = std::move(members[order[last]].second);
        for (size_t k = i + 1; k <= last; ++k) drop[order[k]] = true;
        any = true;
      }
      i = last + 1;
    }
    if (!any) return;
    size_t kept = 0;
    for (size_t i = 0; i < members.size(); ++i) {
      if (drop[i]) continue;
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
    members.resize(kept);
  }

  size_t max_depth_;
  std::vector<Json> stack_;
  std::vector<std::string> keys_;
};

template <class T>
std::string to_text(T value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, end.ptr);
}

}  // namespace

Json::Json(int64_t value) : value_(Number{to_text(value)}) {}
Json::Json(uint64_t value) : value_(Number{to_text(value)}) {}
Json::Json(double value) {
  if (std::isfinite(value)) value_ = Number{to_text(value)};
}

Result<Json> Json::parse(std::string_view text, std::string_view where, Limits limits) {
  // The parser below takes a zero byte for the end of the text; no JSON text contains one.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos)
    return fail(Errc::malformed, "{}: not JSON: byte {}: a zero byte", where, zero + 1);
  Builder builder(limits.max_depth);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
    return fail(Errc::malformed, "{}: not JSON: {}", where, builder.error);
  return std::move(builder.root);
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
          out += c;
    }
  }
  out += '"';
}

void Json::dump_to(std::string& out, Spacing spacing) const {
  const std::string_view comma = spacing == Spacing::python ? ", " : ",";
  const std::string_view colon = spacing == Spacing::python ? ": " : ":";
  switch (kind()) {
    case Kind::null:
      out += "null";
      break;
    case Kind::boolean:
      out += as_bool() ? "true" : "false";
      break;
    case Kind::number:
      out += number_text();
      break;
    case Kind::string:
      append_json_string(out, as_string());
      break;
    case Kind::array: {
      out += '[';
      bool first = true;
      for (const Json& item : as_array()) {
        if (!std::exchange(first, false)) out += comma;
        item.dump_to(out, spacing);
      }
      out += ']';
      break;
    }
    case Kind::object: {
      out += '{';
      bool first = true;
      for (const auto& [key, value] : as_object()) {
        if (!std::exchange(first, false)) out += comma;
        append_json_string(out, key);
        out += colon;
        value.dump_to(out, spacing);
      }
      out += '}';
      break;
    }
  }
}

std::string Json::dump(Spacing spacing) const {
  std::string out;
  dump_to(out, spacing);
  return out;
}

void Json::dump_indented_to(std::string& out, int level) const {
  if (size() == 0) return dump_to(out, Spacing::python);
  const auto line = [&](int depth) {
    out += '\n';
    out.append(static_cast<size_t>(depth) * 2, ' ');
  };
  bool first = true;
  out += is_array() ? '[' : '{';
  if (is_array()) {
    for (const Json& item : as_array()) {
      if (!std::exchange(first, false)) out += ',';
      line(level + 1);
      item.dump_indented_to(out, level + 1);
    }
  } else {
    for (const auto& [key, value] : as_object()) {
      if (!std::exchange(first, false)) out += ',';
      line(level + 1);
      append_json_string(out, key);
      out += ": ";
      value.dump_indented_to(out, level + 1);
    }
  }
  line(level);
  out += is_array() ? ']' : '}';
}

std::string Json::dump_indented() const {
  std::string out;
  dump_indented_to(out, 0);
  return out;
}

bool Json::as_bool() const {
  QUERN_CHECK(is_bool(), kind_name());
  return std::get<bool>(value_);
}
const std::string& Json::as_string() const {
  QUERN_CHECK(is_string(), kind_name());
  return std::get<std::string>(value_);
}
const std::string& Json::number_text() const {
  QUERN_CHECK(is_number(), kind_name());
  return std::get<Number>(value_).text;
}
double Json::as_double() const {
  const std::string& text = number_text();
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status == std::errc::result_out_of_range) return std::strtod(text.c_str(), nullptr);  // to infinity or to zero, as C does
  return value;
}
const Json::Array& Json::as_array() const {
  QUERN_CHECK(is_array(), kind_name());
  return std::get<Array>(value_);
}
const Json::Object& Json::as_object() const {
  QUERN_CHECK(is_object(), kind_name());
  return std::get<Object>(value_);
}
Json::Array& Json::as_array() {
  QUERN_CHECK(is_array(), kind_name());
  return std::get<Array>(value_);
}
Json::Object& Json::as_object() {
  QUERN_CHECK(is_object(), kind_name());
  return std::get<Object>(value_);
}

Result<int64_t> Json::to_int64() const {
  if (!is_number()) return fail(Errc::malformed, "expected an integer, found {}", kind_name());
  const std::string& text = number_text();
  int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status == std::errc() && end == text.data() + text.size()) return value;
  const double wide = as_double();
  if (std::abs(wide) < 9007199254740992.0 && wide == std::trunc(wide)) return static_cast<int64_t>(wide);
  return fail(Errc::malformed, "expected a 64-bit integer, found {}", text.substr(0, 40));
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& [name, value] : as_object())
    if (name == key) return &value;
  return nullptr;
}
Json* Json::find(std::string_view key) { return const_cast<Json*>(std::as_const(*this).find(key)); }

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object{};
  if (Json* found = find(key)) return *found;
  return as_object().emplace_back(std::string(key), Json()).second;
}

void Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  as_array().push_back(std::move(value));
}

size_t Json::size() const {
  if (is_array()) return as_array().size();
  return is_object() ? as_object().size() : 0;
}

namespace {

// A number's value, exactly, however it is spelled: doubles would merge 2^53 and 2^53 + 1, or 0.1 and its neighbours.
struct Decimal {
  bool negative = false;
  std::string digits;    // without zeros at either end; empty for zero
  int64_t exponent = 0;  // of ten, times the digits read as an integer
  friend bool operator==(const Decimal&, const Decimal&) = default;

  static Decimal of(std::string_view text) {
    Decimal d;
    const size_t e = text.find_first_of("eE");
    if (e != std::string_view::npos) {
      std::string_view power = text.substr(e + 1);
      if (power.starts_with('+')) power.remove_prefix(1);
      if (std::from_chars(power.data(), power.data() + power.size(), d.exponent).ec != std::errc())
        d.exponent = std::numeric_limits<int32_t>::max();  // beyond any double
    }
    bool fraction = false;
    for (const char c : text.substr(0, e)) {
      if (c == '-') d.negative = true;
      if (c == '.') fraction = true;
      if (c < '0' || c > '9') continue;
      d.digits += c;
      d.exponent -= fraction ? 1 : 0;
    }
    const size_t last = d.digits.find_last_not_of('0');
    if (last == std::string::npos) return {};
    d.exponent += static_cast<int64_t>(d.digits.size() - last - 1);
    d.digits.resize(last + 1);
    d.digits.erase(0, d.digits.find_first_not_of('0'));
    return d;
  }
};

}  // namespace

bool operator==(const Json& a, const Json& b) {
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Json::Kind::null:
      return true;
    case Json::Kind::boolean:
      return a.as_bool() == b.as_bool();
    case Json::Kind::number:
      return a.number_text() == b.number_text() || Decimal::of(a.number_text()) == Decimal::of(b.number_text());
    case Json::Kind::string:
      return a.as_string() == b.as_string();
    case Json::Kind::array:
      return a.as_array() == b.as_array();
    case Json::Kind::object:
      if (a.size() != b.size()) return false;
      return std::all_of(a.as_object().begin(), a.as_object().end(), [&](const Json::Member& member) {
        const Json* other = b.find(member.first);
        return other && *other == member.second;
      });
  }
  return false;
}

std::string_view Json::kind_name(Kind kind) {
  constexpr std::string_view names[] = {"null", "boolean", "number", "string", "array", "object"};
  return names[static_cast<size_t>(kind)];
}

}  // namespace quern
