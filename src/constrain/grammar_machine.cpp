#include "constrain/grammar_machine.h"

#include <algorithm>
#include <functional>
#include <set>

namespace quern {
namespace {

constexpr int32_t kNone = -1;
constexpr std::string_view kReadings = "readings of the text at one place", kStates = "states", kMemory = "bytes of states";
constexpr size_t kIndexBytes = 100;  // about what an entry of an index costs besides its key

}  // namespace

// ---- making a set

size_t GrammarMachine::Hash::operator()(const std::vector<int32_t>& key) const {
  uint64_t h = key.size();
  for (const int32_t k : key) h = (h ^ static_cast<uint32_t>(k)) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
  return static_cast<size_t>(h);
}

void GrammarMachine::begin() {
  visited_.clear();
  work_.clear();
  items_.clear();
  for (const int32_t n : predicted_) callers_[static_cast<size_t>(n)].clear();
  predicted_.clear();
  accept_ = false;
}

// An item; and if its terminal may end here, what comes after it.
void GrammarMachine::add(ExprId progress, int32_t next, int32_t cont) {
  if (progress != Exprs::kEmpty) items_.push_back({progress, next, cont});
  if (exprs_.nullable(progress)) visit(next, cont);
  if (items_.size() > limits_.items) exhaust(limits_.items, kReadings);
}

// The text may go on at `slot` of a production that goes on as `cont`.
void GrammarMachine::visit(int32_t slot, int32_t cont) {
  if (!visited_.insert(static_cast<uint64_t>(static_cast<uint32_t>(slot)) << 32 | static_cast<uint32_t>(cont)).second) return;
  work_.push_back({slot, cont});
  if (visited_.size() > limits_.items) exhaust(limits_.items, kReadings);
}

void GrammarMachine::close() {
  while (!work_.empty() && !exhausted_) {
    const auto [at, cont] = work_.back();
    work_.pop_back();
    const Slot& slot = slots_[static_cast<size_t>(at)];
    switch (slot.symbol) {
      case Symbol::end:
        // A nonterminal predicted here that ends here is nullable, and whoever predicted it has gone on already.
        if (cont >= 0)
          for (const Frame& f : conts_[static_cast<size_t>(cont)]) visit(f.slot, f.cont);
        break;
      case Symbol::accept:
        accept_ = true;
        break;
      case Symbol::terminal:
        add(slot.value, slot.next, cont);
        break;
      case Symbol::nonterminal: {
        const Nonterminal& called = nonterminals_[static_cast<size_t>(slot.value)];
        Frames& callers = callers_[static_cast<size_t>(slot.value)];
        if (callers.empty()) {
          predicted_.push_back(slot.value);
          for (const int32_t production : called.productions) visit(production, ~slot.value);
        }
        callers.push_back({slot.next, cont});
        if (called.nullable) visit(slot.next, cont);
        break;
      }
    }
  }
}

int32_t GrammarMachine::finish() {
  close();
  resolve_conts();
  if (exhausted_ || exprs_.exhausted()) return kDead;
  for (Item& item : items_)
    if (item.cont < 0) item.cont = local_cont_[static_cast<size_t>(~item.cont)];
  std::sort(items_.begin(), items_.end());
  items_.erase(std::unique(items_.begin(), items_.end()), items_.end());
  return intern_set(accept_, items_);
}

// Who predicts comes before who is predicted, so that conts refer to conts that are there; rules that begin with one another go
// together.
void GrammarMachine::resolve_conts() {
  const auto component = [this](int32_t n) { return nonterminals_[static_cast<size_t>(n)].component; };
  std::sort(predicted_.begin(), predicted_.end(),
            [&](int32_t a, int32_t b) { return component(a) != component(b) ? component(a) > component(b) : a < b; });
  for (size_t i = 0; i < predicted_.size() && !exhausted_;) {
    size_t end = i + 1;
    while (end < predicted_.size() && component(predicted_[end]) == component(predicted_[i])) ++end;
    resolve_component(std::span(predicted_).subspan(i, end - i));
    i = end;
  }
}

void GrammarMachine::resolve_component(std::span<const int32_t> members) {
  const int32_t component = nonterminals_[static_cast<size_t>(members[0])].component;
  const auto is_member = [&](int32_t cont) { return cont < 0 && nonterminals_[static_cast<size_t>(~cont)].component == component; };
  // Callers with nothing left to do stand for their own conts. Where those are members' too, the frames flow until nothing changes.
  std::vector<std::pair<int32_t, int32_t>> flows;  // from, to: nonterminals
  size_t total = 0;
  for (const int32_t n : members) {
    Frames frames;
    for (const Frame& f : callers_[static_cast<size_t>(n)]) {
      if (is_member(f.cont)) {
        if (f.slot != kEndSlot)
          frames.push_back(f);
        else if (~f.cont != n)
          flows.emplace_back(~f.cont, n);
        continue;
      }
      const int32_t cont = f.cont >= 0 ? f.cont : local_cont_[static_cast<size_t>(~f.cont)];
      if (f.slot != kEndSlot) {
        frames.push_back({f.slot, cont});
      } else {
        const Frames& its = conts_[static_cast<size_t>(cont)];
        frames.insert(frames.end(), its.begin(), its.end());
      }
    }
    std::sort(frames.begin(), frames.end());
    frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
    total += frames.size();
    callers_[static_cast<size_t>(n)] = std::move(frames);
    if (total > limits_.items) return exhaust(limits_.items, kReadings);
  }
  size_t merged = 0;
  for (bool changed = !flows.empty(); changed;) {
    changed = false;
    for (const auto& [from, to] : flows) {
      Frames both;
      std::set_union(callers_[static_cast<size_t>(from)].begin(), callers_[static_cast<size_t>(from)].end(),
                     callers_[static_cast<size_t>(to)].begin(), callers_[static_cast<size_t>(to)].end(), std::back_inserter(both));
      merged += both.size() + 1;
      if (merged > 100 * limits_.items) return exhaust(limits_.items, kReadings);
      if (both.size() == callers_[static_cast<size_t>(to)].size()) continue;
      callers_[static_cast<size_t>(to)] = std::move(both);
      changed = true;
    }
  }

  bool cyclic = false;
  for (const int32_t n : members)
    for (const Frame& f : callers_[static_cast<size_t>(n)]) cyclic = cyclic || f.cont < 0;
  if (!cyclic) {
    for (const int32_t n : members) local_cont_[static_cast<size_t>(n)] = intern_cont(callers_[static_cast<size_t>(n)]);
    return;
  }
  if (adopt_group(members)) return;
  std::vector<int32_t> key;
  for (const int32_t n : members) {
    const Frames& frames = callers_[static_cast<size_t>(n)];
    key.insert(key.end(), {n, static_cast<int32_t>(frames.size())});
    for (const Frame& f : frames) key.insert(key.end(), {f.slot, f.cont});
  }
  const size_t key_bytes = key.size() * sizeof(int32_t) + kIndexBytes;
  const auto [it, added] = group_index_.try_emplace(std::move(key), static_cast<int32_t>(conts_.size()));
  const int32_t first = it->second;
  for (size_t i = 0; i < members.size(); ++i) local_cont_[static_cast<size_t>(members[i])] = first + static_cast<int32_t>(i);
  if (!added) return;
  bytes_ += key_bytes;
  groups_.emplace_back();
  for (const int32_t n : members) {
    groups_.back().emplace_back(n, local_cont_[static_cast<size_t>(n)]);
    add_cont(with_local_conts(callers_[static_cast<size_t>(n)]));
    group_of_.resize(conts_.size(), kNone);
    group_of_.back() = static_cast<int32_t>(groups_.size()) - 1;
  }
}

GrammarMachine::Frames GrammarMachine::with_local_conts(Frames frames) const {
  for (Frame& f : frames)
    if (f.cont < 0) f.cont = local_cont_[static_cast<size_t>(~f.cont)];
  std::sort(frames.begin(), frames.end());
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  return frames;
}

// The members x go on as x = F(x, y) says, y being groups made before. A group y with y = F(y, y) goes on in the same way (the
// least solutions are equal), and is the one to use. It keeps sets equal along texts of E ::= E "+" E, whose every "+" would
// otherwise lead to another and larger set.
bool GrammarMachine::adopt_group(std::span<const int32_t> members) {
  constexpr size_t kTried = 4;  // the newest: the place just before this one
  std::set<int32_t, std::greater<>> candidates;
  for (const int32_t n : members)
    for (const Frame& f : callers_[static_cast<size_t>(n)])
      if (f.cont >= 0 && static_cast<size_t>(f.cont) < group_of_.size()) candidates.insert(group_of_[static_cast<size_t>(f.cont)]);
  candidates.erase(kNone);
  size_t tried = 0;
  for (const int32_t candidate : candidates) {
    if (++tried > kTried) break;
    const auto& group = groups_[static_cast<size_t>(candidate)];
    const bool has_members = std::all_of(members.begin(), members.end(), [&](int32_t n) {
      const auto it = std::lower_bound(group.begin(), group.end(), std::pair{n, kNone});
      if (it == group.end() || it->first != n) return false;
      local_cont_[static_cast<size_t>(n)] = it->second;
      return true;
    });
    if (has_members && std::all_of(members.begin(), members.end(), [&](int32_t n) {
          return with_local_conts(callers_[static_cast<size_t>(n)]) ==
                 conts_[static_cast<size_t>(local_cont_[static_cast<size_t>(n)])];
        }))
      return true;
  }
  return false;
}

int32_t GrammarMachine::intern_cont(Frames frames) {
  std::sort(frames.begin(), frames.end());
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  const auto known = cont_index_.find(key_of(frames));
  return known != cont_index_.end() ? known->second : add_cont(std::move(frames));
}

// Of equal conts the first is the one to be found.
int32_t GrammarMachine::add_cont(Frames frames) {
  std::sort(frames.begin(), frames.end());
  const auto id = static_cast<int32_t>(conts_.size());
  cont_index_.try_emplace(key_of(frames), id);
  bytes_ += 2 * frames.size() * sizeof(Frame) + sizeof(Frames) + kIndexBytes;
  conts_.push_back(std::move(frames));
  if (conts_.size() > limits_.sets) exhaust(limits_.sets, kStates);
  if (bytes() > limits_.bytes) exhaust(limits_.bytes, kMemory);
  return id;
}

std::vector<int32_t> GrammarMachine::key_of(const Frames& frames) {
  std::vector<int32_t> key;
  key.reserve(2 * frames.size());
  for (const Frame& f : frames) key.insert(key.end(), {f.slot, f.cont});
  return key;
}

int32_t GrammarMachine::intern_set(bool accept, const std::vector<Item>& items) {
  std::vector<int32_t> key{accept};
  key.reserve(1 + 3 * items.size());
  for (const Item& item : items) key.insert(key.end(), {item.progress, item.next, item.cont});
  const auto [it, added] = set_index_.try_emplace(std::move(key), static_cast<int32_t>(sets_.size()));
  if (added) {
    bytes_ += 2 * items.size() * sizeof(Item) + sizeof(Set) + kIndexBytes;
    sets_.push_back({accept, items, {}});
    if (sets_.size() > limits_.sets) exhaust(limits_.sets, kStates);
    if (bytes() > limits_.bytes) exhaust(limits_.bytes, kMemory);
  }
  return it->second;
}

// ---- reading code points

std::vector<GrammarMachine::Class>& GrammarMachine::classes(int32_t set) {
  Set& s = sets_[static_cast<size_t>(set)];
  if (!s.classes.empty()) return s.classes;
  std::vector<char32_t> borders{kLastCodePoint};
  std::vector<CodeRange> alive;
  std::vector<Exprs::Piece> pieces;
  for (size_t i = 0; i < s.items.size(); ++i) {
    if (i > 0 && s.items[i].progress == s.items[i - 1].progress) continue;  // sorted by progress
    const auto derivative = exprs_.derivative(s.items[i].progress);
    pieces.assign(derivative.begin(), derivative.end());
    char32_t first = 0;
    for (const Exprs::Piece& piece : pieces) {
      borders.push_back(piece.last);
      if (exprs_.live(piece.target)) alive.push_back({first, piece.last});
      first = piece.last + 1;
    }
  }
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  const CharSet any(std::move(alive));
  for (const char32_t last : borders) {
    const int32_t next = any.contains(last) ? kUnknown : kDead;
    if (next == kDead && !s.classes.empty() && s.classes.back().next == kDead)
      s.classes.back().last = last;
    else
      s.classes.push_back({last, next});
  }
  bytes_ += s.classes.size() * sizeof(Class);
  if (bytes() > limits_.bytes) exhaust(limits_.bytes, kMemory);
  return s.classes;
}

namespace {
constexpr auto kEndsBefore = [](const auto& piece, char32_t c) { return piece.last < c; };
}  // namespace

bool GrammarMachine::any_live(int32_t set, CodeRange range) {
  const std::vector<Class>& all = classes(set);
  for (auto it = std::lower_bound(all.begin(), all.end(), range.first, kEndsBefore); it != all.end(); ++it) {
    if (it->next != kDead) return true;
    if (it->last >= range.last) return false;
  }
  return false;
}

int32_t GrammarMachine::next_set(int32_t set, char32_t c) {
  const std::vector<Class>& all = classes(set);
  const size_t which = static_cast<size_t>(std::lower_bound(all.begin(), all.end(), c, kEndsBefore) - all.begin());
  if (all[which].next != kUnknown) return all[which].next;
  begin();
  for (size_t i = 0; i < sets_[static_cast<size_t>(set)].items.size(); ++i) {
    const Item item = sets_[static_cast<size_t>(set)].items[i];
    const ExprId progress = exprs_.derivative(item.progress, c);
    if (exprs_.live(progress)) add(progress, item.next, item.cont);
  }
  const int32_t next = finish();
  if (next != kDead) sets_[static_cast<size_t>(set)].classes[which].next = next;
  return next;
}

// ---- reading bytes

namespace {

// A partial UTF-8 sequence is kept as its bytes, the first one highest. The code points that begin like it; empty (first > last)
// where none does, and what is not a beginning at all. One code point when the sequence is whole.
CodeRange completions(uint32_t sequence) {
  constexpr CodeRange kNoCodePoint{1, 0};
  int have = 1;
  while (have < 4 && sequence >> (8 * have) != 0) ++have;
  const uint32_t lead = sequence >> (8 * (have - 1));
  if (lead < 0x80) return {lead, lead};
  if (lead < 0xC2 || lead > 0xF4) return kNoCodePoint;
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t first = lead & (0x7Fu >> length);
  for (int i = have - 2; i >= 0; --i) {
    const uint32_t byte = sequence >> (8 * i) & 0xFFu;
    if ((byte & 0xC0u) != 0x80u) return kNoCodePoint;
    first = first << 6 | (byte & 0x3Fu);
  }
  const int missing = 6 * (length - have);
  char32_t last = (first + 1) << missing;
  first <<= missing;
  last -= 1;
  const char32_t shortest = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;  // what fewer bytes can write, more may not
  return {std::max(first, shortest), std::min(last, kLastCodePoint)};
}

}  // namespace

std::optional<Machine::State> GrammarMachine::step(State state, uint8_t byte, std::string_view) {
  if (exhausted_ || exprs_.exhausted()) return std::nullopt;
  const auto set = static_cast<int32_t>(state.control);
  const uint32_t sequence = state.mark << 8 | byte;
  const CodeRange range = state.mark == 0 && byte < 0x80 ? CodeRange{byte, byte} : completions(sequence);
  if (range.first > range.last) return std::nullopt;
  std::optional<State> to;
  if (range.first < range.last) {
    // A partial sequence leaves open 64 code points or more, so one alone is a whole sequence.
    if (any_live(set, range)) to = State{state.control, 0, sequence};
  } else if (const int32_t next = next_set(set, range.first); next != kDead) {
    to = State{static_cast<uint32_t>(next), 0, 0};
  }
  if (exhausted_ || exprs_.exhausted()) return std::nullopt;
  return to;
}

bool GrammarMachine::can_end(State state, std::string_view) {
  return state.mark == 0 && sets_[static_cast<size_t>(state.control)].accept;
}

Result<void> GrammarMachine::healthy() const {
  if (exhausted_) return tl::unexpected(*exhausted_);
  if (exprs_.exhausted()) return fail(Errc::out_of_range, "grammar: its expressions need more memory than they may use");
  return {};
}

}  // namespace quern
