// Interner: equal values have one id, from 0 in the order of their first sight. References stay valid.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace quern {

template <class T, class Hash>
class Interner {
 public:
  uint32_t id(const T& value) {
    std::vector<uint32_t>& bucket = index_[Hash{}(value)];
    for (const uint32_t id : bucket)
      if (values_[id] == value) return id;
    bucket.push_back(static_cast<uint32_t>(values_.size()));
    values_.push_back(value);
    return bucket.back();
  }
  const T& operator[](uint32_t id) const { return values_[id]; }
  T& operator[](uint32_t id) { return values_[id]; }
  size_t size() const { return values_.size(); }

 private:
  std::deque<T> values_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> index_;
};

// Mixes 64-bit words into a hash; not for anything that must resist an attacker, whose inputs are bounded anyway.
class HashMix {
 public:
  void add(uint64_t v) {
    h_ = (h_ ^ v) * 0xFF51AFD7ED558CCDu;
    h_ ^= h_ >> 32;
  }
  uint64_t value() const { return h_; }

 private:
  uint64_t h_ = 0x9E3779B97F4A7C15u;
};

struct HashWords {
  uint64_t operator()(const std::vector<int64_t>& words) const {
    HashMix h;
    for (const int64_t w : words) h.add(static_cast<uint64_t>(w));
    return h.value();
  }
};

}  // namespace quern
