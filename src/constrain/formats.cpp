#include "constrain/formats.h"

#include <memory>
#include <string>

#include "base/check.h"
#include "constrain/regex.h"

namespace quern {
namespace {

ExprId whole(Exprs& exprs, const std::string& pattern) {
  const auto language = parse_regex(exprs, pattern, RegexSemantics::whole);
  QUERN_CHECK(language || exprs.exhausted(), pattern);
  return language.value_or(Exprs::kNothing);
}
std::string group(const std::string& pattern) { return "(?:" + pattern + ")"; }

// ---- dates and times: RFC 3339

// Years 0000 to 9999 in the Gregorian calendar.
ExprId date(Exprs& exprs) {
  return whole(exprs, R"(\d{4}-(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01]))"
                      R"(|\d{4}-(?:0[469]|11)-(?:0[1-9]|[12]\d|30))"
                      R"(|\d{4}-02-(?:0[1-9]|1\d|2[0-8]))"
                      R"(|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)");
}

// HH:MM:60, a fraction, and the offset that makes it 23:59:60 in UTC. Every local time has one offset east and one west of Greenwich.
class LeapSecond : public Automaton {
 public:
  // A state is a place in the text and what was read: the hour's tens, the hour, the hour and the minute's tens, the minute of the day.
  enum Place : int64_t {
    hour = 0,
    hour_ones,
    colon,
    minute,
    minute_ones,
    second_colon,
    six,
    zero,
    after_seconds,
    fraction,
    in_fraction,
    east = 16,  // to east + 5: that many characters of the offset after '+'
    west = 24,  // the same after '-'
    end = 31
  };
  static constexpr int64_t kPlaces = 32, kOffsetLength = 5;

  bool accepts(State state) const override {
    const int64_t place = state % kPlaces;
    return place == end || place == east + kOffsetLength || place == west + kOffsetLength;
  }

  void edges(State state, std::vector<Edge>& out) const override {
    const int64_t place = state % kPlaces, read = state / kPlaces;
    const auto go = [&out](char32_t c, int64_t to, int64_t value) { out.push_back({{c, c}, to + kPlaces * value}); };
    const auto digits = [&](int64_t from, int64_t count, int64_t to, int64_t scale) {
      for (int64_t d = 0; d < count; ++d) go(static_cast<char32_t>('0' + d), to, from * scale + d);
    };
    switch (place) {
      case hour:
        return digits(0, 3, hour_ones, 1);
      case hour_ones:
        return digits(read, read == 2 ? 4 : 10, colon, 10);
      case colon:
        return go(':', minute, read);
      case minute:
        return digits(read, 6, minute_ones, 6);
      case minute_ones:
        return digits(read, 10, second_colon, 10);
      case second_colon:
        return go(':', six, read);
      case six:
        return go('6', zero, read);
      case zero:
        return go('0', after_seconds, read);
      case after_seconds:
      case in_fraction:
        go('+', east, read);
        go('-', west, read);
        if (place == after_seconds) go('.', fraction, read);
        if (place == in_fraction) out.push_back({{'0', '9'}, state});
        if (read == kLastMinute) go('Z', end, 0), go('z', end, 0);
        return;
      case fraction:
        out.push_back({{'0', '9'}, in_fraction + kPlaces * read});
        return;
      default:
        break;
    }
    if (place == end) return;
    const bool is_east = place < west;
    const int64_t at = place - (is_east ? east : west);
    if (at == kOffsetLength) return;
    const int64_t offset = is_east ? (read + kMinutes - kLastMinute) % kMinutes : kLastMinute - read;
    const int64_t h = offset / 60, m = offset % 60;
    const int64_t text[kOffsetLength] = {'0' + h / 10, '0' + h % 10, ':', '0' + m / 10, '0' + m % 10};
    go(static_cast<char32_t>(text[at]), place + 1, at + 1 == kOffsetLength ? 0 : read);
  }

