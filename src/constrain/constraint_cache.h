// Compiled constraints by their content, kept for the next time they are wanted: a matcher with its machine and its masks. Bounded by bytes;
// the longest unused make room. May be shared between threads; a matcher that was taken belongs to its taker until it is put back.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "constrain/matcher.h"

namespace quern {

class ConstraintCache {
 public:
  explicit ConstraintCache(size_t max_bytes = 256u << 20) : max_bytes_(max_bytes) {}

  // A matcher at its start that was put back under this key; nullptr when there is none.
  std::unique_ptr<Matcher> take(const std::string& key);
  // Restarts it and keeps it. Several may be kept under one key. One that is larger than the whole cache, or unhealthy, is dropped.
  void put(const std::string& key, std::unique_ptr<Matcher> matcher);

  size_t bytes() const;
  size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::unique_ptr<Matcher> matcher;
    size_t bytes;
  };

  const size_t max_bytes_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
  size_t bytes_ = 0;
};

}  // namespace quern
