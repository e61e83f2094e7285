#include "constrain/expr.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"
#include "base/utf8.h"

namespace quern {

class NameSet {
 public:
  struct Node {
    std::map<char32_t, size_t> next;
    size_t first = 0, last = 0;  // the names below, [first, last)
    int64_t name = -1;           // the one that ends here
  };
  explicit NameSet(std::span<const std::string> sorted) {
    nodes_.emplace_back();
    for (size_t i = 0; i < sorted.size(); ++i) {
      size_t at = 0;
      nodes_[0].last = i + 1;
      for (const char32_t c : code_points(sorted[i])) {
        const auto [it, is_new] = nodes_[at].next.try_emplace(c, nodes_.size());
        at = it->second;  // read before the nodes move
        if (is_new) nodes_.emplace_back().first = i;
        nodes_[at].last = i + 1;
      }
      nodes_[at].name = static_cast<int64_t>(i);
    }
  }
  const Node& node(size_t i) const { return nodes_[i]; }
  size_t bytes() const { return nodes_.size() * (sizeof(Node) + 48); }
  size_t size() const { return nodes_[0].last; }

 private:
  std::vector<Node> nodes_;
};

std::shared_ptr<const NameSet> make_name_set(std::span<const std::string> sorted_utf8) {
  return std::make_shared<const NameSet>(sorted_utf8);
}

namespace {

// Some names of a set. States are the trie's nodes; those without a chosen name below are left out.
class SomeNames : public Automaton {
 public:
  SomeNames(std::shared_ptr<const NameSet> set, std::vector<bool> among) : set_(std::move(set)), among_(std::move(among)) {}
  bool accepts(State state) const override {
    const int64_t name = set_->node(static_cast<size_t>(state)).name;
    return name >= 0 && among_[static_cast<size_t>(name)];
  }
  void edges(State state, std::vector<Edge>& out) const override {
    for (const auto& [c, target] : set_->node(static_cast<size_t>(state)).next) {
      const NameSet::Node& node = set_->node(target);
      const auto from = among_.begin() + static_cast<std::ptrdiff_t>(node.first),
                 to = among_.begin() + static_cast<std::ptrdiff_t>(node.last);
      if (std::find(from, to, true) != to) out.push_back({{c, c}, static_cast<State>(target)});
    }
  }

 private:
  std::shared_ptr<const NameSet> set_;
  std::vector<bool> among_;
};

}  // namespace

// ---- character sets

CharSet::CharSet(std::vector<CodeRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const CodeRange& a, const CodeRange& b) { return a.first < b.first; });
  for (const CodeRange& r : ranges) {
    if (r.first > r.last) continue;
    if (!ranges_.empty() && r.first <= ranges_.back().last + 1)
      ranges_.back().last = std::max(ranges_.back().last, r.last);
    else
      ranges_.push_back(r);
  }
}

CharSet CharSet::complement() const {
  CharSet out;
  char32_t next = 0;
  for (const CodeRange& r : ranges_) {
    if (r.first > next) out.ranges_.push_back({next, r.first - 1});
    next = r.last + 1;
  }
  if (next <= kLastCodePoint) out.ranges_.push_back({next, kLastCodePoint});
  return out;
}

CharSet CharSet::operator|(const CharSet& other) const {
  std::vector<CodeRange> all = ranges_;
  all.insert(all.end(), other.ranges_.begin(), other.ranges_.end());
  return CharSet(std::move(all));
}

bool CharSet::contains(char32_t c) const {
  const auto it = std::lower_bound(ranges_.begin(), ranges_.end(), c, [](const CodeRange& r, char32_t x) { return r.last < x; });
  return it != ranges_.end() && it->first <= c;
}

// ---- making expressions: each rule below keeps the language and makes equal languages more often equal ids

uint64_t Exprs::hash(const Node& n) {
  HashMix h;
  h.add(static_cast<uint64_t>(n.kind));
  for (const int64_t v : {n.a, n.b, n.c}) h.add(static_cast<uint64_t>(v));
  for (const ExprId p : n.parts) h.add(static_cast<uint64_t>(p));
  return h.value();
}

