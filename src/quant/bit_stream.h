// A little-endian bit stream, as MLX stores the codes of a row: code i of b bits in bits b i to b (i + 1). At most eight bits at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quern::quant {

inline unsigned bits_at(const std::byte* stream, int64_t bit, int count) {
  const int64_t byte = bit / 8, shift = bit % 8;
  unsigned window = std::to_integer<unsigned>(stream[byte]);
  if (shift + count > 8) window |= std::to_integer<unsigned>(stream[byte + 1]) << 8;
  return window >> shift & ((1U << count) - 1);
}

// Where there are zeros.
inline void put_bits(std::byte* stream, int64_t bit, unsigned value) {
  const unsigned window = value << bit % 8;
  stream[bit / 8] |= static_cast<std::byte>(window & 255);
  if (window > 255) stream[bit / 8 + 1] |= static_cast<std::byte>(window >> 8);
}

}  // namespace quern::quant
