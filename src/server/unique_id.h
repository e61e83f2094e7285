// What nobody can guess: seeds for requests that name none, and ids.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace quern {

inline uint64_t random_seed() {
  thread_local std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// The prefix and 24 letters and digits: "call_k3v…".
inline std::string unique_id(std::string_view prefix) {
  constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string id(prefix);
  uint64_t bits = 0;
  for (int i = 0; i < 24; ++i) {
    if (i % 12 == 0) bits = random_seed();  // 36^12 < 2^63
    id += kLetters[bits % kLetters.size()];
    bits /= kLetters.size();
  }
  return id;
}

}  // namespace quern
