#include "constrain/lexer.h"

#include <algorithm>
#include <set>

namespace quern {
namespace {

// The character an escape letter stands for; 0: none.
constexpr char32_t escaped(uint8_t letter) {
  switch (letter) {
    case '"':
      return '"';
    case '\\':
      return '\\';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return 0;
  }
}
constexpr uint8_t kEscapeLetters[] = {'"', '\\', 'b', 'f', 'n', 'r', 't'};
constexpr bool has_letter(char32_t c) { return c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t'; }

constexpr int hex_digit(uint8_t byte) {
  return byte >= '0' && byte <= '9' ? byte - '0' : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

}  // namespace

std::unique_ptr<Lexer::Table> Lexer::new_table() {
  auto table = std::make_unique<Table>();
  table->fill(kUnknown);
  bytes_ += sizeof(Table);
  return table;
}

uint32_t Lexer::intern(Key key) {
  if (std::all_of(key.parts.begin(), key.parts.end(), [](ExprId e) { return e == Exprs::kNothing; })) return kDead;
  HashMix h;
  h.add(static_cast<uint64_t>(key.coding) | static_cast<uint64_t>(key.sub) << 8 | static_cast<uint64_t>(key.left) << 16 |
        static_cast<uint64_t>(key.length) << 24 | static_cast<uint64_t>(key.value) << 32);
  for (const ExprId e : key.parts) h.add(static_cast<uint64_t>(e));
  if (const int64_t known = ids_.find(h.value(), [&](uint32_t id) { return states_[id]->key == key; }); known >= 0)
    return static_cast<uint32_t>(known);
  const auto id = static_cast<uint32_t>(states_.size());
  ids_.add(h.value(), id);
  bytes_ += sizeof(State) + key.parts.size() * sizeof(ExprId) + 64;
  states_.push_back(std::make_unique<State>());
  states_.back()->key = std::move(key);
  return id;
}

uint32_t Lexer::start(Coding coding, std::span<const ExprId> parts) {
  Key key{.coding = coding, .parts = {parts.begin(), parts.end()}};
  for (ExprId& e : key.parts)
    if (!exprs_.live(e)) e = Exprs::kNothing;
  return intern(std::move(key));
}

bool Lexer::accepts(uint32_t state) const {
  if (!at_boundary(state)) return false;
  const auto& parts = states_[state]->key.parts;
  return std::any_of(parts.begin(), parts.end(), [this](ExprId e) { return exprs_.nullable(e); });
}

uint32_t Lexer::take(const Key& key, char32_t c) {
  Key next{.coding = key.coding, .parts = key.parts};
  for (ExprId& e : next.parts) {
    if (e == Exprs::kNothing) continue;
    e = exprs_.derivative(e, c);
    if (!exprs_.live(e)) e = Exprs::kNothing;
  }
  return intern(std::move(next));
}

// Whether some character from first to last leads on.
bool Lexer::some_live(const Key& key, char32_t first, char32_t last) {
  for (const ExprId e : key.parts) {
    if (e == Exprs::kNothing) continue;
    if (e == Exprs::kAll) return true;
    const auto span = exprs_.derivative(e);
    const std::vector<Exprs::Piece> pieces(span.begin(), span.end());
    auto it = std::lower_bound(pieces.begin(), pieces.end(), first, [](const Exprs::Piece& p, char32_t x) { return p.last < x; });
    for (char32_t from = first; it != pieces.end() && from <= last; from = it->last + 1, ++it)
      if (exprs_.live(it->target)) return true;
  }
  return false;
}

// Whether every part goes on in one way for all characters from first to last.
bool Lexer::all_alike(const Key& key, char32_t first, char32_t last) {
  return std::all_of(key.parts.begin(), key.parts.end(), [&](ExprId e) {
    if (e == Exprs::kNothing || e == Exprs::kAll) return true;
    const auto pieces = exprs_.derivative(e);
    return std::lower_bound(pieces.begin(), pieces.end(), first, [](const Exprs::Piece& p, char32_t x) {
             return p.last < x;
           })->last >= last;
  });
}

uint32_t Lexer::fill(uint32_t state, uint8_t byte) {
  const Key key = states_[state]->key;  // a copy: stepping makes states
  const uint32_t next = step(key, byte);
  (*states_[state]->table)[byte] = next;
  return next;
}

uint32_t Lexer::step(const Key& key, uint8_t byte) {
  Key next = key;
  switch (key.sub) {
    case Sub::boundary:
      if (key.coding == Coding::json_string) {
        if (byte == '"')
          return std::any_of(key.parts.begin(), key.parts.end(), [this](ExprId e) { return exprs_.nullable(e); }) ? kEnd : kDead;
        if (byte == '\\') {
          next.sub = Sub::escape;
          if (some_live(key, 0, 0x1F) || some_live(key, '"', '"') || some_live(key, '\\', '\\')) return intern(std::move(next));
          return kDead;
        }
        if (byte < 0x20) return kDead;
      }
      if (byte < 0x80) return take(key, byte);
      if (byte < 0xC2 || byte > 0xF4) return kDead;
      next.sub = Sub::utf8;
      next.length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
      next.left = next.length - 1;
      next.value = byte & (0x7Fu >> next.length);
      break;
    case Sub::utf8:
      if ((byte & 0xC0) != 0x80) return kDead;
      next.value = (key.value << 6) | (byte & 0x3Fu);
      next.left = key.left - 1;
      break;
    case Sub::tail:
      if ((byte & 0xC0) != 0x80) return kDead;
      if (--next.left == 0) next.sub = Sub::boundary;
      return intern(std::move(next));
    case Sub::escape:
      if (byte == 'u') {
        next.sub = Sub::u;
        if (some_live(key, 0, 7) || some_live(key, 0xB, 0xB) || some_live(key, 0xE, 0x1F)) return intern(std::move(next));
        return kDead;
      }
      for (const uint8_t letter : kEscapeLetters)
        if (letter == byte) return take(key, escaped(byte));
      return kDead;
    case Sub::u:
    case Sub::u0:
      if (byte != '0') return kDead;
      next.sub = key.sub == Sub::u ? Sub::u0 : Sub::u00;
      return intern(std::move(next));
    case Sub::u00: {
      if (byte != '0' && byte != '1') return kDead;
      next.sub = byte == '0' ? Sub::u000 : Sub::u001;
      const bool live =
          byte == '0' ? some_live(key, 0, 7) || some_live(key, 0xB, 0xB) || some_live(key, 0xE, 0xF) : some_live(key, 0x10, 0x1F);
      return live ? intern(std::move(next)) : kDead;
    }
    case Sub::u000:
    case Sub::u001: {
      const int digit = hex_digit(byte);
      if (digit < 0) return kDead;
      const auto c = static_cast<char32_t>((key.sub == Sub::u001 ? 16 : 0) + digit);
      return has_letter(c) ? kDead : take(key, c);
    }
  }
  // In a UTF-8 sequence: which characters can it still become? Overlong forms, surrogates and what lies past the last are none.
  if (next.left == 0) {
    const char32_t c = next.value;
    const char32_t least = next.length == 2 ? 0x80 : next.length == 3 ? 0x800 : 0x10000;
    return c < least || c > kLastCodePoint || (c >= 0xD800 && c <= 0xDFFF) ? kDead : take(key, c);
  }
  const unsigned shift = 6u * next.left;
  char32_t first = next.value << shift, last = ((next.value + 1) << shift) - 1;
  const bool all_valid = first >= (next.length == 2   ? 0x80u
                                   : next.length == 3 ? 0x800u
                                                      : 0x10000u) &&
                         last <= kLastCodePoint && (last < 0xD800 || first > 0xDFFF);
  if (all_valid && all_alike(key, first, last)) {  // most of the time, and then one state serves all of them
    Key tail{.coding = key.coding, .sub = Sub::tail, .left = next.left, .parts = key.parts};
    for (ExprId& e : tail.parts) {
      if (e == Exprs::kNothing) continue;
      e = exprs_.derivative(e, first);
      if (!exprs_.live(e)) e = Exprs::kNothing;
    }
    return intern(std::move(tail));
  }
  first = std::max<char32_t>(first, next.length == 3 ? 0x800 : next.length == 4 ? 0x10000 : 0x80);
  last = std::min(last, kLastCodePoint);
  if (first > last) return kDead;
  bool live = false;
  if (first < 0xD800) live |= some_live(key, first, std::min<char32_t>(last, 0xD7FF));
  if (last > 0xDFFF) live |= some_live(key, std::max<char32_t>(first, 0xE000), last);
  return live ? intern(std::move(next)) : kDead;
}

// Breadth first over plain characters: the depth at which the first of them is dead. Small automata close; long chains (a length bound
// inside a pattern) are followed some way, which is a lower bound and enough to be useful.
Lexer::Reach Lexer::reach(uint32_t state) {
  State& s = *states_[state];
  if (s.reach_known) return s.reach;
  constexpr size_t kMaxStates = 48;
  s.reach_known = true;
  if (s.key.sub != Sub::boundary) return s.reach;
  if (s.key.parts.size() == 1) {
    int64_t min = 0, max = 0;
    if (exprs_.is_length(s.key.parts[0], min, max))
      return s.reach = max == Exprs::kUnbounded ? Reach{kForever, false}
                                                : Reach{static_cast<int>(std::min<int64_t>(max, kForever)), true};
  }
  using Parts = std::vector<ExprId>;
  std::set<Parts> seen{s.key.parts};
  std::vector<Parts> level{s.key.parts};
  int depth = 0;
  while (!level.empty()) {
    std::vector<Parts> next_level;
    for (const Parts& parts : level) {
      // The borders of all parts' pieces, and of what is not plain.
      std::vector<char32_t> starts{0x20, '"' + 1, '\\' + 1, 0x202A, 0xE000};
      for (const ExprId e : parts) {
        if (e == Exprs::kNothing) continue;
        for (const Exprs::Piece& p : exprs_.derivative(e))
          if (p.last < kLastCodePoint) starts.push_back(p.last + 1);
        if (starts.size() > 4000) return s.reach = {depth, false};
      }
      std::sort(starts.begin(), starts.end());
      starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
      for (const char32_t c : starts) {
        if (!is_plain(c)) continue;
        Parts next;
        bool alive = false;
        for (const ExprId e : parts) {
          const ExprId d = e == Exprs::kNothing ? e : exprs_.derivative(e, c);
          next.push_back(exprs_.live(d) ? d : Exprs::kNothing);
          alive |= next.back() != Exprs::kNothing;
        }
        if (!alive) return s.reach = {depth, false};
        if (seen.insert(next).second) next_level.push_back(std::move(next));
      }
      if (seen.size() > kMaxStates) return s.reach = {depth, false};
    }
    level = std::move(next_level);
    ++depth;
  }
  return s.reach = {kForever, false};
}

}  // namespace quern
