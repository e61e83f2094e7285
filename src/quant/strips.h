// Strips: sixteen rows of a quantised matrix interleaved, the row order of packed models. A kernel that computes sixteen outputs at a time
// reads a strip as one stream, with no transposition. A strip has the very bits of its rows, in another order:
//   codes   bit planes, of 8 bits or of 4, 2 and 1 bits that add up to the format's: the lowest bits of a code in the first plane. A plane
//           of p bits is a sequence of words of 64 bytes for 32 / p columns each: field f (its p bits from bit p f on) of byte 4 r + i of
//           word w is column w * 32 / p + 4 f + i of row r.
//   scales  [groups][16 rows], biases the same
// so that it takes as many bytes as the rows do. MLX's mxfp4 and affine formats have strips; others stay row by row.
#pragma once

#include <array>
#include <cstdint>

#include "quant/format.h"
#include "quant/row.h"

namespace quern {

inline constexpr int64_t kStripRows = 16;

// Whether matrices of the format can lie in strips; their rows also have to be a multiple of kStripRows.
bool has_strips(QuantFormat format);

// The widths of a format's bit planes, lowest bits first; 0: no more.
constexpr std::array<int, 2> strip_planes(int bits) {
  if (bits == 3) return {2, 1};
  if (bits > 4 && bits < 8) return {4, bits - 4};
  return {bits, 0};
}

// Where in a strip's codes plane 0 or 1 has a column that begins a word, in bytes.
constexpr int64_t strip_plane_at(int bits, int plane, int64_t cols, int64_t column) {
  const std::array<int, 2> planes = strip_planes(bits);
  const int64_t before = plane == 0 ? 0 : cols * planes[0], own = column * planes[static_cast<size_t>(plane)];
  return (before + own) * kStripRows / 8;
}

// kStripRows rows of `cols` weights, one after the other from `rows` on, as the strip at `strip`.
void to_strip(QuantFormat format, int64_t cols, const QuantRow& rows, const MutableQuantRow& strip);
// Row `lane` of a strip.
void from_strip(QuantFormat format, int64_t cols, const QuantRow& strip, int64_t lane, const MutableQuantRow& row);

}  // namespace quern
