// From a grammar to the productions of its machine.
#include <algorithm>

#include "constrain/grammar_machine.h"

namespace quern {
namespace {

constexpr int32_t kNone = -1;
// Expressions are derived recursively in the depth of what stands to the left in them; a rule that is deeper stays a rule.
constexpr int32_t kMaxExprDepth = 300;

// The strongly connected components of a graph, numbered so that an edge never leads to a greater number (Tarjan 1972, without
// recursion).
std::vector<int32_t> components(const std::vector<std::vector<int32_t>>& edges) {
  const size_t n = edges.size();
  std::vector<int32_t> component(n, kNone), order(n, kNone), low(n), open;
  std::vector<std::pair<size_t, size_t>> path;  // node, next edge
  int32_t num_ordered = 0, num_components = 0;
  for (size_t root = 0; root < n; ++root) {
    if (order[root] != kNone) continue;
    path.emplace_back(root, 0);
    while (!path.empty()) {
      auto& [at, edge] = path.back();
      if (edge == 0) {
        order[at] = low[at] = num_ordered++;
        open.push_back(static_cast<int32_t>(at));
      }
      if (edge < edges[at].size()) {
        const auto to = static_cast<size_t>(edges[at][edge++]);
        if (order[to] == kNone)
          path.emplace_back(to, 0);
        else if (component[to] == kNone)
          low[at] = std::min(low[at], order[to]);
      } else {
        const size_t done = at;
        path.pop_back();
        if (low[done] == order[done]) {
          while (component[done] == kNone) {
            component[static_cast<size_t>(open.back())] = num_components;
            open.pop_back();
          }
          ++num_components;
        }
        if (!path.empty()) low[path.back().first] = std::min(low[path.back().first], low[done]);
      }
    }
  }
  return component;
}

}  // namespace

class GrammarMachine::Compiler {
 public:
  Compiler(const Grammar& grammar, GrammarMachine& machine) : grammar_(grammar), m_(machine) {}
  Result<void> compile();

 private:
  using Sequence = std::vector<std::pair<Symbol, int32_t>>;

  void collapse_regular();
  ExprId expr_of(const Grammar::Node& node);
  int32_t new_nonterminal();
  void define(int32_t nonterminal, int32_t node);
  void append(int32_t node, Sequence& out);
  void append_repeat(const Grammar::Node& node, Sequence& out);
  int32_t slot(const Sequence& symbols, int32_t end = kEndSlot);
  int32_t intern(Slot slot);
  void find_nullable();
  void find_components();
  bool too_large() const { return num_symbols_ > m_.limits_.symbols || m_.exprs_.exhausted(); }

