// Query heads by as many as an inner loop takes at once. Included inside the brackets of an instruction set, like what uses it.
#pragma once

#include <cstdint>

namespace quern {
namespace {

// Calls each.operator()<heads>(first head) for `most` heads at a time, and by halves for those that remain.
template <int most, class Each>
inline void in_groups(int64_t heads, int64_t first, Each each) {
  for (; first + most <= heads; first += most) each.template operator()<most>(first);
  if constexpr (most > 1)
    if (first < heads) in_groups<most / 2>(heads, first, each);
}

}  // namespace
}  // namespace quern
