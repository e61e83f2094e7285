// A document cut into pieces for search: along headings, between paragraphs, and inside one only where it is longer than a piece
// may be. The pieces follow one another without a gap: neighbours put together are the text again.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace quern {

struct Chunk {
  size_t begin = 0, end = 0;  // bytes, between characters
  std::string heading;        // the Markdown headings above it, outermost first: "Mills > Querns"
};

inline constexpr size_t kChunkBytes = 1600;  // some 400 tokens

// `text` is valid UTF-8.
std::vector<Chunk> split_into_chunks(std::string_view text, size_t most = kChunkBytes);

}  // namespace quern
