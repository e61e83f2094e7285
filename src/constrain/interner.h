// Interner: equal values have one id, from 0 in the order of their first sight. References stay valid.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace quern {

// Ids by the hash of what they name, open addressing: the index behind every hash-consed store of this layer.
class HashIndex {
 public:
  // The id for which `same` holds among those with this hash; or -1, and then add() puts a new one.
  template <class Same>
  int64_t find(uint64_t hash, const Same& same) const {
    if (slots_.empty()) return -1;
    for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[at];
      if (slot.id == kFree) return -1;
      if (slot.hash == static_cast<uint32_t>(hash >> 32) && same(slot.id)) return slot.id;
    }
  }
  void add(uint64_t hash, uint32_t id) {
    if ((used_ + 1) * 2 > slots_.size()) grow();
    put({static_cast<uint32_t>(hash >> 32), id, hash});
    ++used_;
  }
  size_t bytes() const { return slots_.size() * sizeof(Slot); }

 private:
  static constexpr uint32_t kFree = 0xFFFFFFFF;
  struct Slot {
    uint32_t hash = 0;
    uint32_t id = kFree;
    uint64_t full = 0;
  };
  void put(const Slot& slot) {
    size_t at = slot.full & (slots_.size() - 1);
    while (slots_[at].id != kFree) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = slot;
  }
  void grow() {
    std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.id != kFree) put(slot);
  }

  std::vector<Slot> slots_;  // a power of two
  size_t used_ = 0;
};

template <class T, class Hash>
class Interner {
 public:
  uint32_t id(const T& value) {
    const uint64_t hash = Hash{}(value);
    if (const int64_t known = index_.find(hash, [&](uint32_t id) { return values_[id] == value; }); known >= 0)
      return static_cast<uint32_t>(known);
    const auto id = static_cast<uint32_t>(values_.size());
    index_.add(hash, id);
    values_.push_back(value);
    return id;
  }
  const T& operator[](uint32_t id) const { return values_[id]; }
  T& operator[](uint32_t id) { return values_[id]; }
  size_t size() const { return values_.size(); }

 private:
  std::deque<T> values_;
  HashIndex index_;
};

// Mixes 64-bit words into a hash; not for anything that must resist an attacker, whose inputs are bounded anyway.
class HashMix {
 public:
  void add(uint64_t v) {
    h_ = (h_ ^ v) * 0xFF51AFD7ED558CCDu;
    h_ ^= h_ >> 32;
  }
  uint64_t value() const {
    const uint64_t v = h_ * 0x9E3779B97F4A7C15u;
    return v ^ (v >> 32);
  }

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
