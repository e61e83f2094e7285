// PrefixCache: states of sequences by their tokens, so that a prompt is read from the last place where it parts from what was read before.
// A radix tree over token ids whose nodes may carry a state. A recurrent state cannot be cut at any token, so states are put in where
// later prompts are likely to part: at message boundaries and, in long texts, at geometrically spaced positions. States are settled
// (SequenceState::settled), KV pages are shared by all states that hold them.
//
// When memory is full, the state goes whose loss costs least: tokens that would have to be read again, since the nearest state before it,
// per byte that becomes free, and divided by the time since it was last of use (counted in uses of the cache). So of one conversation the
// last state stays longest, and before it states that lie further and further apart; a system prompt that many conversations begin with
// stays as long as they do. With a folder a state is written there before it goes, or when 2048 tokens have passed since the last one on
// its way that was, by a thread of the cache's own, and loaded when a prompt wants it; the folder's bound is kept by the same rule. Disks
// are no part of any promise: what cannot be written or read is read again from its tokens, and told once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/timeline.h"

namespace quern {

struct PrefixCacheOptions {
  // Bytes of states in memory; KV pages that several states share count once. States that are being written to the folder on their way
  // out may take an eighth more, or one state.
  size_t memory = size_t{2} << 30;
  std::filesystem::path folder;                      // where states are kept beyond the process; empty: nowhere
  size_t disk = size_t{16} << 30;                    // bytes of files there
  std::function<void(std::string)> on_warning = {};  // what is wrong with the folder, a line; called by the functions below
};

struct PrefixCacheStats {
  int64_t states = 0, states_on_disk = 0;  // in memory; in the folder, in memory as well or not
  size_t bytes = 0, bytes_on_disk = 0;
  int64_t lookups = 0, hits = 0, tokens_found = 0;
  int64_t evicted = 0;  // from memory
  int64_t written = 0, loaded = 0;
};

// Belongs to one thread at a time.
class PrefixCache {
 public:
  // Looks through the folder, if there is one; where another process has it open, or it cannot be used, nothing is kept beyond this one.
  PrefixCache(Runner& runner, PrefixCacheOptions options);
  ~PrefixCache();

  // Whether find would answer from memory. If not, what it would give is being fetched from the folder by a thread of the cache's own, a few
  // states at a time: ask again later. find itself waits for it.
  bool ready(std::span<const int32_t> prompt);
  // A timeline that holds the longest known beginning of `prompt` of at most prompt.size() - 1 tokens; a fresh one when there is none.
  Timeline find(std::span<const int32_t> prompt);
  // Length of what find would give, without making it.
  size_t reach(std::span<const int32_t> prompt) const;
  // Remembers where the timeline stands now, at the cost of a copy of its recurrent state. Cheap where it is known already.
  void put(const Timeline& timeline);
  // Of a prompt of `tokens`, the positions at which its reading should pause for put(), rising, none at or before `from`: the first
  // boundary (the system prompt), the last one, and backwards from there boundaries at least an eighth of the way to the end apart, and
  // never less than 512 tokens, so that their number grows with the logarithm of the length, and a prompt that parts from this one
  // somewhere is read again from a place not much further back. Where no boundary is near, a position of the grid that reading is cut at.
  std::vector<size_t> worthwhile(size_t tokens, std::span<const size_t> boundaries, size_t from) const;

  void flush();  // writes what is only in memory to the folder, the costliest to make again first; waits until it is there
  void clear();  // memory and folder
  PrefixCacheStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
