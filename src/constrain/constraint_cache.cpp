#include "constrain/constraint_cache.h"

#include <algorithm>

namespace quern {

std::unique_ptr<Matcher> ConstraintCache::take(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  if (it == entries_.end()) return nullptr;
  std::unique_ptr<Matcher> matcher = std::move(it->matcher);
  bytes_ -= it->bytes;
  entries_.erase(it);
  return matcher;
}

void ConstraintCache::put(const std::string& key, std::unique_ptr<Matcher> matcher) {
  if (!matcher || !matcher->machine().healthy()) return;
  matcher->restart();
  const size_t bytes = matcher->bytes() + key.size();
  if (bytes > max_bytes_) return;
  std::list<Entry> dropped;  // destroyed after the lock is given up
  const std::lock_guard lock(mutex_);
  entries_.push_front({key, std::move(matcher), bytes});
  bytes_ += bytes;
  while (bytes_ > max_bytes_) {
    bytes_ -= entries_.back().bytes;
    dropped.splice(dropped.begin(), entries_, std::prev(entries_.end()));
  }
}

size_t ConstraintCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

size_t ConstraintCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace quern