  const Grammar& grammar_;
  GrammarMachine& m_;
  std::vector<ExprId> expr_;          // by node; kNone: not regular
  std::vector<int32_t> nonterminal_;  // by rule; kNone: regular
  Index<int32_t> slot_index_;
  size_t num_symbols_ = 0;
};

Result<void> GrammarMachine::Compiler::compile() {
  m_.slots_ = {{Symbol::end, 0, kEndSlot}, {Symbol::accept, 0, kAcceptSlot}};
  collapse_regular();
  nonterminal_.assign(grammar_.rules.size(), kNone);
  for (size_t r = 0; r < grammar_.rules.size(); ++r)
    if (expr_[static_cast<size_t>(grammar_.rules[r].body)] == kNone) nonterminal_[r] = new_nonterminal();
  for (size_t r = 0; r < grammar_.rules.size() && !too_large(); ++r)
    if (nonterminal_[r] != kNone) define(nonterminal_[r], grammar_.rules[r].body);
  Sequence root;
  if (nonterminal_[Grammar::kRoot] != kNone)
    root.emplace_back(Symbol::nonterminal, nonterminal_[Grammar::kRoot]);
  else
    append(grammar_.rules[Grammar::kRoot].body, root);
  const int32_t start = slot(root, kAcceptSlot);
  if (too_large()) return fail(Errc::out_of_range, "grammar: too large once its repetitions are written out");
  find_nullable();
  find_components();
  m_.callers_.resize(m_.nonterminals_.size());
  m_.local_cont_.resize(m_.nonterminals_.size());
  m_.begin();
  m_.visit(start, m_.intern_cont({}));  // after the accepting slot there is nowhere to go on
  m_.start_ = m_.finish();
  return m_.healthy();
}

void GrammarMachine::Compiler::collapse_regular() {
  expr_.assign(grammar_.nodes.size(), kNone);
  std::vector<int32_t> missing(grammar_.nodes.size()), depth(grammar_.nodes.size());
  for (size_t n = 0; n < missing.size(); ++n)
    missing[n] = grammar_.nodes[n].kind == Grammar::Kind::rule ? 1 : static_cast<int32_t>(grammar_.nodes[n].parts.size());
  for (const int32_t n : grammar_.saturate(std::move(missing))) {
    const Grammar::Node& node = grammar_.nodes[static_cast<size_t>(n)];
    int32_t& deep = depth[static_cast<size_t>(n)];
    bool regular = true;
    const auto needs = [&](int32_t part) {
      deep = std::max(deep, depth[static_cast<size_t>(part)] + (node.kind == Grammar::Kind::rule ? 0 : 1));
      regular = regular && expr_[static_cast<size_t>(part)] != kNone;
    };
    for (const int32_t part : node.parts) needs(part);
    if (node.kind == Grammar::Kind::rule) needs(grammar_.rules[static_cast<size_t>(node.rule)].body);
    if (regular && deep <= kMaxExprDepth) expr_[static_cast<size_t>(n)] = expr_of(node);
    if (too_large()) return;
  }
}

ExprId GrammarMachine::Compiler::expr_of(const Grammar::Node& node) {
  const auto part = [&](size_t i) { return expr_[static_cast<size_t>(node.parts[i])]; };
  switch (node.kind) {
    case Grammar::Kind::literal:
      return m_.exprs_.literal(node.text);
    case Grammar::Kind::chars:
      return m_.exprs_.chars(node.chars);
    case Grammar::Kind::rule:
      return expr_[static_cast<size_t>(grammar_.rules[static_cast<size_t>(node.rule)].body)];
    case Grammar::Kind::repeat:
      return m_.exprs_.repeat(part(0), node.min, node.max);
    case Grammar::Kind::sequence: {
      ExprId all = Exprs::kEmpty;
      for (size_t i = node.parts.size(); i-- > 0;) all = m_.exprs_.concat(part(i), all);
      return all;
    }
    case Grammar::Kind::choice: {
      std::vector<ExprId> any;
      for (size_t i = 0; i < node.parts.size(); ++i) any.push_back(part(i));
      return m_.exprs_.any_of(std::move(any));
    }
  }
  return Exprs::kNothing;
}

int32_t GrammarMachine::Compiler::new_nonterminal() {
  m_.nonterminals_.emplace_back();
  return static_cast<int32_t>(m_.nonterminals_.size() - 1);
}

// A production for each alternative; those that are regular together are one.
void GrammarMachine::Compiler::define(int32_t nonterminal, int32_t node) {
  const Grammar::Node& n = grammar_.nodes[static_cast<size_t>(node)];
  const std::vector<int32_t> self{node};
  std::vector<ExprId> regular;
  std::vector<int32_t> productions;
  for (const int32_t alternative : n.kind == Grammar::Kind::choice ? n.parts : self) {
    if (expr_[static_cast<size_t>(alternative)] != kNone) {
      regular.push_back(expr_[static_cast<size_t>(alternative)]);
      continue;
    }
    Sequence symbols;
    append(alternative, symbols);
    productions.push_back(slot(symbols));
  }
  if (!regular.empty()) productions.push_back(slot({{Symbol::terminal, m_.exprs_.any_of(std::move(regular))}}));
  m_.nonterminals_[static_cast<size_t>(nonterminal)].productions = std::move(productions);
}

void GrammarMachine::Compiler::append(int32_t node, Sequence& out) {
  const Grammar::Node& n = grammar_.nodes[static_cast<size_t>(node)];
  if (expr_[static_cast<size_t>(node)] != kNone) {
    out.emplace_back(Symbol::terminal, expr_[static_cast<size_t>(node)]);
  } else if (n.kind == Grammar::Kind::rule) {
    out.emplace_back(Symbol::nonterminal, nonterminal_[static_cast<size_t>(n.rule)]);
  } else if (n.kind == Grammar::Kind::sequence) {
    for (const int32_t part : n.parts) append(part, out);
  } else if (n.kind == Grammar::Kind::repeat) {
    append_repeat(n, out);
  } else {
    const int32_t group = new_nonterminal();
    define(group, node);
    out.emplace_back(Symbol::nonterminal, group);
  }
}

// x{m,} is x … x and a left-recursive list; x{m,n} is x … x (x (x …)?)?.
void GrammarMachine::Compiler::append_repeat(const Grammar::Node& node, Sequence& out) {
  Sequence body;
  append(node.parts[0], body);
  if (body.size() != 1) {  // written out once, not at each repetition
    const int32_t group = new_nonterminal();
    m_.nonterminals_[static_cast<size_t>(group)].productions = {slot(body)};
    body = {{Symbol::nonterminal, group}};
  }
  for (int64_t i = 0; i < node.min && !too_large(); ++i, ++num_symbols_) out.push_back(body[0]);
  int32_t rest = kNone;
  if (node.max == Exprs::kUnbounded) {
    rest = new_nonterminal();
    const int32_t more = slot({{Symbol::nonterminal, rest}, body[0]});
    m_.nonterminals_[static_cast<size_t>(rest)].productions = {kEndSlot, more};
  } else {
    for (int64_t i = node.min; i < node.max && !too_large(); ++i) {
      Sequence more = body;
      if (rest != kNone) more.emplace_back(Symbol::nonterminal, rest);
      rest = new_nonterminal();
      m_.nonterminals_[static_cast<size_t>(rest)].productions = {kEndSlot, slot(more)};
    }
  }
  if (rest != kNone) out.emplace_back(Symbol::nonterminal, rest);
}

int32_t GrammarMachine::Compiler::slot(const Sequence& symbols, int32_t end) {
  num_symbols_ += symbols.size() + 1;
  int32_t at = end;
  for (size_t i = symbols.size(); i-- > 0;) {
    auto [symbol, value] = symbols[i];
    for (; symbol == Symbol::terminal && i > 0 && symbols[i - 1].first == Symbol::terminal; --i)
      value = m_.exprs_.concat(symbols[i - 1].second, value);
    if (symbol == Symbol::terminal && value == Exprs::kEmpty) continue;
    at = intern({symbol, value, at});
  }
  return at;
}

int32_t GrammarMachine::Compiler::intern(Slot slot) {
  const auto [it, added] =
      slot_index_.try_emplace({static_cast<int32_t>(slot.symbol), slot.value, slot.next}, static_cast<int32_t>(m_.slots_.size()));
  if (added) m_.slots_.push_back(slot);
  return it->second;
}

// A slot is nullable when its symbol and the slot after it are: each waits for two, and is told when they are.
void GrammarMachine::Compiler::find_nullable() {
  const size_t num_slots = m_.slots_.size();
  std::vector<int32_t> missing(num_slots, 2), work{kEndSlot};
  std::vector<std::vector<int32_t>> before(num_slots), uses(m_.nonterminals_.size()), produces(num_slots);
  for (size_t n = 0; n < m_.nonterminals_.size(); ++n)
    for (const int32_t p : m_.nonterminals_[n].productions) produces[static_cast<size_t>(p)].push_back(static_cast<int32_t>(n));
  for (size_t s = 2; s < num_slots; ++s) {
    const Slot& slot = m_.slots_[s];
    before[static_cast<size_t>(slot.next)].push_back(static_cast<int32_t>(s));
    if (slot.symbol == Symbol::nonterminal)
      uses[static_cast<size_t>(slot.value)].push_back(static_cast<int32_t>(s));
    else if (m_.exprs_.nullable(slot.value))
      --missing[s];
  }
  const auto one_more = [&](const std::vector<int32_t>& waiting) {
    for (const int32_t s : waiting)
      if (--missing[static_cast<size_t>(s)] == 0) work.push_back(s);
  };
  while (!work.empty()) {
    const auto s = static_cast<size_t>(work.back());
    work.pop_back();
    one_more(before[s]);
    for (const int32_t n : produces[s]) {
      bool& nullable = m_.nonterminals_[static_cast<size_t>(n)].nullable;
      if (!std::exchange(nullable, true)) one_more(uses[static_cast<size_t>(n)]);
    }
  }
}

void GrammarMachine::Compiler::find_components() {
  std::vector<std::vector<int32_t>> begins_with(m_.nonterminals_.size());
  for (size_t n = 0; n < begins_with.size(); ++n) {
    for (int32_t s : m_.nonterminals_[n].productions) {
      for (bool nullable = true; nullable && s != kEndSlot; s = m_.slots_[static_cast<size_t>(s)].next) {
        const Slot& slot = m_.slots_[static_cast<size_t>(s)];
        if (slot.symbol == Symbol::nonterminal) begins_with[n].push_back(slot.value);
        nullable = slot.symbol == Symbol::nonterminal ? m_.nonterminals_[static_cast<size_t>(slot.value)].nullable
                                                      : m_.exprs_.nullable(slot.value);
      }
    }
  }
  const std::vector<int32_t> component = components(begins_with);
  for (size_t n = 0; n < begins_with.size(); ++n) {
    m_.nonterminals_[n].component = component[n];
    for (const int32_t to : begins_with[n])
      if (component[static_cast<size_t>(to)] == component[n]) m_.nonterminals_[n].left_recursive = true;
  }
}

Result<std::unique_ptr<GrammarMachine>> GrammarMachine::create(std::string_view gbnf, const Limits& limits) {
  QUERN_ASSIGN(const Grammar grammar, Grammar::parse(gbnf, limits.grammar));
  std::unique_ptr<GrammarMachine> machine(new GrammarMachine(limits));
  QUERN_TRY(Compiler(grammar, *machine).compile());
  return machine;
}

}  // namespace quern