bool Exprs::equal(const Node& x, const Node& y) {
  return x.kind == y.kind && x.a == y.a && x.b == y.b && x.c == y.c && x.parts == y.parts;
}

Exprs::Exprs(Limits limits) : limits_(limits) {
  intern({.kind = Kind::nothing, .nullable = false, .plain = true});
  intern({.kind = Kind::empty, .nullable = true, .plain = true});
  intern({.kind = Kind::repeat, .nullable = true, .plain = true, .a = kAnyChar, .b = 0, .c = kUnbounded});
  sets_.push_back(CharSet({{0, kFirstSurrogate - 1}, {kLastSurrogate + 1, kLastCodePoint}}));
  intern({.kind = Kind::chars, .nullable = false, .plain = true, .a = 0});
}

ExprId Exprs::add(uint64_t hash, Node node) {
  if (nodes_.size() >= limits_.nodes) {
    exhaust();
    return kNothing;
  }
  const auto id = static_cast<ExprId>(nodes_.size());
  index_.add(hash, static_cast<uint32_t>(id));
  bytes_ += sizeof(Node) + node.parts.size() * sizeof(ExprId) + 64;
  nodes_.push_back(std::move(node));
  derivatives_.emplace_back();
  liveness_.push_back(Liveness::unknown);
  return id;
}

ExprId Exprs::intern(Node node) {
  const uint64_t h = hash(node);
  const int64_t known = index_.find(h, [&](uint32_t id) { return equal(nodes_[id], node); });
  return known >= 0 ? static_cast<ExprId>(known) : add(h, std::move(node));
}

ExprId Exprs::chars(const CharSet& any_set) {
  const CharSet set = any_set & sets_[0];
  if (set.empty()) return kNothing;
  if (set == sets_[0]) return kAnyChar;
  HashMix h;
  for (const CodeRange& r : set.ranges()) h.add((static_cast<uint64_t>(r.first) << 32) | r.last);
  const int64_t known = index_.find(
      h.value(), [&](uint32_t id) { return nodes_[id].kind == Kind::chars && sets_[static_cast<size_t>(nodes_[id].a)] == set; });
  if (known >= 0) return static_cast<ExprId>(known);
  sets_.push_back(set);
  bytes_ += set.ranges().size() * sizeof(CodeRange);
  return add(h.value(), {.kind = Kind::chars, .nullable = false, .plain = true, .a = static_cast<int64_t>(sets_.size()) - 1});
}

ExprId Exprs::literal(std::string_view utf8) {
  ExprId e = kEmpty;
  const std::u32string text = code_points(utf8);
  for (size_t i = text.size(); i-- > 0;) e = concat(chars(CharSet::one(text[i])), e);
  return e;
}

ExprId Exprs::literals(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  if (texts.empty()) return kNothing;
  if (texts.size() == 1) return literal(texts[0]);
  size_t total = 0;
  for (const std::string& t : texts) total += t.size();
  if (total > limits_.nodes * 8) {
    exhaust();
    return kNothing;
  }
  const auto set = make_name_set(texts);
  bytes_ += set->bytes();
  return names(set, std::vector<bool>(texts.size(), true));
}

ExprId Exprs::names(const std::shared_ptr<const NameSet>& set, std::vector<bool> among) {
  QUERN_CHECK(among.size() == set->size(), among.size(), set->size());
  if (std::find(among.begin(), among.end(), true) == among.end()) return kNothing;
  bytes_ += among.size() / 8 + 100;
  return automaton(std::make_shared<SomeNames>(set, std::move(among)), 0);
}

ExprId Exprs::automaton(std::shared_ptr<const Automaton> a, Automaton::State state) {
  // The same object is the same index; there are few, and the newest is the likeliest.
  size_t index = automata_.size();
  while (index > 0 && automata_[index - 1] != a) --index;
  if (index == 0) {
    automata_.push_back(std::move(a));
    index = automata_.size();
  }
  const bool accepts = automata_[index - 1]->accepts(state);
  return intern({.kind = Kind::automaton, .nullable = accepts, .plain = true, .a = static_cast<int64_t>(index - 1), .b = state});
}

