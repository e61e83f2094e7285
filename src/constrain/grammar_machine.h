// A context-free grammar as a byte automaton: Earley's recogniser (1970) over code points, with nullable rules advanced over as
// Aycock and Horspool (2002) do, and with everything that is regular collapsed into terminals that are expressions (expr.h).
//
//   item = (progress, next, cont): a terminal with `progress` left to match, then the rest `next` of its production (a slot),
//          and when the production is done the text goes on as `cont` says.
//   cont = a set of (slot, cont): where whoever predicted a rule goes on after it. Takes the place of Earley's origin. A production
//          that ends in a rule hands on its own cont (a tail call), so right recursion needs no memory, nor does left recursion.
//   set  = the items after some text and whether the text may end there; State.control is its index.
//
// Sets and conts are interned by content: equal situations have equal indices however far apart they are in the text, so
// transitions are computed once and masks can be kept. Transitions of a set are computed per class of code points that no item
// tells apart.
//
// Cost. A text of a grammar that a reader would call unambiguous meets few distinct sets; one that keeps all its readings open
// (palindromes, E ::= E "+" E inside a counted repetition) meets a new and larger set with every character, up to Limits.
//
// No dead ends. A set is made of items whose progress is live, of productions that derive a text (grammar.h), of conts that are not
// empty and that lead to the end of the root after finitely many returns; so every set but the dead one goes on to an accepted
// text. A partial UTF-8 sequence is accepted only if a code point with a live transition begins like it.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "constrain/grammar.h"
#include "constrain/machine.h"

namespace quern {

class GrammarMachine : public Machine {
 public:
  struct Limits {
    Grammar::Limits grammar;
    Exprs::Limits exprs;
    size_t symbols = 1'000'000;  // of all productions, after repetitions are written out
    size_t items = 20'000;       // looked at for one set
    size_t sets = 1'000'000;     // sets, and as many conts
    size_t bytes = size_t{256} << 20;
  };

  static Result<std::unique_ptr<GrammarMachine>> create(std::string_view gbnf, const Limits& limits);
  static Result<std::unique_ptr<GrammarMachine>> create(std::string_view gbnf) { return create(gbnf, Limits{}); }

  State start() override { return {static_cast<uint32_t>(start_), 0, 0}; }
  std::optional<State> step(State state, uint8_t byte, std::string_view text) override;
  bool can_end(State state, std::string_view text) override;
  std::optional<uint64_t> key(State state) override { return static_cast<uint64_t>(state.control) << 32 | state.mark; }
  Result<void> healthy() const override;
  size_t bytes() const override { return bytes_ + exprs_.bytes(); }
  size_t num_sets() const { return sets_.size(); }

 private:
  class Compiler;

  enum class Symbol : uint8_t { end, accept, terminal, nonterminal };
  // The rest of a production, as a list: equal rests are one slot.
  struct Slot {
    Symbol symbol;
    int32_t value;  // terminal: ExprId; nonterminal: index
    int32_t next;   // slot
    friend bool operator==(const Slot&, const Slot&) = default;
  };
  static constexpr int32_t kEndSlot = 0, kAcceptSlot = 1;
  struct Nonterminal {
    std::vector<int32_t> productions;  // slots
    bool nullable = false;
    bool left_recursive = false;
    int32_t component =
        0;  // of the graph "begins with": equal if each can begin with the other; what begins has the smaller number
  };

  // Where to go on. While a set is being made, cont may be ~n: of nonterminal n, predicted in this very set.
  struct Frame {
    int32_t slot, cont;
    friend auto operator<=>(const Frame&, const Frame&) = default;
  };
  using Frames = std::vector<Frame>;
  struct Item {
    ExprId progress;
    int32_t next;  // slot after the terminal
    int32_t cont;
    friend auto operator<=>(const Item&, const Item&) = default;
  };
  // The code points up to and including `last`, after those of the class before.
  struct Class {
    char32_t last;
    int32_t next;  // a set, kDead or kUnknown (alive, not computed yet)
  };
  static constexpr int32_t kDead = -1, kUnknown = -2;
  struct Set {
    bool accept = false;
    std::vector<Item> items;     // sorted
    std::vector<Class> classes;  // empty: not computed yet
  };
  struct Hash {
    size_t operator()(const std::vector<int32_t>& key) const;
  };
  template <class T>
  using Index = std::unordered_map<std::vector<int32_t>, T, Hash>;

  GrammarMachine(const Limits& limits) : limits_(limits), exprs_(limits.exprs) {}
  void exhaust(size_t limit, std::string_view what) {
    if (!exhausted_) exhausted_ = Error{Errc::out_of_range, fmt::format("grammar: more than {} {}", limit, what)};
  }

  // Making a set: begin(), then add() and visit() for what it starts from, then finish().
  void begin();
  void add(ExprId progress, int32_t next, int32_t cont);
  void visit(int32_t slot, int32_t cont);
  int32_t finish();
  void close();
  void resolve_conts();
  void resolve_component(std::span<const int32_t> members);
  bool adopt_group(std::span<const int32_t> members);
  Frames with_local_conts(Frames frames) const;
  int32_t intern_cont(Frames frames);
  int32_t add_cont(Frames frames);
  static std::vector<int32_t> key_of(const Frames& frames);
  int32_t intern_set(bool accept, const std::vector<Item>& items);

  std::vector<Class>& classes(int32_t set);
  bool any_live(int32_t set, CodeRange range);
  int32_t next_set(int32_t set, char32_t c);

  Limits limits_;
  Exprs exprs_;
  std::vector<Slot> slots_;
  std::vector<Nonterminal> nonterminals_;
  std::vector<Set> sets_;
  std::vector<Frames> conts_;
  std::vector<std::vector<std::pair<int32_t, int32_t>>>
      groups_;                     // of conts that refer to one another: nonterminals, sorted, and conts
  std::vector<int32_t> group_of_;  // by cont; may be shorter
  Index<int32_t> set_index_, cont_index_, group_index_;
  int32_t start_ = 0;
  size_t bytes_ = 0;
  std::optional<Error> exhausted_;

  // Of the set being made.
  std::unordered_set<uint64_t> visited_;
  Frames work_;
  std::vector<Item> items_;
  std::vector<int32_t> predicted_;   // nonterminals
  std::vector<Frames> callers_;      // by nonterminal: who predicted it
  std::vector<int32_t> local_cont_;  // by nonterminal
  bool accept_ = false;
};

}  // namespace quern
