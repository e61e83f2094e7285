#include "constrain/suffix_automaton.h"

namespace quern {

SuffixAutomaton::Edge* SuffixAutomaton::find(State state, uint8_t byte) {
  for (uint32_t e = nodes_[state].first_edge; e != kNone; e = edges_[e].next)
    if (edges_[e].byte == byte) return &edges_[e];
  return nullptr;
}

std::optional<SuffixAutomaton::State> SuffixAutomaton::next(State state, uint8_t byte) const {
  for (uint32_t e = nodes_[state].first_edge; e != kNone; e = edges_[e].next)
    if (edges_[e].byte == byte) return edges_[e].target;
  return std::nullopt;
}

void SuffixAutomaton::connect(State from, uint8_t byte, State to) {
  edges_.push_back({to, nodes_[from].first_edge, byte});
  nodes_[from].first_edge = static_cast<uint32_t>(edges_.size() - 1);
}

// `target` also stands for strings that are longer than parent's by more than the byte: those that are not get a state of their
// own, with the same edges.
SuffixAutomaton::State SuffixAutomaton::split(State parent, uint8_t byte, State target) {
  const auto copy = static_cast<State>(nodes_.size());
  nodes_.push_back({nodes_[target].link, nodes_[parent].length + 1, kNone});
  for (uint32_t e = nodes_[target].first_edge; e != kNone; e = edges_[e].next) {
    const Edge edge = edges_[e];
    connect(copy, edge.byte, edge.target);
  }
  nodes_[target].link = copy;
  for (State p = parent; p != kNone; p = nodes_[p].link) {
    Edge* edge = find(p, byte);
    if (!edge || edge->target != target) break;
    edge->target = copy;
  }
  return copy;
}

SuffixAutomaton::State SuffixAutomaton::extend(State last, uint8_t byte) {
  if (const Edge* known = find(last, byte)) {  // in a text before this one
    const State target = known->target;
    return nodes_[target].length == nodes_[last].length + 1 ? target : split(last, byte, target);
  }
  const auto added = static_cast<State>(nodes_.size());
  nodes_.push_back({kNone, nodes_[last].length + 1, kNone});
  State p = last, root = last;
  for (; p != kNone; p = nodes_[p].link) {
    if (find(p, byte)) break;
    connect(p, byte, added);
    root = p;
  }
  if (p == kNone) {
    nodes_[added].link = root;
    return added;
  }
  const State target = find(p, byte)->target;
  nodes_[added].link = nodes_[target].length == nodes_[p].length + 1 ? target : split(p, byte, target);
  return added;
}

Result<SuffixAutomaton::State> SuffixAutomaton::add_set(std::span<const std::string_view> texts) {
  for (const std::string_view text : texts) {
    if (text.size() > kMaxBytes - text_bytes_)
      return fail(Errc::out_of_range, "texts of more than {} MiB to take strings from", kMaxBytes >> 20);
    text_bytes_ += text.size();
  }
  const auto root = static_cast<State>(nodes_.size());
  nodes_.emplace_back();
  for (const std::string_view text : texts) {
    State last = root;
    for (const char c : text) last = extend(last, static_cast<uint8_t>(c));
  }
  return root;
}

}  // namespace quern
