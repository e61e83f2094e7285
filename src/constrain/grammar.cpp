#include "constrain/grammar.h"

#include <limits>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"

namespace quern {
namespace {

constexpr int32_t kNone = -1;
constexpr CodeRange kSurrogates{0xD800, 0xDFFF};
constexpr int32_t kNever = std::numeric_limits<int32_t>::max();

bool is_word(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}
bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }

// Reads by recursive descent; what nests is counted, so that the depth of the stack is bounded by Limits::depth.
class Reader {
 public:
  Reader(std::string_view gbnf, const Grammar::Limits& limits) : limits_(limits), text_(code_points(gbnf)) {}
  Result<Grammar> read();

 private:
  static constexpr char32_t kEnd = 0xFFFFFFFF;

  char32_t peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : kEnd; }
  bool take(char32_t c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  std::string place(size_t at) const;  // line:column
  template <class... Args>
  tl::unexpected<Error> error(Errc code, size_t at, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(code, "grammar:{}: {}", place(at), fmt::format(format, std::forward<Args>(args)...));
  }
  std::string shown(size_t at) const;
  std::string word();

  void skip_space(bool newlines);
  Result<void> rule();
  Result<int32_t> choice(bool nested, int32_t depth);
  Result<int32_t> sequence(bool nested, int32_t depth);
  Result<int32_t> element(int32_t depth);
  Result<int32_t> literal();
  Result<int32_t> char_class();
  Result<char32_t> character(bool in_class);
  Result<int32_t> repeat(int32_t element);
  Result<void> counts(int64_t& min, int64_t& max);
  Result<int64_t> count();
  Result<int32_t> add(Grammar::Node node, size_t at);
  int32_t rule_named(const std::string& name, size_t at);

  Result<void> prune();
  tl::unexpected<Error> explain_empty_root(const std::vector<bool>& productive) const;

  const Grammar::Limits& limits_;
  std::u32string text_;
  size_t at_ = 0;
  Grammar grammar_;
  std::unordered_map<std::string, int32_t> names_;
  std::vector<size_t> rule_at_;  // by rule: where it was named first
  std::vector<size_t> node_at_;  // by node
  std::vector<int32_t> depth_;   // by node
};

std::string Reader::place(size_t at) const {
  size_t line = 1, line_start = 0;
  for (size_t i = 0; i < at && i < text_.size(); ++i)
    if (text_[i] == '\n') ++line, line_start = i + 1;
  return fmt::format("{}:{}", line, at - line_start + 1);
}

std::string Reader::shown(size_t at) const {
  if (at >= text_.size()) return "the end of the grammar";
  if (text_[at] == '\n' || text_[at] == '\r') return "the end of the line";
  std::string c;
  append_utf8(c, text_[at]);
  return "'" + c + "'";
}

std::string Reader::word() {
  std::string name;
  while (is_word(peek())) name += static_cast<char>(text_[at_++]);
  return name;
}

void Reader::skip_space(bool newlines) {
  for (;; ++at_) {
    if (peek() == '#')
      while (peek() != kEnd && peek() != '\n' && peek() != '\r') ++at_;
    const char32_t c = peek();
    if (c != ' ' && c != '\t' && !(newlines && (c == '\n' || c == '\r'))) return;
  }
}

Result<int32_t> Reader::add(Grammar::Node node, size_t at) {
  if (grammar_.nodes.size() >= limits_.nodes) return error(Errc::out_of_range, at, "more than {} elements", limits_.nodes);
  int32_t depth = 0;
  for (const int32_t part : node.parts) depth = std::max(depth, depth_[static_cast<size_t>(part)] + 1);
  if (depth > limits_.depth) return error(Errc::out_of_range, at, "nested more than {} deep", limits_.depth);
  grammar_.nodes.push_back(std::move(node));
  node_at_.push_back(at);
  depth_.push_back(depth);
  return static_cast<int32_t>(grammar_.nodes.size() - 1);
}

int32_t Reader::rule_named(const std::string& name, size_t at) {
  const auto [it, added] = names_.emplace(name, static_cast<int32_t>(grammar_.rules.size()));
  if (added) {
    grammar_.rules.push_back({name, kNone});
    rule_at_.push_back(at);
  }
  return it->second;
}

Result<Grammar> Reader::read() {
  rule_named("root", 0);
  for (skip_space(true); peek() != kEnd; skip_space(true)) QUERN_TRY(rule());
  if (grammar_.rules.size() > limits_.rules)
    return error(Errc::out_of_range, rule_at_[limits_.rules], "more than {} rules", limits_.rules);
  if (grammar_.rules[Grammar::kRoot].body == kNone)
    return error(Errc::malformed, rule_at_[0], "no rule named 'root', which is what a text must match");
  for (size_t r = 0; r < grammar_.rules.size(); ++r)
    if (grammar_.rules[r].body == kNone) return error(Errc::malformed, rule_at_[r], "undefined rule '{}'", grammar_.rules[r].name);
  QUERN_TRY(prune());
  return std::move(grammar_);
}

Result<void> Reader::rule() {
  const size_t at = at_;
  const std::string name = word();
  if (name.empty()) return error(Errc::malformed, at, "expected the name of a rule, found {}", shown(at));
  skip_space(false);
  if (peek() != ':' || peek(1) != ':' || peek(2) != '=')
    return error(Errc::malformed, at_, "expected '::=' after the rule's name '{}', found {}", name, shown(at_));
  at_ += 3;
  const auto r = static_cast<size_t>(rule_named(name, at));
  if (grammar_.rules[r].body != kNone) return error(Errc::malformed, at, "rule '{}' is defined twice", name);
  skip_space(true);
  QUERN_ASSIGN(grammar_.rules[r].body, choice(/*nested=*/false, 0));
  if (peek() == ':' && peek(1) == ':' && peek(2) == '=')
    return error(Errc::malformed, at_, "unexpected '::=': an empty rule or alternative before it is written \"\"");
  if (peek() != kEnd && peek() != '\n' && peek() != '\r')
    return error(Errc::malformed, at_, "expected an element, '|' or the end of rule '{}', found {}", name, shown(at_));
  return {};
}

// Alternatives; with `nested` newlines do not end them.
Result<int32_t> Reader::choice(bool nested, int32_t depth) {
  const size_t at = at_;
  if (depth > limits_.depth) return error(Errc::out_of_range, at, "nested more than {} deep", limits_.depth);
  Grammar::Node node{.kind = Grammar::Kind::choice};
  do {
    if (!node.parts.empty()) skip_space(true);  // after a '|'
    QUERN_ASSIGN(const int32_t part, sequence(nested, depth));
    node.parts.push_back(part);
  } while (take('|'));
  if (node.parts.size() == 1) return node.parts[0];
  return add(std::move(node), at);
}

Result<int32_t> Reader::sequence(bool nested, int32_t depth) {
  const size_t at = at_;
  Grammar::Node node{.kind = Grammar::Kind::sequence};
  for (;;) {
    QUERN_ASSIGN(int32_t part, element(depth));
    if (part == kNone) break;
    skip_space(nested);
    while (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{') {
      QUERN_ASSIGN(part, repeat(part));
      skip_space(nested);
    }
    node.parts.push_back(part);
  }
  if (node.parts.size() == 1) return node.parts[0];
  return add(std::move(node), at);
}

// kNone where no element begins.
Result<int32_t> Reader::element(int32_t depth) {
  const size_t at = at_;
  if (is_word(peek())) {
    const std::string name = word();
    return add({.kind = Grammar::Kind::rule, .rule = rule_named(name, at)}, at);
  }
  switch (peek()) {
    case '"':
      return literal();
    case '[':
      return char_class();
    case '.':
      ++at_;
      return add({.kind = Grammar::Kind::chars, .chars = CharSet({kSurrogates}).complement()}, at);
    case '(': {
      ++at_;
      skip_space(true);
      QUERN_ASSIGN(const int32_t group, choice(/*nested=*/true, depth + 1));
      if (!take(')')) return error(Errc::malformed, at_, "expected ')' for the '(' at {}, found {}", place(at), shown(at_));
      return group;
    }
    case '<':
    case '!': {
      while (peek() != kEnd && peek() != '>' && peek() != '\n' && at_ - at < 60) ++at_;
      std::string reference;
      for (size_t i = at; i < at_; ++i) append_utf8(reference, text_[i]);
      if (peek() == '>') reference += '>';
      return error(Errc::unsupported, at, "token reference '{}' is not supported: write the token's text as a literal", reference);
    }
    case '*':
    case '+':
    case '?':
    case '{':
      return error(Errc::malformed, at, "{} has nothing before it to repeat", shown(at));
    default:
      return kNone;
  }
}

Result<int32_t> Reader::literal() {
  const size_t at = at_++;
  Grammar::Node node{.kind = Grammar::Kind::literal};
  while (!take('"')) {
    if (peek() == kEnd) return error(Errc::malformed, at, "literal without its closing '\"'");
    QUERN_ASSIGN(const char32_t c, character(/*in_class=*/false));
    append_utf8(node.text, c);
  }
  return add(std::move(node), at);
}

Result<int32_t> Reader::char_class() {
  const size_t at = at_++;
  const bool negated = take('^');
  std::vector<CodeRange> ranges;
  while (!take(']')) {
    if (peek() == kEnd) return error(Errc::malformed, at, "character class without its closing ']'");
    const size_t first_at = at_;
    QUERN_ASSIGN(const char32_t first, character(/*in_class=*/true));
    char32_t last = first;
    if (peek() == '-' && peek(1) != ']') {
      ++at_;
      if (peek() == kEnd) return error(Errc::malformed, at, "character class without its closing ']'");
      QUERN_ASSIGN(last, character(/*in_class=*/true));
      if (last < first) return error(Errc::malformed, first_at, "range that ends before it begins");
    }
    ranges.push_back({first, last});
  }
  if (ranges.empty() && !negated) return error(Errc::malformed, at, "empty character class");
  CharSet set(std::move(ranges));
  if (negated) set = set.complement();
  // No text holds a surrogate; left in, one would make a class seem to have a text that no bytes spell.
  return add({.kind = Grammar::Kind::chars, .chars = set & CharSet({kSurrogates}).complement()}, at);
}

Result<char32_t> Reader::character(bool in_class) {
  const size_t at = at_;
  const char32_t c = text_[at_++];
  if (c != '\\') return c;
  const char32_t escape = peek();
  ++at_;
  int digits = 0;
  switch (escape) {
    case 'n':
      return U'\n';
    case 't':
      return U'\t';
    case 'r':
      return U'\r';
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^':
      return escape;
    case 'x':
      digits = 2;
      break;
    case 'u':
      digits = 4;
      break;
    case 'U':
      digits = 8;
      break;
    default:
      return error(Errc::malformed, at, "unknown escape: \\ before {}", shown(at + 1));
  }
  char32_t value = 0;
  for (int i = 0; i < digits; ++i, ++at_) {
    const char32_t d = peek();
    const char32_t digit = is_digit(d) ? d - '0' : d >= 'a' && d <= 'f' ? d - 'a' + 10 : d >= 'A' && d <= 'F' ? d - 'A' + 10 : 16;
    if (digit == 16)
      return error(Errc::malformed, at_, "expected {} hexadecimal digits in the escape, found {}", digits, shown(at_));
    value = value << 4 | digit;
  }
  const bool surrogate = value >= kSurrogates.first && value <= kSurrogates.last;
  if (value > kLastCodePoint || (surrogate && !in_class))
    return error(Errc::malformed, at, "escape of U+{:04X}, which is no character", static_cast<uint32_t>(value));
  return value;
}

Result<int32_t> Reader::repeat(int32_t element) {
  const size_t at = at_;
  Grammar::Node node{.kind = Grammar::Kind::repeat, .parts = {element}};
  const char32_t c = text_[at_++];
  if (c == '{') {
    QUERN_TRY(counts(node.min, node.max));
  } else {
    node.min = c == '+' ? 1 : 0;
    node.max = c == '?' ? 1 : Exprs::kUnbounded;
  }
  return add(std::move(node), at);
}

Result<void> Reader::counts(int64_t& min, int64_t& max) {
  const size_t at = at_ - 1;
  skip_space(false);
  QUERN_ASSIGN(min, count());
  max = min;
  skip_space(false);
  if (take(',')) {
    max = Exprs::kUnbounded;
    skip_space(false);
    if (is_digit(peek())) {
      QUERN_ASSIGN(max, count());
      skip_space(false);
      if (max < min) return error(Errc::malformed, at, "repetition of at least {} and at most {}", min, max);
    }
  }
  if (!take('}')) return error(Errc::malformed, at_, "expected '}}' of the repetition, found {}", shown(at_));
  return {};
}

Result<int64_t> Reader::count() {
  const size_t at = at_;
  if (!is_digit(peek())) return error(Errc::malformed, at, "expected a number of repetitions, found {}", shown(at));
  int64_t value = 0;
  while (is_digit(peek())) {
    value = value * 10 + static_cast<int64_t>(text_[at_++] - '0');
    if (value > limits_.repetitions) return error(Errc::out_of_range, at, "more than {} repetitions", limits_.repetitions);
  }
  return value;
}

// Takes out what derives no text and what the root does not reach.
Result<void> Reader::prune() {
  std::vector<Grammar::Node>& nodes = grammar_.nodes;
  std::vector<int32_t> missing(nodes.size());
  for (size_t n = 0; n < nodes.size(); ++n) {
    const Grammar::Node& node = nodes[n];
    switch (node.kind) {
      case Grammar::Kind::literal:
        break;
      case Grammar::Kind::chars:
        missing[n] = node.chars.empty() ? kNever : 0;
        break;
      case Grammar::Kind::sequence:
        missing[n] = static_cast<int32_t>(node.parts.size());
        break;
      case Grammar::Kind::repeat:
        missing[n] = node.min == 0 ? 0 : 1;
        break;
      case Grammar::Kind::rule:
      case Grammar::Kind::choice:
        missing[n] = 1;
        break;
    }
  }
  std::vector<bool> productive(nodes.size());
  for (const int32_t n : grammar_.saturate(std::move(missing))) productive[static_cast<size_t>(n)] = true;
  if (!productive[static_cast<size_t>(grammar_.rules[Grammar::kRoot].body)]) return explain_empty_root(productive);

  std::vector<bool> reached(nodes.size());
  std::vector<int32_t> new_rule(grammar_.rules.size(), kNone), work;
  std::vector<Grammar::Rule> rules;
  const auto reach_rule = [&](int32_t r) {
    if (new_rule[static_cast<size_t>(r)] != kNone) return;
    new_rule[static_cast<size_t>(r)] = static_cast<int32_t>(rules.size());
    rules.push_back(grammar_.rules[static_cast<size_t>(r)]);
    work.push_back(rules.back().body);
  };
  reach_rule(Grammar::kRoot);
  while (!work.empty()) {
    const auto n = static_cast<size_t>(work.back());
    work.pop_back();
    reached[n] = true;
    Grammar::Node& node = nodes[n];
    if (node.kind == Grammar::Kind::rule) reach_rule(node.rule);
    // Only a choice and a repetition that may be left out can have parts that derive nothing.
    std::erase_if(node.parts, [&](int32_t part) { return !productive[static_cast<size_t>(part)]; });
    if (node.kind == Grammar::Kind::repeat && (node.parts.empty() || node.max == 0)) node = {};  // the empty text
    work.insert(work.end(), node.parts.begin(), node.parts.end());
  }

  std::vector<int32_t> new_node(nodes.size(), kNone);
  int32_t kept = 0;
  for (size_t n = 0; n < nodes.size(); ++n) {
    if (!reached[n]) continue;
    new_node[n] = kept;
    Grammar::Node node = std::move(nodes[n]);
    for (int32_t& part : node.parts) part = new_node[static_cast<size_t>(part)];
    if (node.kind == Grammar::Kind::rule) node.rule = new_rule[static_cast<size_t>(node.rule)];
    nodes[static_cast<size_t>(kept++)] = std::move(node);
  }
  nodes.resize(static_cast<size_t>(kept));
  for (Grammar::Rule& r : rules) r.body = new_node[static_cast<size_t>(r.body)];
  grammar_.rules = std::move(rules);
  return {};
}

// Follows, from the root, the first thing that derives nothing, until that is a class without characters or a rule met before.
tl::unexpected<Error> Reader::explain_empty_root(const std::vector<bool>& productive) const {
  std::vector<bool> met(grammar_.rules.size());
  int32_t r = Grammar::kRoot;
  for (size_t n = static_cast<size_t>(grammar_.rules[Grammar::kRoot].body);;) {
    const Grammar::Node& node = grammar_.nodes[n];
    if (node.kind == Grammar::Kind::chars)
      return error(Errc::malformed, node_at_[n], "root derives no text: this class has no character");
    if (node.kind == Grammar::Kind::rule) {
      met[static_cast<size_t>(r)] = true;
      r = node.rule;
      if (met[static_cast<size_t>(r)])
        return error(Errc::malformed, node_at_[n], "root derives no text: rule '{}' always needs itself again and never ends",
                     grammar_.rules[static_cast<size_t>(r)].name);
      n = static_cast<size_t>(grammar_.rules[static_cast<size_t>(r)].body);
      continue;
    }
    for (const int32_t part : node.parts) {
      n = static_cast<size_t>(part);
      if (!productive[n]) break;
    }
  }
}

}  // namespace

Result<Grammar> Grammar::parse(std::string_view gbnf, const Limits& limits) {
  if (gbnf.size() > limits.text_bytes)
    return fail(Errc::out_of_range, "grammar: {} bytes, more than {}", gbnf.size(), limits.text_bytes);
  if (const size_t at = find_invalid_utf8(gbnf); at != std::string_view::npos)
    return fail(Errc::malformed, "grammar: byte {} is not UTF-8", at);
  return Reader(gbnf, limits).read();
}

std::vector<int32_t> Grammar::saturate(std::vector<int32_t> missing) const {
  std::vector<int32_t> parent(nodes.size(), kNone), holds;
  std::vector<std::vector<int32_t>> references(rules.size());
  std::vector<int32_t> body_of(nodes.size(), kNone);
  for (size_t r = 0; r < rules.size(); ++r) body_of[static_cast<size_t>(rules[r].body)] = static_cast<int32_t>(r);
  for (size_t n = 0; n < nodes.size(); ++n) {
    for (const int32_t part : nodes[n].parts) parent[static_cast<size_t>(part)] = static_cast<int32_t>(n);
    if (nodes[n].kind == Kind::rule) references[static_cast<size_t>(nodes[n].rule)].push_back(static_cast<int32_t>(n));
    if (missing[n] == 0) holds.push_back(static_cast<int32_t>(n));
  }
  const auto one_more = [&](int32_t n) {
    if (--missing[static_cast<size_t>(n)] == 0) holds.push_back(n);
  };
  for (size_t i = 0; i < holds.size(); ++i) {
    const auto n = static_cast<size_t>(holds[i]);
    if (parent[n] != kNone) one_more(parent[n]);
    if (body_of[n] == kNone) continue;
    for (const int32_t reference : references[static_cast<size_t>(body_of[n])]) one_more(reference);
  }
  return holds;
}

}  // namespace quern
