// A panel: up to 512 columns of 16 rows of a quantised matrix, unpacked for multiplication by bytes.
//   codes    u8   [columns / 4][16 rows][4]: code + code_offset, four neighbouring columns of a row in a lane of 32 bits
//   scales   f32  [groups][16 rows], a group of `group` columns each
//   offsets  f32  the same, where the format has them (ggml's mins, MLX's biases)
// Columns are in the code order of the matrix (quant_linear.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/quant_linear/packed_tokens.h"
#include "quant/activations.h"
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
  int64_t chunk_bytes = 0;  // of codes in these columns of a row
  int64_t ahead = 0;        // bytes from here to where the next 16 rows have their codes, to prefetch
};

// Sixteen rows in a strip (quant/strips.h).
struct StripSource {
  QuantRow strip;
  int64_t cols = 0;
};

// What a multiplication has to know of a format.
struct PanelFormat {
  int group = 32;       // 16 or 32 columns to a scale
  int code_offset = 0;  // added to codes to make them unsigned
  int code_limit = 15;  // the largest unsigned code
  bool has_offsets = false;
};
// Absent: the format has no panels.
std::optional<PanelFormat> panel_format(QuantFormat format);

// Tokens of a chunk: the first one's row at the chunk's first column, and the distance to the next.
struct Tokens {
  Int8Row first;
  int64_t blocks = 0;  // of a whole row

  const int8_t* codes(int64_t t) const { return first.codes + t * blocks * kActivationBlock; }
  const float* scales(int64_t t) const { return first.scales + t * blocks; }
  const int16_t* sums(int64_t t) const { return first.sums + t * blocks * 2; }
  Tokens from(int64_t t) const { return {{codes(t), scales(t), sums(t)}, blocks}; }
};

// What an instruction set does with strips of a format: one of the two.
struct StripKernel {
  void (*unpack)(const StripSource& source, int64_t column, int count, Panel& panel) = nullptr;
  // Strips [begin, end) of the matrix times a run of tokens, as they are read: without panels. out: of the first token and row 0.
  void (*multiply)(const QuantMatrix& weight, int64_t begin, int64_t end, const PackedTokens& x, int64_t first_token,
                   int64_t tokens, float* out, int64_t out_stride) = nullptr;
};
// Something for each of MLX's affine formats, in the order of QuantFormat.
template <class T>
using ForAffine = std::array<T, 18>;
// make.operator()<bits, group>() for each of them.
template <class T, class Make>
constexpr ForAffine<T> for_affine(Make make) {
  const auto of_groups = [&]<int bits>() {
    return std::array<T, 3> {
      make.template operator()<bits, 32>(),
      make.template operator()<bits, 64>(),
      make.template operator()<bits, 128>()
    };
  };
  ForAffine<T> all{};
  size_t at = 0;
  for (const std::array<T, 3>& three :
       {of_groups.template operator()<2>(), of_groups.template operator()<3>(), of_groups.template operator()<4>(),
        of_groups.template operator()<5>(), of_groups.template operator()<6>(), of_groups.template operator()<8>()})
    for (const T& one : three) all[at++] = one;
  return all;
}

struct StripKernels {
  StripKernel mlx_mxfp4;
  ForAffine<StripKernel> mlx_affine;
};

// What an instruction set brings.
struct PanelKernel {
  using Unpack = void (*)(const PanelSource& source, Panel& panel);
  struct Unpackers {
    Unpack mlx_mxfp4, mxfp4, q4_0, q8_0, q4_k, q5_k, q6_k;
    ForAffine<Unpack> mlx_affine;
  };
  Unpackers unpack;
  StripKernels strips;
  // totals [count tokens][16 rows] += panel times tokens, block by block; the panel has `blocks` blocks of 32 columns.
  void (*multiply)(const PanelFormat& format, const Panel& panel, int blocks, const Tokens& x, int64_t count, float* totals);
};

// Null where the compiler does not know the instruction set.
namespace avx2 {
const PanelKernel* panel_kernel();
}
namespace avx512 {
const PanelKernel* panel_kernel();
}

}  // namespace quern::panels
