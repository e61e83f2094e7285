// Checksum64: tells whether bytes that quern wrote came back as they were. Four lanes of multiply and rotate over 32-byte blocks, so that
// it keeps up with memory; every bit of the input reaches the result. Against accidents, not against forgers.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/random.h"

namespace quern {

class Checksum64 {
 public:
  // How the bytes are divided among calls does not matter.
  void add(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;  // whose address may be null, which memcpy must not see
    total_ += bytes.size();
    if (held_ > 0) {
      const size_t taken = std::min(bytes.size(), kBlock - held_);
      std::memcpy(block_ + held_, bytes.data(), taken);
      held_ += taken;
      bytes = bytes.subspan(taken);
      if (held_ < kBlock) return;
      mix(block_);
      held_ = 0;
    }
    for (; bytes.size() >= kBlock; bytes = bytes.subspan(kBlock)) mix(bytes.data());
    if (!bytes.empty()) std::memcpy(block_, bytes.data(), bytes.size());
    held_ = bytes.size();
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }

  uint64_t value() const {
    Checksum64 padded = *this;
    std::memset(padded.block_ + held_, 0, kBlock - held_);
    padded.mix(padded.block_);
    uint64_t hash = total_;
    for (const uint64_t lane : padded.lanes_) hash = Random::mix(hash ^ lane);
    return hash;
  }

 private:
  static constexpr size_t kBlock = 32;

  void mix(const std::byte* block) {
    for (size_t i = 0; i < 4; ++i) {
      uint64_t word;
      std::memcpy(&word, block + 8 * i, 8);
      // A bijection of the lane for each word, and of the word for each lane. Two factors: with one, a flipped top bit of a word was
      // the same as some flipped bit of the next.
      lanes_[i] = std::rotl(lanes_[i] + word * 0xBF58476D1CE4E5B9ULL, 31) * 0x9E3779B97F4A7C15ULL;
    }
  }

  uint64_t lanes_[4] = {1, 2, 3, 4};
  std::byte block_[kBlock] = {};
  size_t held_ = 0;
  uint64_t total_ = 0;
};

}  // namespace quern