ExprId Exprs::concat(ExprId a, ExprId b) {
  if (a == kNothing || b == kNothing) return kNothing;
  if (a == kEmpty) return b;
  if (b == kEmpty) return a;
  if (node(a).kind == Kind::concat) {  // to the right: (x y) b = x (y b)
    std::vector<ExprId> heads;
    ExprId rest = a;
    while (node(rest).kind == Kind::concat) {
      heads.push_back(static_cast<ExprId>(node(rest).a));
      rest = static_cast<ExprId>(node(rest).b);
    }
    ExprId out = concat(rest, b);
    for (size_t i = heads.size(); i-- > 0;) out = concat(heads[i], out);
    return out;
  }
  const bool b_is_concat = node(b).kind == Kind::concat;
  const ExprId head = b_is_concat ? static_cast<ExprId>(node(b).a) : b;
  // x{i,j} x{k,l} = x{i+k,j+l}
  if (node(a).kind == Kind::repeat && node(head).kind == Kind::repeat && node(a).a == node(head).a) {
    const auto x = static_cast<ExprId>(node(a).a);
    const int64_t min = node(a).b + node(head).b;
    const int64_t max = node(a).c == kUnbounded || node(head).c == kUnbounded ? kUnbounded : node(a).c + node(head).c;
    const ExprId merged = repeat(x, min, max);
    return b_is_concat ? concat(merged, static_cast<ExprId>(node(b).b)) : merged;
  }
  return intern(
      {.kind = Kind::concat, .nullable = nullable(a) && nullable(b), .plain = node(a).plain && node(b).plain, .a = a, .b = b});
}

ExprId Exprs::concat(std::initializer_list<ExprId> parts) {
  ExprId out = kEmpty;
  for (auto it = std::rbegin(parts); it != std::rend(parts); ++it) out = concat(*it, out);
  return out;
}

ExprId Exprs::any_of(std::vector<ExprId> parts) {
  std::vector<ExprId> flat;
  CharSet set;
  for (const ExprId p : parts) {
    if (p == kAll) return kAll;
    const Node& n = node(p);
    if (n.kind == Kind::any_of)
      flat.insert(flat.end(), n.parts.begin(), n.parts.end());
    else if (n.kind != Kind::nothing)
      flat.push_back(p);
  }
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  size_t num_sets = 0;
  for (const ExprId p : flat) num_sets += node(p).kind == Kind::chars;
  if (num_sets > 1) {
    std::vector<ExprId> others;
    for (const ExprId p : flat)
      if (node(p).kind == Kind::chars)
        set = set | sets_[static_cast<size_t>(node(p).a)];
      else
        others.push_back(p);
    others.push_back(chars(set));
    std::sort(others.begin(), others.end());
    flat = std::move(others);
  }
  if (flat.size() > 1 && flat.front() == kEmpty &&
      std::any_of(flat.begin() + 1, flat.end(), [this](ExprId p) { return nullable(p); }))
    flat.erase(flat.begin());
  for (const ExprId p : flat)
    if (node(p).kind == Kind::complement && std::binary_search(flat.begin(), flat.end(), static_cast<ExprId>(node(p).a)))
      return kAll;
  if (flat.empty()) return kNothing;
  if (flat.size() == 1) return flat[0];
  bool nullable_any = false, plain = false;
  for (const ExprId p : flat) nullable_any |= nullable(p), plain |= node(p).plain;
  return intern({.kind = Kind::any_of, .nullable = nullable_any, .plain = plain, .parts = std::move(flat)});
}

bool Exprs::is_length(ExprId e, int64_t& min, int64_t& max) const {
  const Node& n = node(e);
  if (e == kEmpty || e == kAnyChar) {
    min = max = e == kEmpty ? 0 : 1;
    return true;
  }
  if (n.kind != Kind::repeat || n.a != kAnyChar) return false;
  min = n.b, max = n.c;
  return true;
}

