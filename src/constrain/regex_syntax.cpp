#include "constrain/regex_syntax.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "constrain/unicode_class.h"

namespace quern {
namespace {

constexpr size_t kMaxPatternBytes = 65'536;
constexpr int kMaxNesting = 200;
constexpr int64_t kMaxCount = 65'535;
constexpr int kMaxBranching = 2'000;  // quantifiers and groups: a derivative may have to look at the square of them

constexpr int64_t kUnbounded = Exprs::kUnbounded;

// ---- character classes

const CharSet& digits() {
  static const CharSet set({{'0', '9'}});
  return set;
}
const CharSet& white_space() {  // ECMA-262 WhiteSpace and LineTerminator: Unicode's, less NEL, and the byte order mark
  static const CharSet set = (unicode_white_space() & CharSet::one(0x85).complement()) | CharSet::one(0xFEFF);
  return set;
}
const CharSet& line_terminators() {
  static const CharSet set({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}});
  return set;
}
const CharSet& surrogates() {
  static const CharSet set({{0xD800, 0xDFFF}});
  return set;
}

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_high_surrogate(char32_t c) { return c >= 0xD800 && c <= 0xDBFF; }
bool is_low_surrogate(char32_t c) { return c >= 0xDC00 && c <= 0xDFFF; }
int hex_value(char32_t c) {
  if (is_digit(c)) return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A') + 10;
  return -1;
}
void include(RegexNode::Assertions& in, const RegexNode::Assertions& of) {
  in.start |= of.start, in.end |= of.end, in.boundary |= of.boundary, in.look |= of.look;
}

class Parser {
 public:
  Parser(std::u32string pattern, std::vector<RegexNode>& nodes) : pattern_(std::move(pattern)), nodes_(nodes) {}

  Result<RegexNode::Id> parse() {
    QUERN_ASSIGN(const RegexNode::Id root, choice(0));
    if (!at_end()) return fail(Errc::malformed, "')' without '(' at character {}", at_);
    return root;
  }

 private:
  struct Flags {
    bool ignore_case = false, dot_all = false;
  };

  bool at_end() const { return at_ == pattern_.size(); }
  char32_t peek(size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : U'\0'; }
  bool looking_at(std::u32string_view text) const { return std::u32string_view(pattern_).substr(at_).starts_with(text); }
  bool take(std::u32string_view text) {
    if (!looking_at(text)) return false;
    at_ += text.size();
    return true;
  }

  RegexNode::Id add(RegexNode node) {
    for (const RegexNode::Id child : node.children) include(node.holds, nodes_[static_cast<size_t>(child)].holds);
    nodes_.push_back(std::move(node));
    return static_cast<RegexNode::Id>(nodes_.size()) - 1;
  }
  RegexNode::Id add_set(CharSet set) { return add({.kind = RegexNode::Kind::set, .set = std::move(set)}); }
  CharSet folded(const CharSet& set) const { return flags_.ignore_case ? with_other_cases(set) : set; }

  Result<RegexNode::Id> choice(int depth) {
    if (depth > kMaxNesting) return fail(Errc::out_of_range, "nested deeper than {} levels", kMaxNesting);
    std::vector<RegexNode::Id> branches;
    do {
      QUERN_ASSIGN(const RegexNode::Id branch, sequence(depth));
      branches.push_back(branch);
    } while (take(U"|"));
    if (branches.size() == 1) return branches[0];
    return add({.kind = RegexNode::Kind::choice, .children = std::move(branches)});
  }

  Result<RegexNode::Id> sequence(int depth) {
    std::vector<RegexNode::Id> parts;
    while (!at_end() && peek() != '|' && peek() != ')') {
      QUERN_ASSIGN(RegexNode::Id part, term(depth));
      for (; !parts.empty() && is_guard(parts.back(), part); parts.pop_back()) part = guarded(parts.back(), part);
      parts.push_back(part);
    }
    if (parts.size() == 1) return parts[0];
    return add({.kind = RegexNode::Kind::sequence, .children = std::move(parts)});
  }

  // (?!a)[a-z]: a lookahead for one character before a character is a smaller class, and may then stand in any repetition.
  bool is_guard(RegexNode::Id before, RegexNode::Id part) const {
    const RegexNode& look = nodes_[static_cast<size_t>(before)];
    if (look.kind != RegexNode::Kind::ahead && look.kind != RegexNode::Kind::not_ahead) return false;
    return nodes_[static_cast<size_t>(look.children[0])].kind == RegexNode::Kind::set &&
           nodes_[static_cast<size_t>(part)].kind == RegexNode::Kind::set;
  }
  RegexNode::Id guarded(RegexNode::Id before, RegexNode::Id part) {
    const RegexNode& look = nodes_[static_cast<size_t>(before)];
    const CharSet& seen = nodes_[static_cast<size_t>(look.children[0])].set;
    const CharSet& read = nodes_[static_cast<size_t>(part)].set;
    return add_set(read & (look.kind == RegexNode::Kind::ahead ? seen : seen.complement()));
  }

