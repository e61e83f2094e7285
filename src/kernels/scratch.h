// Scratch: memory that a thread keeps from one call of a kernel to the next. It begins at a line of the cache, so that no vector takes from two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quern {

class Scratch {
 public:
  // `count` elements of anything. What was there is there no longer where it has had to grow.
  template <class Element>
  Element* grown(int64_t count) {
    const auto needed = (static_cast<size_t>(count) * sizeof(Element) + sizeof(Line) - 1) / sizeof(Line);
    if (lines_.size() < needed) lines_ = std::vector<Line>(needed);
    return reinterpret_cast<Element*>(lines_.data());
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> lines_;
};

}  // namespace quern
