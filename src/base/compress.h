// Zstandard, for what quern itself keeps on disk and reads again. What comes back is checked: one frame, of exactly the size that was
// announced, whole.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace quern {

// level: 1 (fast) to 19. Each frame carries a checksum of its own.
std::string compress(std::span<const std::byte> bytes, int level = 1);
// `out` is filled. malformed: damaged, more or less than out.size() bytes, or something behind the frame.
Result<void> decompress(std::span<const std::byte> frame, std::span<std::byte> out);

// Numbers of `width` bytes side by side as `width` planes of their first, second, … bytes, and back: floats compress better so, since
// their exponents are alike and their last bits noise. Bytes behind the last whole number stay where they are. out is as long as in.
void split_planes(std::span<const std::byte> in, size_t width, std::span<std::byte> out);
void join_planes(std::span<const std::byte> in, size_t width, std::span<std::byte> out);

}  // namespace quern