  Result<RegexNode::Id> term(int depth) {
    using Kind = RegexNode::Kind;
    if (take(U"^")) return not_quantified(add({.kind = Kind::start, .holds = {.start = true}}));
    if (take(U"$")) return not_quantified(add({.kind = Kind::end, .holds = {.end = true}}));
    if (take(U"\\b")) return not_quantified(add({.kind = Kind::boundary, .holds = {.boundary = true}}));
    if (take(U"\\B")) return not_quantified(add({.kind = Kind::no_boundary, .holds = {.boundary = true}}));
    QUERN_ASSIGN(const RegexNode::Id item, atom(depth));
    QUERN_ASSIGN(const auto counts, quantifier());
    if (!counts) return item;
    if (++branching_ > kMaxBranching) return fail(Errc::out_of_range, "more than {} quantifiers and groups", kMaxBranching);
    QUERN_ASSIGN(const auto second, quantifier());
    if (second) return fail(Errc::malformed, "two quantifiers in a row before character {}", at_);
    return add({.kind = Kind::repeat, .children = {item}, .min = counts->first, .max = counts->second});
  }

  Result<RegexNode::Id> not_quantified(RegexNode::Id assertion) {
    QUERN_ASSIGN(const auto counts, quantifier());
    if (counts) return fail(Errc::malformed, "a quantifier with nothing to repeat before character {}", at_);
    return assertion;
  }

  // Takes one quantifier with its lazy mark, if one is next. A '{' that starts none stays, to be read as itself.
  Result<std::optional<std::pair<int64_t, int64_t>>> quantifier() {
    using Counts = std::pair<int64_t, int64_t>;
    std::optional<Counts> counts;
    if (take(U"*"))
      counts = Counts{0, kUnbounded};
    else if (take(U"+"))
      counts = Counts{1, kUnbounded};
    else if (take(U"?"))
      counts = Counts{0, 1};
    else if (peek() == '{') {
      const size_t before = at_++;
      const std::optional<int64_t> min = number();
      if (!min) {
        const bool is_python = take(U",") && number() && take(U"}");
        at_ = before;
        if (is_python) return fail(Errc::unsupported, "'{{,n}}' is text to ECMA-262 and a quantifier to Python: write '{{0,n}}'");
        return counts;
      }
      counts = Counts{*min, *min};
      if (take(U",")) counts->second = peek() == '}' ? kUnbounded : number().value_or(-2);
      if (counts->second < kUnbounded || !take(U"}")) {
        at_ = before;
        return std::optional<Counts>{};
      }
      if (counts->first > kMaxCount || counts->second > kMaxCount)
        return fail(Errc::out_of_range, "repeated more than {} times", kMaxCount);
      if (counts->second != kUnbounded && counts->second < counts->first)
        return fail(Errc::malformed, "counts out of order in '{{{},{}}}'", counts->first, counts->second);
    }
    if (counts) take(U"?");
    return counts;
  }

  std::optional<int64_t> number() {
    if (!is_digit(peek())) return std::nullopt;
    int64_t n = 0;
    for (; is_digit(peek()); ++at_) n = std::min<int64_t>(n * 10 + static_cast<int64_t>(peek() - '0'), kMaxCount + 1);
    return n;
  }

  Result<RegexNode::Id> atom(int depth) {
    const char32_t c = peek();
    if (c == '(') return group(depth);
    if (c == '[') return char_class();
    if (c == '\\') {
      ++at_;
      QUERN_ASSIGN(const CharSet set, escape(Inside::pattern));
      return add_set(set);
    }
    if (c == '.') {
      ++at_;
      return add_set(flags_.dot_all ? CharSet::all() : line_terminators().complement());
    }
    const size_t before = at_;
    QUERN_ASSIGN(const auto counts, quantifier());
    if (counts) return fail(Errc::malformed, "a quantifier with nothing to repeat at character {}", before);
    ++at_;
    return add_set(folded(CharSet::one(c)));
  }

