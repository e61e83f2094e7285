// Where the parts of one row of a quantised matrix, or of one strip of rows (strips.h), begin.
#pragma once

#include <cstddef>

#include "quant/format.h"

namespace quern {

// No alignment. scales and biases are null where the format has none in tensors of their own.
struct QuantRow {
  const std::byte* codes = nullptr;
  const std::byte* scales = nullptr;
  const std::byte* biases = nullptr;
  ScaleType scale_type = ScaleType::none;
};

// The same, to be written.
struct MutableQuantRow {
  std::byte* codes = nullptr;
  std::byte* scales = nullptr;
  std::byte* biases = nullptr;
  ScaleType scale_type = ScaleType::none;
};

}  // namespace quern