ExprId Exprs::both(std::vector<ExprId> parts) {
  std::vector<ExprId> flat;
  int64_t min = 0, max = kUnbounded;  // of the parts that only bound the length
  bool some_set = false;
  CharSet set = sets_[0];
  for (size_t i = 0; i < parts.size(); ++i) {
    const ExprId p = parts[i];
    if (p == kNothing) return kNothing;
    const Node& n = node(p);
    int64_t low = 0, high = 0;
    if (n.kind == Kind::both) {
      parts.insert(parts.end(), n.parts.begin(), n.parts.end());
    } else if (is_length(p, low, high)) {
      min = std::max(min, low);
      if (high != kUnbounded) max = max == kUnbounded ? high : std::min(max, high);
    } else if (n.kind == Kind::chars) {
      set = some_set ? set & sets_[static_cast<size_t>(n.a)] : sets_[static_cast<size_t>(n.a)];
      some_set = true;
    } else {
      flat.push_back(p);
    }
  }
  if (max != kUnbounded && min > max) return kNothing;
  if (some_set) {
    if (min > 1 || (max != kUnbounded && max < 1)) return kNothing;
    min = 0, max = kUnbounded;
    flat.push_back(chars(set));
  }
  if (min > 0 || max != kUnbounded) flat.push_back(length(min, max));
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  if (flat.empty()) return kAll;
  if (flat.front() == kNothing) return kNothing;
  if (flat.size() == 1) return flat[0];
  bool nullable_all = true;
  for (const ExprId p : flat) {
    nullable_all &= nullable(p);
    if (node(p).kind == Kind::complement && std::binary_search(flat.begin(), flat.end(), static_cast<ExprId>(node(p).a)))
      return kNothing;
  }
  if (std::binary_search(flat.begin(), flat.end(), kEmpty)) return nullable_all ? kEmpty : kNothing;
  return intern({.kind = Kind::both, .nullable = nullable_all, .plain = false, .parts = std::move(flat)});
}

ExprId Exprs::complement(ExprId a) {
  if (a == kNothing) return kAll;
  if (a == kAll) return kNothing;
  const Node& n = node(a);
  if (n.kind == Kind::complement) return static_cast<ExprId>(n.a);
  int64_t min = 0, max = 0;
  if (is_length(a, min, max)) {
    const ExprId shorter = min > 0 ? length(0, min - 1) : kNothing;
    return max == kUnbounded ? shorter : any_of(shorter, length(max + 1, kUnbounded));
  }
  return intern({.kind = Kind::complement, .nullable = !n.nullable, .plain = false, .a = a});
}

ExprId Exprs::repeat(ExprId a, int64_t min, int64_t max) {
  QUERN_CHECK(min >= 0 && (max == kUnbounded || max >= min), min, max);
  if (max == 0 || a == kEmpty) return kEmpty;
  if (a == kNothing) return min == 0 ? kEmpty : kNothing;
  if (nullable(a)) min = 0;
  if (min == 1 && max == 1) return a;
  const Node& n = node(a);
  if (n.kind == Kind::repeat && n.c == kUnbounded && n.b <= 1 && (max == kUnbounded || min <= 1) && (max != 0))
    if (min <= 1 || n.b == 0) return repeat(static_cast<ExprId>(n.a), n.b * min, kUnbounded);
  if (a == kAnyChar && min == 0 && max == kUnbounded) return kAll;
  return intern({.kind = Kind::repeat, .nullable = min == 0, .plain = n.plain || min == 0, .a = a, .b = min, .c = max});
}

// ---- reading them

