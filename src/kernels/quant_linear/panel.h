// A panel: up to 512 columns of 16 rows of a quantised matrix, unpacked for multiplication by bytes.
//   codes    u8   [columns / 4][16 rows][4]: code + code_offset, four neighbouring columns of a row in a lane of 32 bits
//   scales   f32  [groups][16 rows], a group of `group` columns each
//   offsets  f32  the same, where the format has them (ggml's mins, MLX's biases)
// Columns are in the code order of the format (quant/activations.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/quant_matrix.h"

namespace quern::panels {

inline constexpr int kRows = 16;
inline constexpr int kChunk = 512;  // columns: half a first-level cache of 16 KB with what else is needed
inline constexpr int kGroups = kChunk / 16;

struct Panel {
  alignas(64) uint8_t codes[kChunk * kRows];
  alignas(64) float scales[kGroups][kRows];
  alignas(64) float offsets[kGroups][kRows];
};

// Columns [column, column + count) of 16 rows; column is a multiple of kChunk, count of the format's block, at most kChunk.
struct PanelSource {
  QuantRow rows[kRows];
  int64_t column = 0;
  int count = 0;
  int64_t ahead = 0, scales_ahead = 0;  // bytes from here to where the next 16 rows have theirs, to prefetch
};

struct PanelFormat {
  void (*unpack)(const PanelSource& source, Panel& panel) = nullptr;  // null: no such format
  int group = 32;                                                     // 16 or 32 columns to a scale
  int code_offset = 0;                                                // added to codes to make them unsigned
  bool has_offsets = false;
};

namespace avx512 {
PanelFormat panel_format(QuantFormat format);
}

}  // namespace quern::panels
