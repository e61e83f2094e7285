// PrefixCache: states of sequences by their tokens, so that a prompt is read from the last place where it parts from what was read before.
// A radix tree over token ids whose nodes may carry a state. A recurrent state cannot be cut at any token, so states are put in where
// later prompts are likely to part: at message boundaries and, in long texts, at geometrically spaced positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "model/sequence_state.h"
#include "runtime/timeline.h"

namespace quern {

struct PrefixCacheOptions {
  size_t memory = size_t{2} << 30;  // bytes of states in memory; KV pages that several states share count once
  std::filesystem::path folder;     // where states are kept beyond the process; empty: nowhere
  size_t disk = size_t{16} << 30;   // bytes of files there
};

struct PrefixCacheStats {
  int64_t states = 0, states_on_disk = 0;
  size_t bytes = 0, bytes_on_disk = 0;
  int64_t lookups = 0, hits = 0, tokens_found = 0, evicted = 0;
};

// Belongs to one thread at a time.
class PrefixCache {
 public:
  PrefixCache(Runner& runner, PrefixCacheOptions options);
  ~PrefixCache();

  // A timeline that holds the longest known beginning of `prompt` of at most prompt.size() - 1 tokens; a fresh one when there is none.
  Timeline find(std::span<const int32_t> prompt);
  // Length of what find would give, without making it.
  size_t reach(std::span<const int32_t> prompt) const;
  // Remembers where the timeline stands now. Cheap where it is known already.
  void put(const Timeline& timeline);
  // Of a prompt of `tokens`, the positions at which its reading should pause for put(): the boundaries that are worth a state and the
  // spaced ones between them, rising, none at or before `from`.
  std::vector<size_t> worthwhile(size_t tokens, std::span<const size_t> boundaries, size_t from) const;

  void flush();  // writes what is only in memory to the folder, the costliest to make again first
  void clear();
  PrefixCacheStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