std::vector<Exprs::Piece> Exprs::compute(ExprId e) {
  // Pieces of several derivatives, cut at all their borders, the targets of each cut joined by `join`.
  const auto sweep = [this](std::vector<std::vector<Piece>>& lists, const auto& join) {
    std::vector<Piece> out;
    std::vector<size_t> at(lists.size(), 0);
    for (;;) {
      char32_t last = kLastCodePoint;
      std::vector<ExprId> targets;
      for (size_t i = 0; i < lists.size(); ++i) {
        last = std::min(last, lists[i][at[i]].last);
        targets.push_back(lists[i][at[i]].target);
      }
      const ExprId target = join(std::move(targets));
      if (!out.empty() && out.back().target == target)
        out.back().last = last;
      else
        out.push_back({last, target});
      if (last == kLastCodePoint || exhausted_) break;
      for (size_t i = 0; i < lists.size(); ++i)
        if (lists[i][at[i]].last == last) ++at[i];
    }
    if (out.back().last != kLastCodePoint) out.push_back({kLastCodePoint, kNothing});
    return out;
  };
  const auto mapped = [this](ExprId of, const auto& f) {
    const auto pieces = derivative(of);
    std::vector<Piece> in(pieces.begin(), pieces.end()), out;
    for (const Piece& p : in) {
      const ExprId target = f(p.target);
      if (!out.empty() && out.back().target == target)
        out.back().last = p.last;
      else
        out.push_back({p.last, target});
    }
    return out;
  };
  const Node n = node(e);  // a copy: making targets moves the nodes
  switch (n.kind) {
    case Kind::nothing:
    case Kind::empty:
      return {{kLastCodePoint, kNothing}};
    case Kind::chars: {
      std::vector<Piece> out;
      char32_t next = 0;
      for (const CodeRange& r : sets_[static_cast<size_t>(n.a)].ranges()) {
        if (r.first > next) out.push_back({r.first - 1, kNothing});
        out.push_back({r.last, kEmpty});
        next = r.last + 1;
      }
      if (next <= kLastCodePoint) out.push_back({kLastCodePoint, kNothing});
      return out;
    }
    case Kind::concat: {
      // a b c… : what follows in a, and in b while everything before it may be empty. A loop: chains can be long.
      std::vector<std::vector<Piece>> lists;
      ExprId at = e;
      for (;;) {
        if (node(at).kind != Kind::concat) {
          const auto pieces = derivative(at);
          lists.emplace_back(pieces.begin(), pieces.end());
          break;
        }
        const auto head = static_cast<ExprId>(node(at).a), rest = static_cast<ExprId>(node(at).b);
        lists.push_back(mapped(head, [&](ExprId t) { return concat(t, rest); }));
        if (!nullable(head) || exhausted_) break;
        at = rest;
      }
      if (lists.size() == 1) return std::move(lists[0]);
      return sweep(lists, [this](std::vector<ExprId> t) { return any_of(std::move(t)); });
    }
    case Kind::any_of:
    case Kind::both: {
      std::vector<std::vector<Piece>> lists;
      for (const ExprId p : n.parts) {
        const auto pieces = derivative(p);
        lists.emplace_back(pieces.begin(), pieces.end());
        if (exhausted_) return {{kLastCodePoint, kNothing}};
      }
      return n.kind == Kind::any_of ? sweep(lists, [this](std::vector<ExprId> t) { return any_of(std::move(t)); })
                                    : sweep(lists, [this](std::vector<ExprId> t) { return both(std::move(t)); });
    }
    case Kind::complement:
      return mapped(static_cast<ExprId>(n.a), [this](ExprId t) { return complement(t); });
    case Kind::repeat: {
      const ExprId rest = repeat(static_cast<ExprId>(n.a), std::max<int64_t>(n.b - 1, 0), n.c == kUnbounded ? n.c : n.c - 1);
      return mapped(static_cast<ExprId>(n.a), [&](ExprId t) { return concat(t, rest); });
    }
    case Kind::automaton: {
      std::vector<Automaton::Edge> edges;
      const auto& a = automata_[static_cast<size_t>(n.a)];
      a->edges(n.b, edges);
      std::vector<Piece> out;
      char32_t next = 0;
      for (const Automaton::Edge& edge : edges) {
        if (edge.range.first > next) out.push_back({edge.range.first - 1, kNothing});
        out.push_back(
            {edge.range.last,
             intern({.kind = Kind::automaton, .nullable = a->accepts(edge.target), .plain = true, .a = n.a, .b = edge.target})});
        next = edge.range.last + 1;
      }
      if (next <= kLastCodePoint) out.push_back({kLastCodePoint, kNothing});
      return out;
    }
  }
  return {{kLastCodePoint, kNothing}};
}

std::span<const Exprs::Piece> Exprs::derivative(ExprId e) {
  if (derivatives_[static_cast<size_t>(e)].empty()) {
    std::vector<Piece> pieces = exhausted_ ? std::vector<Piece>{{kLastCodePoint, kNothing}} : compute(e);
    ranges_ += pieces.size();
    bytes_ += pieces.size() * sizeof(Piece);
    if (ranges_ > limits_.transition_ranges) exhaust();
    derivatives_[static_cast<size_t>(e)] = std::move(pieces);
  }
  return derivatives_[static_cast<size_t>(e)];
}

