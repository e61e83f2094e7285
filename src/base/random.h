// SplitMix64: small, seeded, the same on every machine. For synthetic weights, sampling, generators; not for secrets.
#pragma once

#include <cstdint>
#include <string_view>

namespace quern {

class Random {
  __extension__ using Wide = unsigned __int128;

 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t state() const { return state_; }  // Random(state()) goes on like this one
  uint64_t next() { return mix(state_ += 0x9E3779B97F4A7C15ULL); }
  // Uniform in [0, bound), bound >= 1; the bias of 2^-64 * bound does not matter here.
  uint64_t below(uint64_t bound) { return static_cast<uint64_t>(Wide{next()} * bound >> 64); }
  int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1)); }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)
  bool chance(double probability) { return unit() < probability; }
  template <class Container>
  const auto& pick(const Container& items) {
    return items[below(items.size())];
  }

  static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    return z ^ z >> 31;
  }

 private:
  uint64_t state_;
};

constexpr uint64_t fnv1a_64(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

}  // namespace quern
