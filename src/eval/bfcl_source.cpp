#include "eval/bfcl_source.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace quern {
namespace {

using std::string_view;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

string_view stripped(string_view text, string_view of = " \t\n\v\f\r") {
  const size_t first = text.find_first_not_of(of);
  return first == string_view::npos ? string_view() : text.substr(first, text.find_last_not_of(of) + 1 - first);
}

bool is_between(string_view text, char open, char close) { return text.starts_with(open) && text.ends_with(close); }

// Without its first and its last character.
string_view inner(string_view text) { return text.size() < 2 ? string_view() : text.substr(1, text.size() - 2); }

std::vector<string_view> cut_at_commas(string_view text) {
  std::vector<string_view> parts;
  for (;;) {
    const size_t comma = text.find(',');
    parts.push_back(stripped(text.substr(0, comma)));
    if (comma == string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

// Goes along a text; what does not fit leaves it where it was.
struct Cursor {
  string_view text;
  size_t at = 0;

  bool take(string_view what) {
    if (!text.substr(at).starts_with(what)) return false;
    at += what.size();
    return true;
  }
  size_t spaces() {
    const size_t begin = at;
    while (at < text.size() && is_space(text[at])) ++at;
    return at - begin;
  }
  void word() {
    while (at < text.size() && is_word(text[at])) ++at;
  }
  // Behind the next `mark`; what lay before it, which has to be on this line unless one_line is false.
  std::optional<string_view> up_to(string_view mark, bool one_line = true) {
    const size_t end = text.find(mark, at);
    if (end == string_view::npos) return std::nullopt;
    const string_view before = text.substr(at, end - at);
    if (one_line && before.find('\n') != string_view::npos) return std::nullopt;
    at = end + mark.size();
    return before;
  }
};

// --- numbers ----------------------------------------------------------------------------------------------------------------------------

// How long the number at the beginning is: digits, and where allowed a fraction and an exponent; 0: none.
size_t number_length(string_view text, bool fraction, bool exponent) {
  const auto digits = [&](size_t from) {
    size_t end = from;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    return end;
  };
  const size_t begin = text.starts_with('-') ? 1 : 0;
  size_t end = digits(begin);
  if (end == begin) return 0;
  if (fraction && end < text.size() && text[end] == '.' && digits(end + 1) > end + 1) end = digits(end + 1);
  if (exponent && end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    const size_t sign = end + 1 < text.size() && (text[end + 1] == '+' || text[end + 1] == '-') ? end + 2 : end + 1;
    if (digits(sign) > sign) end = digits(sign);
  }
  return end;
}

// Without the zeros in front that JSON does not have.
std::string json_digits(string_view text) {
  std::string out = text.starts_with('-') ? "-" : "";
  text.remove_prefix(out.size());
  while (text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9') text.remove_prefix(1);
  return out + std::string(text);
}

Json real(string_view text) {
  std::string digits = json_digits(text);
  if (digits.find_first_of(".eE") == std::string::npos) digits += ".0";
  return Json::number_literal(digits);
}

// The whole text is such a number, followed by one of the letters of `suffix` where there are any.
std::optional<Json> number(string_view text, bool is_real, bool exponent, string_view suffix) {
  if (text.ends_with('\n')) text.remove_suffix(1);  // behind which their patterns end, too
  if (!suffix.empty()) {
    if (text.empty() || suffix.find(text.back()) == string_view::npos) return std::nullopt;
    text.remove_suffix(1);
  }
  if (text.empty() || number_length(text, is_real, exponent) != text.size()) return std::nullopt;
  return is_real ? real(text) : Json::number_literal(json_digits(text));
}

std::optional<Json> truth(string_view text) {
  return text == "true" ? std::optional<Json>(true) : text == "false" ? std::optional<Json>(false) : std::nullopt;
}

// A number of no known type: as Python reads one.
Json untyped_number(string_view text) {
  if (const auto whole = number(text, false, false, "")) return *whole;
  if (const auto other = number(text, true, true, "")) return *other;
  return text;
}

// --- Java -------------------------------------------------------------------------------------------------------------------------------

Json java_value(string_view text, string_view type, string_view nested);

// An element whose type is not known.
Json java_element(string_view text) {
  if (const auto yes = truth(text)) return *yes;
  if (is_between(text, '"', '"')) return inner(text);
  if (const auto whole = number(text, false, false, "lL")) return *whole;
  if (const auto other = number(text, true, true, "fF")) return *other;
  return untyped_number(text);
}

// `new NAME`, wherever it begins; calls rest with a cursor behind it until that fits.
template <class Rest>
std::optional<Json> find_new(string_view text, string_view name, Rest rest) {
  for (size_t at = text.find("new"); at != string_view::npos; at = text.find("new", at + 1)) {
    Cursor cursor{text, at + 3};
    if (cursor.spaces() == 0 || !cursor.take(name)) continue;
    if (std::optional<Json> value = rest(cursor)) return value;
  }
  return std::nullopt;
}

// "<WORD>()" or "<WORD>("
bool takes_generic(Cursor& cursor, string_view then) {
  if (!cursor.take("<")) return false;
  cursor.word();
  return cursor.take(">") && cursor.take(then);
}

Json java_item(string_view text, string_view nested) {
  if (nested == "char" || nested == "String") return inner(text);  // without their quotes
  return nested.empty() ? java_element(text) : java_value(text, nested, "");
}

Json java_array_list(string_view text, string_view nested) {
  const auto as_list = find_new(text, "ArrayList", [&](Cursor cursor) -> std::optional<Json> {
    if (!takes_generic(cursor, "(Arrays.asList(") || cursor.at >= text.size()) return std::nullopt;
    Cursor ahead{text, cursor.at + 1};  // one character at least
    if (!ahead.up_to("))")) return std::nullopt;
    Json list = Json::array();
    for (const string_view one : cut_at_commas(text.substr(cursor.at, ahead.at - 2 - cursor.at)))
      list.push_back(java_item(one, nested));
    return list;
  });
  if (as_list) return *as_list;
  const auto added = find_new(text, "ArrayList", [&](Cursor cursor) -> std::optional<Json> {
    if (!takes_generic(cursor, "()")) return std::nullopt;
    cursor.spaces();
    if (!cursor.take("{{")) return std::nullopt;
    const auto calls = cursor.up_to("}}", false);
    if (!calls || stripped(*calls).empty()) return std::nullopt;
    Json list = Json::array();
    Cursor call{*calls};
    while (call.up_to("add(", false)) {
      const auto one = call.up_to(")");
      if (!one) break;
      list.push_back(java_item(stripped(*one), nested));
    }
    return list;
  });
  if (added) return *added;
  const auto empty = find_new(
      text, "ArrayList", [&](Cursor cursor) { return takes_generic(cursor, "()") ? std::optional(Json::array()) : std::nullopt; });
  return empty ? *empty : Json(text);
}

Json java_array(string_view text, string_view nested) {
  const auto found = find_new(text, "", [&](Cursor cursor) -> std::optional<Json> {
    const size_t name = cursor.at;
    cursor.word();
    if (cursor.at == name || !cursor.take("[]")) return std::nullopt;
    cursor.spaces();
    if (!cursor.take("{")) return std::nullopt;
    const auto elements = cursor.up_to("}");
    if (!elements) return std::nullopt;
    Json list = Json::array();
    for (const string_view one : cut_at_commas(*elements))
      if (!one.empty()) list.push_back(nested.empty() ? java_element(one) : java_value(one, nested, ""));
    return list;
  });
  return found ? *found : Json(text);
}

Json java_puts(string_view text) {
  Json map = Json::object();
  Cursor cursor{text};
  while (cursor.up_to("put(\"", false)) {
    const auto key = cursor.up_to("\",");
    if (!key) break;
    cursor.spaces();
    const auto value = cursor.up_to(")");
    if (!value) break;
    map[*key] = java_element(stripped(*value));
  }
  return map;
}

Json java_map(string_view text) {
  // Behind some '>' that "()" follows; with_body: and then the puts between braces.
  const auto read = [&](bool with_body) {
    return find_new(text, "HashMap<", [&](Cursor cursor) -> std::optional<Json> {
      while (cursor.up_to(">", !with_body)) {
        Cursor behind = cursor;
        behind.spaces();
        if (!behind.take("()")) continue;
        if (!with_body) return Json::object();
        behind.spaces();
        if (!behind.take("{")) continue;
        behind.spaces();
        behind.take("{");
        if (const auto body = behind.up_to("}", false)) return java_puts(*body);
      }
      return std::nullopt;
    });
  };
  if (const auto filled = read(true)) return *filled;
  const auto empty = read(false);
  return empty ? *empty : Json(text);
}

Json java_value(string_view text, string_view type, string_view nested) {
  std::optional<Json> value;
  if (type == "byte" || type == "short" || type == "integer") value = number(text, false, false, "");
  if (type == "float") value = number(text, true, true, "fF");
  if (type == "double") value = number(text, true, true, "");
  if (type == "long") value = number(text, false, false, "lL");
  if (type == "boolean") value = truth(text);
  if (type == "Array") value = java_array(text, nested);
  if (type == "ArrayList") value = java_array_list(text, nested);
  if (type == "HashMap") value = java_map(text);
  return value ? *value : Json(text);
}

// --- JavaScript -------------------------------------------------------------------------------------------------------------------------

Json javascript_value(string_view text, string_view type, string_view nested);

bool is_quoted(string_view text) { return is_between(text, '"', '"') || is_between(text, '\'', '\''); }

Json javascript_element(string_view text) {
  text = stripped(text);
  if (const auto yes = truth(text)) return *yes;
  return is_quoted(text) ? Json(inner(text)) : untyped_number(text);
}

// "[" or "new Array(", and what closes it; 0: neither.
char takes_list_begin(Cursor& cursor) {
  if (cursor.take("[")) return ']';
  Cursor made = cursor;
  if (!made.take("new") || made.spaces() == 0 || !made.take("Array(")) return 0;
  cursor = made;
  return ')';
}

// A list of lists of simple elements.
std::optional<Json> javascript_lists(string_view text) {
  Cursor cursor{text};
  const char close = takes_list_begin(cursor);
  if (close == 0) return std::nullopt;
  cursor.spaces();
  if (!cursor.take("[")) return std::nullopt;
  const size_t first = cursor.at;
  for (;;) {  // to where an inner list ends and the outer one does
    if (!cursor.up_to("]")) return std::nullopt;
    Cursor behind = cursor;
    behind.spaces();
    if (behind.take(string_view(&close, 1))) break;
  }
  Json lists = Json::array();
  Cursor inside{text.substr(0, cursor.at), first};
  do {
    const auto one = inside.up_to("]");
    if (!one) break;
    Json list = Json::array();
    for (const string_view element : cut_at_commas(stripped(*one))) list.push_back(javascript_element(element));
    lists.push_back(std::move(list));
  } while (inside.up_to("["));
  return lists;
}

Json javascript_list(string_view code, string_view nested) {
  const string_view text = stripped(code);
  if (auto lists = javascript_lists(text)) return std::move(*lists);
  Cursor cursor{text};
  const char close = takes_list_begin(cursor);
  const auto content = close == 0 ? std::nullopt : cursor.up_to(string_view(&close, 1));
  if (!content) return text;
  Json list = Json::array();
  if (stripped(*content).empty()) return list;
  for (const string_view one : cut_at_commas(*content))
    list.push_back(nested.empty() ? javascript_element(one) : javascript_value(one, nested, ""));
  return list;
}

// Where the value that begins at `from` ends: at a comma behind which another key comes, or the end of the text.
size_t value_end(string_view text, size_t from) {
  for (size_t comma = text.find(',', from); comma != string_view::npos; comma = text.find(',', comma + 1)) {
    const string_view next = text.substr(comma + 1, text.find(',', comma + 1) - comma - 1);
    if (const size_t colon = next.find(':', 1); colon != string_view::npos) return comma;
  }
  return text.size();
}

Json javascript_object(string_view code) {
  const string_view text = stripped(code);
  if (text == "{}") return Json::object();
  Cursor cursor{text};
  const auto content = cursor.take("{") ? cursor.up_to("}") : std::nullopt;
  if (!content) return text;
  Json object = Json::object();
  for (size_t at = 0; at < content->size();) {
    const size_t colon = content->find(':', at + 1);
    if (colon == string_view::npos) break;
    const string_view key = stripped(stripped(content->substr(at, colon - at)), "'\"");
    const size_t end = value_end(*content, colon + 1);
    const string_view value = stripped(content->substr(colon + 1, end - colon - 1));
    object[key] = is_between(value, '[', ']')   ? javascript_list(value, "")
                  : is_between(value, '{', '}') ? javascript_object(value)
                                                : javascript_element(stripped(value, "'\""));
    at = end + 1;
  }
  return object;
}

Json javascript_value(string_view text, string_view type, string_view nested) {
  std::optional<Json> value;
  if (type == "String" && is_quoted(text)) value = inner(text);
  if (type == "integer") value = number(text, false, false, "");
  if (type == "float") value = number(text, true, false, "");
  if (type == "Bigint") value = number(text, false, false, "n");
  if (type == "Boolean") value = truth(text);
  if (type == "dict") value = javascript_object(text);
  if (type == "array") value = javascript_list(text, nested);
  return value ? *value : Json(text);
}

}  // namespace

Json bfcl_source_value(BfclLanguage language, string_view text, string_view type, string_view nested) {
  if (language == BfclLanguage::java) return java_value(text, type, nested);
  if (language == BfclLanguage::javascript) return javascript_value(text, type, nested);
  return text;
}

}  // namespace quern
