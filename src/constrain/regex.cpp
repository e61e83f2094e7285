// Continuation passing over the tree: then(node, rest) is the language of what may stand from here to the end of the text when node comes
// first and `rest` follows. That makes the assertions exact, because each is a condition on the whole rest: `$` keeps of `rest` the empty
// text, a lookahead L intersects with L·Σ*. What `^` and `\b` ask about is to the left, so every language comes in three versions, by what
// was just read: nothing, a word character, another character.
#include "constrain/regex.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "constrain/regex_syntax.h"

namespace quern {
namespace {

constexpr int64_t kMaxExpansion = 64;        // of a counted repetition that holds assertions
constexpr int kMaxTranslationSteps = 2'000;  // visits of nodes that hold assertions; bounds time and how deep expressions nest

constexpr int64_t kUnbounded = Exprs::kUnbounded;

using Kind = RegexNode::Kind;
using Id = RegexNode::Id;

// A language for each thing that may stand to the left of it.
struct Rest {
  ExprId at_start = Exprs::kNothing, after_word = Exprs::kNothing, after_other = Exprs::kNothing;
  static Rest same(ExprId e) { return {e, e, e}; }
  bool is_same() const { return at_start == after_word && after_word == after_other; }
  friend bool operator==(const Rest&, const Rest&) = default;
};

class Translator {
 public:
  Translator(Exprs& exprs, const std::vector<RegexNode>& nodes)
      : exprs_(exprs),
        nodes_(nodes),
        word_(exprs.chars(regex_word_chars())),
        other_(exprs.chars(regex_word_chars().complement())),
        some_(exprs.length(1, kUnbounded)),
        ends_in_word_(exprs.concat(Exprs::kAll, word_)),
        ends_in_other_(exprs.concat(Exprs::kAll, other_)) {}

  Result<ExprId> translate(Id root, RegexSemantics semantics) {
    if (semantics == RegexSemantics::whole) {
      QUERN_ASSIGN(const Rest rest, then(root, Rest::same(Exprs::kEmpty), {}));
      return rest.at_start;
    }
    QUERN_ASSIGN(const Rest rest, then(root, Rest::same(Exprs::kAll), {}));
    if (rest.is_same()) return exprs_.concat(Exprs::kAll, rest.at_start);
    return exprs_.any_of(rest.at_start, after(some_, rest));
  }

 private:
  // Assertions that are taken to fail, where a repetition reads its body a second time.
  struct Dead {
    bool start = false, end = false;
  };

  const RegexNode& node(Id id) const { return nodes_[static_cast<size_t>(id)]; }

  template <class F>
  static Rest each(const Rest& a, const Rest& b, const F& f) {
    return {f(a.at_start, b.at_start), f(a.after_word, b.after_word), f(a.after_other, b.after_other)};
  }
  Rest any_of(const Rest& a, const Rest& b) {
    return each(a, b, [this](ExprId x, ExprId y) { return exprs_.any_of(x, y); });
  }
  Rest both(const Rest& a, const Rest& b) {
    return each(a, b, [this](ExprId x, ExprId y) { return exprs_.both(x, y); });
  }
  Rest without(const Rest& a, const Rest& b) {
    return each(a, b, [this](ExprId x, ExprId y) { return exprs_.without(x, y); });
  }
  static Rest empty_part(const Exprs& exprs, const Rest& a) {
    const auto part = [&](ExprId e) { return exprs.nullable(e) ? Exprs::kEmpty : Exprs::kNothing; };
    return {part(a.at_start), part(a.after_word), part(a.after_other)};
  }

  // The texts of e, which has no empty one, each followed by what may follow its last character.
  ExprId after(ExprId e, const Rest& rest) {
    if (rest.after_word == rest.after_other) return exprs_.concat(e, rest.after_word);
    const auto ending_in = [&](ExprId last) { return e == some_ ? last : exprs_.both(e, last); };
    return exprs_.any_of(exprs_.concat(ending_in(ends_in_word_), rest.after_word),
                         exprs_.concat(ending_in(ends_in_other_), rest.after_other));
  }
  ExprId after(const CharSet& set, const Rest& rest) {
    if (rest.after_word == rest.after_other) return exprs_.concat(exprs_.chars(set), rest.after_word);
    return exprs_.any_of(exprs_.concat(exprs_.chars(set & regex_word_chars()), rest.after_word),
                         exprs_.concat(exprs_.chars(set & regex_word_chars().complement()), rest.after_other));
  }
  // The texts of e and then rest.
  Rest plain_then(ExprId e, const Rest& rest) {
    if (rest.is_same()) return Rest::same(exprs_.concat(e, rest.at_start));
    if (!exprs_.nullable(e)) return Rest::same(after(e, rest));
    return any_of(rest, Rest::same(after(exprs_.both(e, some_), rest)));
  }