  Result<RegexNode::Id> group(int depth) {
    using Kind = RegexNode::Kind;
    const size_t opened = at_++;
    if (++branching_ > kMaxBranching) return fail(Errc::out_of_range, "more than {} quantifiers and groups", kMaxBranching);
    const Flags outside = flags_;
    std::optional<Kind> assertion;
    if (take(U"?")) {
      if (take(U":")) {
      } else if (take(U"=")) {
        assertion = Kind::ahead;
      } else if (take(U"!")) {
        assertion = Kind::not_ahead;
      } else if (looking_at(U"<=") || looking_at(U"<!")) {
        return fail(Errc::unsupported, "lookbehind '(?{}{}'", '<', static_cast<char>(peek(1)));
      } else if (looking_at(U"P=")) {
        return fail(Errc::unsupported, "backreference '(?P=…)'");
      } else if (take(U"<") || take(U"P<")) {
        const size_t name = at_;
        while (!at_end() && (is_letter(peek()) || is_digit(peek()) || peek() == '_' || peek() == '$' || peek() >= 0x80)) ++at_;
        if (at_ == name || is_digit(pattern_[name]) || !take(U">"))
          return fail(Errc::malformed, "the name of the group at character {} is not a name", opened);
      } else {
        bool off = false;
        for (; is_letter(peek()) || (peek() == '-' && !off); ++at_) {
          if (peek() == '-')
            off = true;
          else if (peek() == 'i')
            flags_.ignore_case = !off;
          else if (peek() == 's')
            flags_.dot_all = !off;
          else
            return fail(Errc::unsupported, "the inline flag '{}'", static_cast<char>(peek()));
        }
        if (opened == 0 && at_ > 2 && !off && take(U")")) return add({.kind = Kind::sequence});  // (?i) holds to the end
        if (!take(U":")) return fail(Errc::unsupported, "the group '(?' at character {}", opened);
      }
    }
    QUERN_ASSIGN(RegexNode::Id inside, choice(depth + 1));
    if (!take(U")")) return fail(Errc::malformed, "the group at character {} is not closed", opened);
    flags_ = outside;
    if (assertion) inside = add({.kind = *assertion, .children = {inside}, .holds = {.look = true}});
    return inside;
  }

  // ---- escapes and classes

  enum class Inside { pattern, char_class };

  // After the backslash.
  Result<CharSet> escape(Inside inside) {
    if (at_end()) return fail(Errc::malformed, "a backslash at the end");
    const char32_t c = pattern_[at_++];
    const auto negated = [this](const CharSet& set) { return folded(set).complement(); };
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return digits().complement();
      case 'w':
        return folded(regex_word_chars());
      case 'W':
        return negated(regex_word_chars());
      case 's':
        return white_space();
      case 'S':
        return white_space().complement();
      case 'p':
      case 'P': {
        const size_t close = pattern_.find(U'}', at_);
        if (!take(U"{") || close == std::u32string::npos)
          return fail(Errc::malformed, "'\\{}' without '{{…}}'", static_cast<char>(c));
        const std::u32string_view property = std::u32string_view(pattern_).substr(at_, std::min<size_t>(close - at_, 100));
        at_ = close + 1;
        std::string name;
        for (const char32_t p : property) append_utf8(name, p);
        const std::optional<CharSet> set = unicode_class(name);
        if (!set)
          return fail(Errc::unsupported, "the property '{}': only general categories and a few simple ones are known", name);
        return c == 'p' ? folded(*set) : negated(*set);
      }
      default:
        break;
    }
    --at_;
    QUERN_ASSIGN(const char32_t one, character_escape(inside));
    if (is_high_surrogate(one) || is_low_surrogate(one)) {
      if (inside == Inside::char_class) return CharSet::one(one);
      return fail(Errc::unsupported, "an unpaired surrogate: texts are code points");
    }
    return folded(CharSet::one(one));
  }

  Result<char32_t> character_escape(Inside inside) {
    const char32_t c = pattern_[at_++];
    switch (c) {
      case 't':
        return U'\t';
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 'f':
        return U'\f';
      case 'v':
        return U'\v';
      case 'c':
        if (!is_letter(peek())) return fail(Errc::malformed, "'\\c' without a letter");
        return pattern_[at_++] & 31u;
      case 'x':
        return hex(2);
      case 'u':
        return unicode_escape();
      case '0':
        if (is_digit(peek())) return fail(Errc::unsupported, "an octal escape");
        return U'\0';
      case 'b':
        if (inside == Inside::char_class) return U'\b';
        break;
      case 'k':
        return fail(Errc::unsupported, "a backreference");
      default:
        break;
    }
    if (is_digit(c)) return fail(Errc::unsupported, "a backreference or octal escape '\\{}'", static_cast<char>(c));
    if (is_letter(c)) return fail(Errc::malformed, "'\\{}' is no escape of ECMA-262", static_cast<char>(c));
    return c;
  }