ExprId Exprs::derivative(ExprId e, char32_t c) {
  const auto pieces = derivative(e);
  return std::lower_bound(pieces.begin(), pieces.end(), c, [](const Piece& p, char32_t x) { return p.last < x; })->target;
}

bool Exprs::live(ExprId e) {
  const auto known = [this](ExprId x) {
    Liveness& l = liveness_[static_cast<size_t>(x)];
    if (l == Liveness::unknown && (nullable(x) || node(x).plain)) l = x == kNothing ? Liveness::dead : Liveness::live;
    return l;
  };
  if (const Liveness l = known(e); l != Liveness::unknown) return l == Liveness::live;
  // Breadth first to a state with a word; the states on the way there have one too.
  std::vector<std::pair<ExprId, size_t>> found{{e, 0}};  // with the index of the state before
  std::unordered_set<ExprId> seen{e};
  for (size_t i = 0; i < found.size(); ++i) {
    if (found.size() > limits_.search_states || exhausted_) return exhaust();
    const auto pieces = derivative(found[i].first);
    char32_t first = 0;
    for (const Piece& piece : std::vector<Piece>(pieces.begin(), pieces.end())) {
      const bool surrogates = first >= kFirstSurrogate && piece.last <= kLastSurrogate;
      first = piece.last + 1;
      if (surrogates) continue;
      const Liveness l = known(piece.target);
      if (l == Liveness::live) {
        for (size_t at = i;; at = found[at].second) {
          liveness_[static_cast<size_t>(found[at].first)] = Liveness::live;
          if (at == 0) return true;
        }
      }
      if (l == Liveness::unknown && seen.insert(piece.target).second) found.emplace_back(piece.target, i);
    }
  }
  for (const auto& [state, before] : found) liveness_[static_cast<size_t>(state)] = Liveness::dead;
  return false;
}

// Depth first with a stack of its own: words can be as long as a schema's maxLength. A state met again on its own way has a cycle of live
// states through it, and so words without end.
int64_t Exprs::count(ExprId e, int64_t cap) {
  constexpr int64_t kOnTheWay = -1;
  struct Visit {
    ExprId state;
    std::vector<Piece> pieces;  // a copy: deriving more moves them
    size_t at = 0;              // the piece whose words are being counted
    char32_t first = 0;         // its first character
    int64_t total = 0;
  };
  std::unordered_map<ExprId, int64_t> counts;
  std::vector<Visit> way;
  const auto enter = [&](ExprId state) {
    counts[state] = kOnTheWay;
    const auto pieces = derivative(state);
    way.push_back({.state = state, .pieces = {pieces.begin(), pieces.end()}, .total = nullable(state) ? 1 : 0});
  };
  if (!live(e)) return 0;
  enter(e);
  for (;;) {
    Visit& visit = way.back();
    if (visit.at == visit.pieces.size() || visit.total >= cap) {
      const int64_t total = counts[visit.state] = std::min(visit.total, cap);
      way.pop_back();
      if (way.empty()) return total;
      continue;  // the state before finds it among the counts
    }
    const Piece piece = visit.pieces[visit.at];
    const bool surrogates = visit.first >= kFirstSurrogate && piece.last <= kLastSurrogate;
    int64_t n = 0;
    if (!surrogates && live(piece.target)) {
      const auto known = counts.find(piece.target);
      if (known == counts.end()) {
        if (counts.size() > limits_.search_states || exhausted_) {
          exhaust();
          return 0;
        }
        enter(piece.target);
        continue;
      }
      n = known->second == kOnTheWay ? cap : known->second;
    }
    const auto width = static_cast<int64_t>(piece.last - visit.first) + 1;
    visit.total = n > 0 && width > (cap - 1) / n ? cap : std::min(cap, visit.total + n * width);
    visit.first = piece.last + 1;
    ++visit.at;
  }
}

bool Exprs::matches(ExprId e, std::string_view utf8) {
  for (const char32_t c : code_points(utf8)) e = derivative(e, c);
  return nullable(e);
}

}  // namespace quern