  bool is_plain(Id id, Dead dead) const {
    const RegexNode::Assertions& holds = node(id).holds;
    return !holds.look && !holds.boundary && (dead.start || !holds.start) && (dead.end || !holds.end);
  }

  // The language of a node without assertions but dead ones.
  ExprId plain(Id id) {
    const RegexNode& n = node(id);
    switch (n.kind) {
      case Kind::set:
        return exprs_.chars(n.set);
      case Kind::sequence: {
        ExprId e = Exprs::kEmpty;
        for (size_t i = n.children.size(); i-- > 0;) e = exprs_.concat(plain(n.children[i]), e);
        return e;
      }
      case Kind::choice: {
        std::vector<ExprId> parts;
        for (const Id child : n.children) parts.push_back(plain(child));
        return exprs_.any_of(std::move(parts));
      }
      case Kind::repeat:
        return exprs_.repeat(plain(n.children[0]), n.min, n.max);
      default:
        return Exprs::kNothing;
    }
  }

  Result<Rest> then(Id id, const Rest& rest, Dead dead) {
    const RegexNode& n = node(id);
    if (n.kind == Kind::set) return Rest::same(after(n.set, rest));
    if (is_plain(id, dead)) return plain_then(plain(id), rest);
    if (++steps_ > kMaxTranslationSteps || exprs_.exhausted())
      return fail(Errc::out_of_range, "too many assertions, or too many repetitions of one");
    switch (n.kind) {
      case Kind::set:
        break;
      case Kind::sequence: {
        Rest out = rest;
        for (size_t i = n.children.size(); i-- > 0;) {
          QUERN_ASSIGN(out, then(n.children[i], out, dead));
        }
        return out;
      }
      case Kind::choice: {
        std::vector<ExprId> at_start, after_word, after_other;
        for (const Id child : n.children) {
          QUERN_ASSIGN(const Rest branch, then(child, rest, dead));
          at_start.push_back(branch.at_start), after_word.push_back(branch.after_word), after_other.push_back(branch.after_other);
        }
        return Rest{exprs_.any_of(std::move(at_start)), exprs_.any_of(std::move(after_word)),
                    exprs_.any_of(std::move(after_other))};
      }
      case Kind::repeat:
        return repeat(n, rest, dead);
      case Kind::start:
        return dead.start ? Rest{} : Rest{.at_start = rest.at_start};
      case Kind::end:
        return dead.end ? Rest{} : empty_part(exprs_, rest);
      case Kind::boundary:
      case Kind::no_boundary: {
        const ExprId word_next = exprs_.concat(word_, Exprs::kAll), no_word_next = exprs_.complement(word_next);
        const bool differs = n.kind == Kind::boundary;  // a boundary: a word character on one side only
        const ExprId beside_word = differs ? no_word_next : word_next, beside_other = differs ? word_next : no_word_next;
        return both(rest, Rest{beside_other, beside_word, beside_other});
      }
      case Kind::ahead:
      case Kind::not_ahead: {
        QUERN_ASSIGN(const Rest ahead, then(n.children[0], Rest::same(Exprs::kAll), dead));
        return n.kind == Kind::ahead ? both(rest, ahead) : without(rest, ahead);
      }
    }
    return Rest{};
  }

  // A repetition whose body x holds assertions.
  Result<Rest> repeat(const RegexNode& n, const Rest& rest, Dead dead) {
    const Id x = n.children[0];
    const int64_t num_optional = n.max == kUnbounded ? 0 : n.max - n.min;
    if (n.min + num_optional > kMaxExpansion)
      return fail(Errc::unsupported, "more than {} repetitions of something with an assertion in it", kMaxExpansion);
    Rest out = rest;
    if (n.max == kUnbounded) {
      QUERN_ASSIGN(out, star(x, rest, dead));
    }
    for (int64_t i = 0; i < num_optional; ++i) {
      QUERN_ASSIGN(const Rest more, then(x, out, dead));
      out = any_of(rest, more);
    }
    for (int64_t i = 0; i < n.min; ++i) {
      QUERN_ASSIGN(out, then(x, out, dead));
    }
    return out;
  }

  // The least Y with Y = rest ∪ x Y.
  Result<Rest> star(Id x, const Rest& rest, Dead dead) {
    if (rest == Rest::same(Exprs::kAll)) return rest;
    const std::optional<int64_t> width = fixed_width(x);
    if (width == 0) return rest;  // every word of x Y is one of Y
    const RegexNode::Assertions& holds = node(x).holds;
    if (!holds.look && !holds.boundary) return star_of_anchored(x, rest, dead);
    if (width == 1) return star_of_guarded_char(x, rest, dead);
    return fail(Errc::unsupported, "a lookahead or word boundary inside an unbounded repetition of more than one character");
  }