 private:
  static constexpr int64_t kMinutes = 24 * 60, kLastMinute = kMinutes - 1;
};

ExprId time(Exprs& exprs) {
  const ExprId without_leap = whole(exprs, R"((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d))");
  return exprs.any_of(without_leap, exprs.automaton(std::make_shared<LeapSecond>(), LeapSecond::hour));
}

// A leap second may stand on any day: which ones had one is no matter of grammar.
ExprId date_time(Exprs& exprs) { return exprs.concat({date(exprs), whole(exprs, "[Tt]"), time(exprs)}); }

ExprId duration(Exprs& exprs) {  // appendix A: units do not skip one another
  const std::string of_day = R"(T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))";
  const std::string of_days = R"((?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D))";
  return whole(exprs, "P" + group(of_days + group(of_day) + "?|" + of_day + R"(|\d+W)"));
}

// ---- addresses

const std::string kIpv4 = R"((?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))";

std::string ipv6_pattern() {  // RFC 3986's spelling of RFC 4291
  const std::string group16 = "[0-9A-Fa-f]{1,4}";
  const std::string last32 = group(group16 + ":" + group16 + "|" + kIpv4);
  std::string pattern = group(group16 + ":") + "{6}" + last32;
  for (int right = 5; right >= -1; --right) {  // groups of 16 bits between "::" and last32; -1: one group, no last32
    const int max_left = right >= 0 ? 5 - right : 6;
    if (max_left == 0)
      pattern += "|::";
    else
      pattern += "|" + group(group(group16 + ":") + "{0," + std::to_string(max_left - 1) + "}" + group16) + "?::";
    pattern += right >= 0 ? group(group16 + ":") + "{" + std::to_string(right) + "}" + last32 : group16;
  }
  pattern += "|" + group(group(group16 + ":") + "{0,6}" + group16) + "?::";
  return pattern;
}

// Labels of letters, digits and inner hyphens (RFC 1123), each at most 63 characters long.
const std::string kLabel = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";

// Without labels that start with xn--: their rest is Punycode of a text under the rules of IDNA, which no regular language knows.
ExprId hostname(Exprs& exprs) {
  constexpr int64_t kMaxLength = 253;  // RFC 1035's 255 octets, less the first length and the root
  // Taken out label by label: an emptiness test over whole names would have to go through all their lengths.
  const ExprId label = exprs.without(whole(exprs, kLabel), exprs.concat(whole(exprs, "[Xx][Nn]--"), Exprs::kAll));
  const ExprId names = exprs.concat(label, exprs.star(exprs.concat(exprs.literal("."), label)));
  return exprs.both(names, exprs.length(1, kMaxLength));
}

// RFC 5321's Mailbox, in printable ASCII. Of address literals IPv4 and IPv6, as no other tag is registered.
ExprId email(Exprs& exprs) {
  constexpr int64_t kMaxLocalPart = 64, kMaxDomain = 255;
  const std::string atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
  const std::string quoted = R"re("(?:[ !#-\[\]-~]|\\[ -~])*")re";
  const ExprId local = exprs.both(whole(exprs, atom + group(R"(\.)" + atom) + "*|" + quoted), exprs.length(1, kMaxLocalPart));
  const ExprId domain = exprs.both(whole(exprs, kLabel + group(R"(\.)" + kLabel) + "*"), exprs.length(1, kMaxDomain));
  const ExprId literal = whole(exprs, R"(\[)" + group(kIpv4 + "|[Ii][Pp][Vv]6:" + group(ipv6_pattern())) + R"(\])");
  return exprs.concat({local, exprs.literal("@"), exprs.any_of(domain, literal)});
}

// ---- RFC 3986 and RFC 3987

enum class Alphabet { ascii, unicode };
enum class Form { absolute, reference };

const std::string kUcsChars =
    R"(\u{A0}-\u{D7FF}\u{F900}-\u{FDCF}\u{FDF0}-\u{FFEF}\u{10000}-\u{1FFFD}\u{20000}-\u{2FFFD}\u{30000}-\u{3FFFD}\u{40000}-\u{4FFFD})"
    R"(\u{50000}-\u{5FFFD}\u{60000}-\u{6FFFD}\u{70000}-\u{7FFFD}\u{80000}-\u{8FFFD}\u{90000}-\u{9FFFD}\u{A0000}-\u{AFFFD})"
    R"(\u{B0000}-\u{BFFFD}\u{C0000}-\u{CFFFD}\u{D0000}-\u{DFFFD}\u{E1000}-\u{EFFFD})";
const std::string kPrivateChars = R"(\u{E000}-\u{F8FF}\u{F0000}-\u{FFFFD}\u{100000}-\u{10FFFD})";

ExprId uri(Exprs& exprs, Alphabet alphabet, Form form) {
  const std::string escaped = "%[0-9A-Fa-f]{2}";
  const std::string unreserved = "A-Za-z0-9._~" + (alphabet == Alphabet::unicode ? kUcsChars : "");  // in a class, as the next two
  const std::string private_chars = alphabet == Alphabet::unicode ? kPrivateChars : "";
  const std::string delimiters = "!$&'()*+,;=";
  const auto any = [&](const std::string& more) { return group("[" + unreserved + delimiters + more + "-]|" + escaped); };
  const std::string path_char = any(":@");

  const std::string future = R"([Vv][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+)";
  const std::string host = group(R"(\[)" + group(ipv6_pattern() + "|" + future) + R"(\]|)" + any("") + "*");
  const std::string authority = group(any(":") + "*@") + "?" + host + "(?::[0-9]*)?";
  const std::string segments = "(?:/" + path_char + "*)*";
  const std::string absolute_path = "/(?:" + path_char + "+" + segments + ")?";
  const std::string ending = "(?:\\?" + any(":@/?" + private_chars) + "*)?(?:#" + any(":@/?") + "*)?";

  const std::string with_scheme =
      "[A-Za-z][A-Za-z0-9+.-]*:" +
      group("//" + authority + segments + "|" + absolute_path + "|" + path_char + "+" + segments + "|") + ending;
  if (form == Form::absolute) return whole(exprs, with_scheme);
  const std::string relative =
      group("//" + authority + segments + "|" + absolute_path + "|" + any("@") + "+" + segments + "|") + ending;
  return whole(exprs, with_scheme + "|" + relative);
}

// RFC 6570, levels 1 to 4; not the operators it reserves for later. The apostrophe is a literal by its erratum.
ExprId uri_template(Exprs& exprs) {
  const std::string escaped = "%[0-9A-Fa-f]{2}";
  const std::string literal = R"([!#$&'-;=?-\[\]_a-z~)" + kUcsChars + kPrivateChars + "]|" + escaped;
  const std::string name_char = group("[A-Za-z0-9_]|" + escaped);
  const std::string variable = name_char + group(R"(\.?)" + name_char) + "*" + R"((?::[1-9][0-9]{0,3}|\*)?)";
  return whole(exprs, group(literal + R"(|\{[+#./;?&]?)" + variable + group("," + variable) + R"(*\})") + "*");
}

// ---- JSON pointers: RFC 6901, and its relative form without the index arithmetic of later drafts

const std::string kPointer = "(?:/(?:[^~/]|~[01])*)*";

struct Entry {
  std::string_view name;
  ExprId (*language)(Exprs&);  // nullptr: refused
};

constexpr Entry kFormats[] = {
    {"date", date},
    {"time", time},
    {"date-time", date_time},
    {"duration", duration},
    {"uuid", [](Exprs& e) { return whole(e, "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"); }},
    {"ipv4", [](Exprs& e) { return whole(e, kIpv4); }},
    {"ipv6", [](Exprs& e) { return whole(e, ipv6_pattern()); }},
    {"hostname", hostname},
    {"email", email},
    {"uri", [](Exprs& e) { return uri(e, Alphabet::ascii, Form::absolute); }},
    {"uri-reference", [](Exprs& e) { return uri(e, Alphabet::ascii, Form::reference); }},
    {"iri", [](Exprs& e) { return uri(e, Alphabet::unicode, Form::absolute); }},
    {"iri-reference", [](Exprs& e) { return uri(e, Alphabet::unicode, Form::reference); }},
    {"uri-template", uri_template},
    {"json-pointer", [](Exprs& e) { return whole(e, kPointer); }},
    {"relative-json-pointer", [](Exprs& e) { return whole(e, "(?:0|[1-9][0-9]*)(?:#|" + kPointer + ")"); }},
    {"regex", nullptr},         // balanced brackets
    {"idn-hostname", nullptr},  // IDNA's rules for labels, and lengths after Punycode
    {"idn-email", nullptr},     // its domain is one of those
};

const Entry* find(std::string_view name) {
  for (const Entry& entry : kFormats)
    if (entry.name == name) return &entry;
  return nullptr;
}

}  // namespace

FormatKind format_kind(std::string_view name) {
  const Entry* entry = find(name);
  return entry == nullptr ? FormatKind::annotation : entry->language == nullptr ? FormatKind::refused : FormatKind::enforced;
}

std::optional<ExprId> format_language(Exprs& exprs, std::string_view name) {
  const Entry* entry = find(name);
  if (entry == nullptr || entry->language == nullptr) return std::nullopt;
  return entry->language(exprs);
}

}  // namespace quern
