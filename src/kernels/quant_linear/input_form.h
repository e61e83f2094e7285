// The forms in which versions of quant_linear want activations.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quern {

enum class InputForm : uint8_t {
  rows,           // Int8Activations, codes in natural order
  even_odd_rows,  // the same, CodeOrder::even_odd
  offset_tiles,   // PackedTokens, for formats with offsets
  e2m1_tiles,     // PackedTokens, for E2M1
};
inline constexpr size_t kInputForms = 4;
constexpr bool is_tiles(InputForm form) { return form >= InputForm::offset_tiles; }

}  // namespace quern