  // x holds ^ and $ only. A pass through $ ends the text, so all that follows it, Y too, is empty: x Y = x₀ Y ∪ x (rest ∩ ε), with x₀
  // the passes without $. A pass through ^ can only be a first one: every later one that matters has read something.
  Result<Rest> star_of_anchored(Id x, const Rest& rest, Dead dead) {
    Rest ends = rest;
    if (node(x).holds.end) {
      QUERN_ASSIGN(const Rest ending, then(x, empty_part(exprs_, rest), Dead{.start = true, .end = dead.end}));
      ends = any_of(rest, ending);
    }
    const Rest later = plain_then(exprs_.star(plain(x)), ends);  // in plain(), ^ and $ fail
    QUERN_ASSIGN(const Rest first,
                 then(x, Rest{.at_start = rest.at_start, .after_word = later.after_word, .after_other = later.after_other}, dead));
    return Rest{exprs_.any_of(rest.at_start, first.at_start), later.after_word, later.after_other};
  }

  // x reads one character of a set C and has conditions: (?:(?!end).)*. Where no text has two readings as C* rest, the character at each
  // place before `rest` must meet x's conditions: take from C* rest what has a place, after any of C*, where the remaining text is of
  // C C* rest and not of x Σ*.
  Result<Rest> star_of_guarded_char(Id x, const Rest& rest, Dead dead) {
    const CharSet set = chars_of(x);
    const ExprId chars = exprs_.star(exprs_.chars(set));
    const Rest loose = plain_then(chars, rest);
    const Rest more = Rest::same(after(set, loose));
    for (const auto& [one, other] : {std::pair{rest.at_start, more.at_start}, std::pair{rest.after_word, more.after_word},
                                     std::pair{rest.after_other, more.after_other}})
      if (exprs_.live(exprs_.both(one, other)))
        return fail(Errc::unsupported, "a lookahead or word boundary inside a repetition whose end is not certain from the text");
    QUERN_ASSIGN(const Rest good, then(x, Rest::same(Exprs::kAll), dead));
    const Rest bad = without(more, good);
    return without(loose, plain_then(chars, bad));
  }

  // How many characters each text of a node has, where that is 0 or 1 for all of them.
  std::optional<int64_t> fixed_width(Id id) const {
    const RegexNode& n = node(id);
    switch (n.kind) {
      case Kind::set:
        return 1;
      case Kind::sequence: {
        int64_t width = 0;
        for (const Id child : n.children) {
          const std::optional<int64_t> part = fixed_width(child);
          if (!part) return std::nullopt;
          width += *part;
        }
        return width <= 1 ? std::optional(width) : std::nullopt;
      }
      case Kind::choice: {
        std::optional<int64_t> width;
        for (const Id child : n.children) {
          const std::optional<int64_t> branch = fixed_width(child);
          if (!branch || (width && width != branch)) return std::nullopt;
          width = branch;
        }
        return width;
      }
      case Kind::repeat: {
        const std::optional<int64_t> width = fixed_width(n.children[0]);
        if (width == 0 || (n.min == 1 && n.max == 1)) return width;
        return n.max == 0 ? std::optional<int64_t>(0) : std::nullopt;
      }
      default:
        return 0;
    }
  }

  CharSet chars_of(Id id) const {
    const RegexNode& n = node(id);
    if (n.kind == Kind::set) return n.set;
    CharSet set;
    if (n.kind == Kind::sequence || n.kind == Kind::choice || n.kind == Kind::repeat)
      for (const Id child : n.children) set = set | chars_of(child);
    return set;
  }

  Exprs& exprs_;
  const std::vector<RegexNode>& nodes_;
  const ExprId word_, other_, some_, ends_in_word_, ends_in_other_;
  int steps_ = 0;
};
Result<ExprId> parse(Exprs& exprs, std::string_view pattern, RegexSemantics semantics) {
  QUERN_ASSIGN(const RegexTree tree, parse_regex_syntax(pattern));
  QUERN_ASSIGN(const ExprId language, Translator(exprs, tree.nodes).translate(tree.root, semantics));
  if (exprs.exhausted()) return fail(Errc::out_of_range, "it needs more memory than a schema may take");
  return language;
}

}  // namespace

Result<ExprId> parse_regex(Exprs& exprs, std::string_view pattern, RegexSemantics semantics) {
  auto language = parse(exprs, pattern, semantics);
  if (language) return language;
  constexpr size_t kShownBytes = 80;
  std::string shown(pattern.substr(0, kShownBytes));
  shown.resize(complete_utf8_prefix(shown));
  shown = replace_invalid_utf8(shown) + (pattern.size() > kShownBytes ? "…" : "");
  return with_context(language.error(), fmt::format("pattern '{}'", shown));
}

}  // namespace quern
