// Languages of Unicode texts, as hash-consed regular expressions with intersection and complement, read through their derivatives
// (Brzozowski 1964; Owens, Reppy, Turon 2009): the derivative of L by a character c is what may follow c in L, so an expression is a
// state of a DFA that is built as far as somebody walks, and no further. Patterns, formats, lengths, number ranges, enums and property
// names are all values of this one type; allOf is `both`, anyOf `any_of`, not `without`.
//
// Equal ids are equal languages; different ids may be equal languages too. Bounded: past `Limits` the arena is exhausted(): every
// operation then returns kNothing and whoever started the work must look at the flag and report an error. Not shared between threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "constrain/interner.h"

namespace quern {

using ExprId = int32_t;

inline constexpr char32_t kLastCodePoint = 0x10FFFF;
// Surrogates are code points but no characters: no text has them, so a way on through them alone is none.
inline constexpr char32_t kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

struct CodeRange {
  char32_t first, last;  // both inclusive
  friend bool operator==(const CodeRange&, const CodeRange&) = default;
};

// A set of code points: sorted, disjoint, not adjacent.
class CharSet {
 public:
  CharSet() = default;
  CharSet(std::vector<CodeRange> ranges);  // any order, may overlap
  static CharSet all() { return CharSet({{0, kLastCodePoint}}); }
  static CharSet one(char32_t c) { return CharSet({{c, c}}); }

  CharSet complement() const;
  CharSet operator|(const CharSet& other) const;
  CharSet operator&(const CharSet& other) const { return (complement() | other.complement()).complement(); }
  bool contains(char32_t c) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<CodeRange>& ranges() const { return ranges_; }
  friend bool operator==(const CharSet&, const CharSet&) = default;

 private:
  std::vector<CodeRange> ranges_;
};

// A hand-written DFA as a leaf of expressions (number ranges, sets of names). Immutable. Every state it names must have a word that leads
// to acceptance: edges to dead states are left out.
class Automaton {
 public:
  using State = int64_t;
  struct Edge {
    CodeRange range;
    State target;
  };
  virtual ~Automaton() = default;
  virtual bool accepts(State state) const = 0;
  virtual void edges(State state, std::vector<Edge>& out) const = 0;  // sorted by range, disjoint
};

// Names in a trie, of which expressions take any part (Exprs::names). Immutable.
class NameSet;
std::shared_ptr<const NameSet> make_name_set(std::span<const std::string> sorted_utf8);

class Exprs {
 public:
  struct Limits {
    size_t nodes = 400'000;
    size_t transition_ranges = 4'000'000;  // of all cached derivatives together
    size_t search_states = 100'000;        // of one emptiness test
  };

  static constexpr ExprId kNothing = 0;  // no text at all
  static constexpr ExprId kEmpty = 1;    // the empty text
  static constexpr ExprId kAll = 2;      // every text
  static constexpr ExprId kAnyChar = 3;  // every text of one code point

  explicit Exprs(Limits limits);
  Exprs() : Exprs(Limits{}) {}

  ExprId chars(const CharSet& any_set);                  // without the surrogates
  ExprId literal(std::string_view utf8);                 // valid UTF-8
  ExprId literals(std::vector<std::string> texts_utf8);  // any of them
  // Those names of the set, by its order, that `among` has; among.size() is the set's.
  ExprId names(const std::shared_ptr<const NameSet>& set, std::vector<bool> among);
  ExprId concat(ExprId a, ExprId b);
  ExprId concat(std::initializer_list<ExprId> parts);
  ExprId any_of(std::vector<ExprId> parts);
  ExprId any_of(ExprId a, ExprId b) { return any_of(std::vector<ExprId>{a, b}); }
  ExprId both(std::vector<ExprId> parts);
  ExprId both(ExprId a, ExprId b) { return both(std::vector<ExprId>{a, b}); }
  ExprId complement(ExprId a);
  ExprId without(ExprId a, ExprId b) { return both(a, complement(b)); }
  static constexpr int64_t kUnbounded = -1;
  ExprId repeat(ExprId a, int64_t min, int64_t max);  // max kUnbounded: any number
  ExprId star(ExprId a) { return repeat(a, 0, kUnbounded); }
  ExprId plus(ExprId a) { return repeat(a, 1, kUnbounded); }
  ExprId optional(ExprId a) { return repeat(a, 0, 1); }
  ExprId length(int64_t min, int64_t max) { return repeat(kAnyChar, min, max); }  // in code points
  ExprId automaton(std::shared_ptr<const Automaton> automaton, Automaton::State state);

  bool nullable(ExprId e) const { return nodes_[static_cast<size_t>(e)].nullable; }

  // What follows each character: pieces that cover 0…kLastCodePoint in order, `last` inclusive; neighbours differ in target. Targets
  // may have empty languages (see live). The reference is valid until the next call that makes an expression.
  struct Piece {
    char32_t last;
    ExprId target;
  };
  std::span<const Piece> derivative(ExprId e);
  ExprId derivative(ExprId e, char32_t c);

  bool live(ExprId e);  // the language has a word
  // How many words, counted up to `cap`; an infinite language has `cap`.
  int64_t count(ExprId e, int64_t cap);
  bool matches(ExprId e, std::string_view utf8);
  // When e is exactly "any text of min to max code points": true and the bounds.
  bool is_length(ExprId e, int64_t& min, int64_t& max) const;

  bool exhausted() const { return exhausted_; }
  size_t size() const { return nodes_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  enum class Kind : uint8_t { nothing, empty, chars, concat, any_of, both, complement, repeat, automaton };
  struct Node {
    Kind kind;
    bool nullable;
    bool plain;                   // seen from its form: it has a word unless it is kNothing
    int64_t a = 0, b = 0, c = 0;  // chars: set; concat: a, b; repeat: a, min b, max c; automaton: index, state
    std::vector<ExprId> parts;    // any_of, both: sorted
  };
  static uint64_t hash(const Node& n);
  static bool equal(const Node& x, const Node& y);
  ExprId add(uint64_t hash, Node node);
  enum class Liveness : uint8_t { unknown, dead, live };

  ExprId intern(Node node);
  std::vector<Piece> compute(ExprId e);
  const Node& node(ExprId e) const { return nodes_[static_cast<size_t>(e)]; }
  bool exhaust() {
    exhausted_ = true;
    return false;
  }

  Limits limits_;
  std::vector<Node> nodes_;
  HashIndex index_;
  std::vector<CharSet> sets_;
  std::vector<std::shared_ptr<const Automaton>> automata_;
  std::vector<std::vector<Piece>> derivatives_;  // by expression; empty: not computed yet
  std::vector<Liveness> liveness_;
  size_t ranges_ = 0, bytes_ = 0;
  bool exhausted_ = false;
};

}  // namespace quern
