// Which byte strings occur in a text: the smallest automaton whose paths are a text's substrings (Blumer et al. 1985), built from
// left to right in linear time. Several sets of texts stand side by side; a path from a set's root is a substring of at least one
// of its texts, never of two of them joined. At most two states and three edges a byte.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern {

// Immutable once the sets are added; then it may be shared between threads.
class SuffixAutomaton {
 public:
  using State = uint32_t;
  // Of all texts together: some 60 bytes of memory a byte.
  static constexpr size_t kMaxBytes = size_t{64} << 20;

  // The root of a new set. out_of_range past kMaxBytes.
  Result<State> add_set(std::span<const std::string_view> texts);

  std::optional<State> next(State state, uint8_t byte) const;
  // Whether some edge's byte satisfies `wanted`.
  template <class F>
  bool any_edge(State state, const F& wanted) const {
    for (uint32_t e = nodes_[state].first_edge; e != kNone; e = edges_[e].next)
      if (wanted(edges_[e].byte)) return true;
    return false;
  }
  // Whether a whole character ends here, in a text that is valid UTF-8: all that may follow begins one, or nothing may.
  bool at_character_end(State state) const {
    const uint32_t e = nodes_[state].first_edge;
    return e == kNone || (edges_[e].byte & 0xC0) != 0x80;
  }

  size_t states() const { return nodes_.size(); }
  size_t bytes() const { return nodes_.capacity() * sizeof(Node) + edges_.capacity() * sizeof(Edge); }

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  struct Node {
    uint32_t link = kNone;  // the state of the longest suffix that is another state's
    uint32_t length = 0;    // of the state's longest string
    uint32_t first_edge = kNone;
  };
  struct Edge {
    uint32_t target, next;
    uint8_t byte;
  };

  Edge* find(State state, uint8_t byte);
  void connect(State from, uint8_t byte, State to);
  State extend(State last, uint8_t byte);
  State split(State parent, uint8_t byte, State target);

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  size_t text_bytes_ = 0;
};

}  // namespace quern
