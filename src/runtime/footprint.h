// Footprint: the bytes that states in memory take together: each one's own numbers, and KV pages, however many share them, once.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/sequence_state.h"

namespace quern {

class Footprint {
 public:
  // What a state takes; stays valid as an account of it when the state is gone.
  struct Item {
    size_t own = 0;                                          // the recurrent part
    std::vector<std::pair<const std::byte*, size_t>> pages;  // with their bytes; layer by layer, in order
  };
  static Item item(const SequenceState& state) {
    Item item{state.recurrent_bytes(), {}};
    for (const KvCache* cache : state.kv_caches())
      for (const KvPage& page : cache->pages()) item.pages.emplace_back(page.data, cache->page_bytes());
    return item;
  }

  void add(const SequenceState& state) { add(item(state)); }
  void remove(const SequenceState& state) { remove(item(state)); }
  void add(const Item& item) {
    bytes_ += item.own;
    for (const auto& [page, bytes] : item.pages)
      if (++pages_[page] == 1) bytes_ += bytes;
  }
  void remove(const Item& item) {
    bytes_ -= item.own;
    for (const auto& [page, bytes] : item.pages) {
      const auto at = pages_.find(page);
      if (--at->second > 0) continue;
      pages_.erase(at);
      bytes_ -= bytes;
    }
  }
  // What remove() would free. States share pages from their beginnings on, so counting from each layer's end may stop at a shared one.
  size_t removal_frees(const SequenceState& state) const {
    size_t freed = state.recurrent_bytes();
    for (const KvCache* cache : state.kv_caches())
      for (auto page = cache->pages().rbegin(); page != cache->pages().rend() && pages_.at(page->data) == 1; ++page)
        freed += cache->page_bytes();
    return freed;
  }
  size_t own_pages(const Item& item) const {  // bytes of pages that nobody else among those added has
    size_t bytes = 0;
    for (const auto& [page, size] : item.pages) bytes += pages_.at(page) == 1 ? size : 0;
    return bytes;
  }
  size_t bytes() const { return bytes_; }

 private:
  std::unordered_map<const std::byte*, int> pages_;
  size_t bytes_ = 0;
};

}  // namespace quern
