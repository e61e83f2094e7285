#include "constrain/matcher.h"

#include <array>

#include "constrain/lexer.h"

namespace quern {

Matcher::Matcher(std::unique_ptr<Machine> machine, const Vocabulary& vocabulary, Limits limits)
    : machine_(std::move(machine)), vocabulary_(vocabulary), limits_(limits), mask_(vocabulary.size()) {
  history_.push_back({machine_->start(), 0});
}

std::optional<Machine::State> Matcher::walk(Machine::State state, std::string_view bytes) {
  // The machine sees all bytes before the one it reads.
  const size_t base = text_.size();
  text_ += bytes;
  std::optional<Machine::State> at = state;
  for (size_t i = 0; i < bytes.size() && at; ++i)
    at = machine_->step(*at, static_cast<uint8_t>(bytes[i]), std::string_view(text_).substr(0, base + i));
  text_.resize(base);
  return at;
}

bool Matcher::accept(int32_t token) {
  if (ended_ || token < 0) return false;
  if (vocabulary_.is_end(token)) {
    if (!can_end()) return false;
    history_.push_back({history_.back().state, text_.size(), true});
    return ended_ = true;
  }
  if (static_cast<size_t>(token) >= vocabulary_.size()) return false;
  const std::string_view bytes = vocabulary_.bytes(token);
  if (bytes.empty()) return false;
  const auto next = walk(history_.back().state, bytes);
  if (!next || !machine_->healthy()) return false;
  text_ += bytes;
  history_.push_back({machine_->settle(*next, text_), text_.size()});
  return true;
}

size_t Matcher::count_acceptable(std::span<const int32_t> draft) {
  size_t n = 0;
  while (n < draft.size() && accept(draft[n])) ++n;
  rollback(n);
  return n;
}

void Matcher::rollback(size_t n) {
  history_.resize(history_.size() - std::min(n, accepted()));
  text_.resize(history_.back().text_bytes);
  ended_ = history_.back().ended;
}

bool Matcher::can_end() { return machine_->can_end(history_.back().state, text_); }

// Depth first: the states of the bytes on the way are kept by depth, so each node costs one step.
void Matcher::walk_trie(const TokenTrie& trie, Machine::State from, TokenMask& mask) {
  std::array<Machine::State, 256> path;
  path[0] = from;
  Lexer* lexer = machine_->lexer();
  const size_t base = text_.size();
  text_.resize(base + 256);
  const auto nodes = trie.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const Machine::State state = path[node.depth - 1u];
    if (state.lex != 0 && lexer) {
      const uint32_t next = lexer->next(state.lex, node.byte);
      if (next != Lexer::kDead && next != Lexer::kEnd) {
        path[node.depth] = {state.control, next, state.mark};
        text_[base + node.depth - 1u] = static_cast<char>(node.byte);
        if (node.token >= 0) mask.set(node.token);
        ++i;
        continue;
      }
    }
    const auto next = machine_->step(state, node.byte, std::string_view(text_).substr(0, base + node.depth - 1u));
    if (!next) {
      i = node.skip;
      continue;
    }
    path[node.depth] = *next;
    text_[base + node.depth - 1u] = static_cast<char>(node.byte);
    if (node.token >= 0) mask.set(node.token);
    ++i;
  }
  text_.resize(base);
}

void Matcher::walk_lexeme(const TokenTrie& trie, uint32_t lex, TokenMask& mask) {
  std::array<uint32_t, 256> path;
  path[0] = lex;
  Lexer& lexer = *machine_->lexer();
  const auto nodes = trie.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const uint32_t next = lexer.next(path[node.depth - 1u], node.byte);
    if (next == Lexer::kDead || next == Lexer::kEnd) {
      i = node.skip;
      continue;
    }
    path[node.depth] = next;
    if (node.token >= 0) mask.set(node.token);
    ++i;
  }
}

// The tokens that stay inside a JSON string from here on.
const TokenMask& Matcher::interior(uint32_t lex) {
  const auto [it, is_new] = interiors_.try_emplace(lex, 0);
  if (!is_new) return it->second;
  cached_.emplace_back(true, lex);
  TokenMask mask(vocabulary_.size());
  const Lexer::Reach reach = machine_->lexer()->reach(lex);
  if (reach.characters > 0) mask |= vocabulary_.plain(reach.characters);
  if (reach.exact || reach.characters >= vocabulary_.longest_plain())
    walk_lexeme(vocabulary_.odd(), lex, mask);
  else
    walk_lexeme(vocabulary_.without_quote(), lex, mask);
  return interiors_[lex] = std::move(mask);
}

Result<const TokenMask*> Matcher::mask() {
  const Machine::State state = history_.back().state;
  if (ended_) {
    mask_.clear();
    return &mask_;
  }
  const auto key = machine_->key(state);
  if (key)
    if (const auto known = masks_.find(*key); known != masks_.end()) return &known->second;
  const Lexer* lexer = machine_->lexer();
  const bool in_string = state.lex != 0 && lexer && lexer->coding(state.lex) == Lexer::Coding::json_string;
  mask_.clear();
  if (in_string) {
    mask_ |= interior(state.lex);
    walk_trie(vocabulary_.with_quote(), state, mask_);
  } else {
    walk_trie(vocabulary_.all(), state, mask_);
  }
  if (can_end())
    for (const int32_t id : vocabulary_.end_ids())
      if (id >= 0 && static_cast<size_t>(id) < mask_.size()) mask_.set(id);
  QUERN_TRY(machine_->healthy());
  const size_t mask_bytes = mask_.words().size() * sizeof(uint64_t) + 64;
  while (!cached_.empty() && (cached_.size() + 1) * mask_bytes > limits_.mask_bytes) {
    const auto [is_interior, oldest] = cached_.front();
    cached_.pop_front();
    if (is_interior)
      interiors_.erase(static_cast<uint32_t>(oldest));
    else
      masks_.erase(oldest);
  }
  if (!key) return &mask_;
  cached_.emplace_back(false, *key);
  return &(masks_[*key] = mask_);
}

int Matcher::only_byte(Machine::State state) {
  // Bytes in the order in which two of them are soonest found.
  static constexpr std::array<uint8_t, 256> kOrder = [] {
    std::array<uint8_t, 256> order{};
    size_t n = 0;
    const std::string_view first = " \"ae0tn{[}],:<\n";
    for (const char c : first) order[n++] = static_cast<uint8_t>(c);
    for (int b = 0; b < 256; ++b)
      if (first.find(static_cast<char>(b)) == std::string_view::npos) order[n++] = static_cast<uint8_t>(b);
    return order;
  }();
  const auto key = machine_->key(state);
  if (key)
    if (const auto known = only_.find(*key); known != only_.end()) return known->second;
  int only = kChoice;
  for (const uint8_t byte : kOrder) {
    if (!machine_->step(state, byte, text_)) continue;
    if (only != kChoice) {
      only = kChoice;
      break;
    }
    only = byte;
  }
  if (key) only_.emplace(*key, static_cast<int16_t>(only));
  return only;
}

std::string Matcher::forced() {
  if (ended_) return {};
  Machine::State state = history_.back().state;
  const size_t base = text_.size();
  while (text_.size() - base < limits_.forced_bytes && !machine_->can_end(state, text_)) {
    const int only = only_byte(state);
    if (only == kChoice) break;
    state = *machine_->step(state, static_cast<uint8_t>(only), text_);
    text_ += static_cast<char>(only);
  }
  std::string out = text_.substr(base);
  text_.resize(base);
  return out;
}

}  // namespace quern