  Result<char32_t> hex(int num_digits) {
    char32_t value = 0;
    for (int i = 0; i < num_digits; ++i, ++at_) {
      const int digit = hex_value(peek());
      if (digit < 0) return fail(Errc::malformed, "a hexadecimal escape is cut short at character {}", at_);
      value = value * 16 + static_cast<char32_t>(digit);
    }
    return value;
  }

  Result<char32_t> unicode_escape() {
    if (take(U"{")) {
      char32_t value = 0;
      const size_t first = at_;
      for (; hex_value(peek()) >= 0; ++at_) {
        value = value * 16 + static_cast<char32_t>(hex_value(peek()));
        if (value > kLastCodePoint) return fail(Errc::malformed, "'\\u{{…}}' past U+10FFFF");
      }
      if (at_ == first || !take(U"}")) return fail(Errc::malformed, "'\\u{{' without digits and '}}'");
      return value;
    }
    QUERN_ASSIGN(const char32_t value, hex(4));
    if (!is_high_surrogate(value) || !looking_at(U"\\u")) return value;
    const size_t before = at_;
    at_ += 2;
    const auto low = hex(4);
    if (low && is_low_surrogate(*low)) return 0x10000 + ((value - 0xD800) << 10) + (*low - 0xDC00);
    at_ = before;
    return value;
  }

  Result<RegexNode::Id> char_class() {
    const size_t opened = at_++;
    const bool negated = take(U"^");
    std::vector<CodeRange> ranges;
    while (peek() != ']' || at_end()) {
      if (at_end()) return fail(Errc::malformed, "the class at character {} is not closed", opened);
      if (looking_at(U"[:") && is_letter(peek(2)))
        return fail(Errc::unsupported, "'[:', a POSIX class: not ECMA-262; escape the '['");
      QUERN_ASSIGN(const ClassItem first, class_item());
      // A '-' between two single characters is a range; beside a class escape or a bracket it is itself.
      if (first.one && peek() == '-' && peek(1) != ']' && at_ + 1 < pattern_.size()) {
        const size_t before = at_++;
        QUERN_ASSIGN(const ClassItem last, class_item());
        if (last.one) {
          if (*last.one < *first.one) return fail(Errc::malformed, "a range out of order in the class at character {}", opened);
          ranges.push_back({*first.one, *last.one});
          continue;
        }
        at_ = before;
      }
      if (first.one)
        ranges.push_back({*first.one, *first.one});
      else
        ranges.insert(ranges.end(), first.set.ranges().begin(), first.set.ranges().end());
    }
    ++at_;
    CharSet set(std::move(ranges));
    // Texts have no surrogates. A class of nothing else was written for UTF-16 units, as one half of a character.
    const CharSet characters = set & surrogates().complement();
    if (!negated && characters.empty() && !set.empty())
      return fail(Errc::unsupported, "a class of surrogates: texts are code points");
    if (!(set == CharSet::all())) set = folded(characters);
    return add_set(negated ? set.complement() : set);
  }

  struct ClassItem {
    std::optional<char32_t> one;
    CharSet set;
  };

  Result<ClassItem> class_item() {
    const char32_t c = pattern_[at_++];
    if (c != '\\') return ClassItem{.one = c};
    if (std::u32string_view(U"dDwWsSpP").find(peek()) == std::u32string_view::npos || at_end()) {
      if (at_end()) return fail(Errc::malformed, "a backslash at the end");
      QUERN_ASSIGN(const char32_t one, character_escape(Inside::char_class));
      return ClassItem{.one = one};
    }
    QUERN_ASSIGN(CharSet set, escape(Inside::char_class));
    return ClassItem{.set = std::move(set)};
  }

  const std::u32string pattern_;
  std::vector<RegexNode>& nodes_;
  size_t at_ = 0;
  int branching_ = 0;
  Flags flags_;
};

}  // namespace

const CharSet& regex_word_chars() {
  static const CharSet set({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}});
  return set;
}

Result<RegexTree> parse_regex_syntax(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) return fail(Errc::out_of_range, "longer than {} bytes", kMaxPatternBytes);
  if (find_invalid_utf8(pattern) != std::string_view::npos) return fail(Errc::malformed, "not UTF-8");
  RegexTree tree;
  QUERN_ASSIGN(tree.root, Parser(code_points(pattern), tree.nodes).parse());
  return tree;
}

}  // namespace quern
