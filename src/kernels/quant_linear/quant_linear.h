// quant_linear: out[t][n] = weight[n] . x[t] with weights as they are stored and int8 activations (quant/activations.h).
//   x      [tokens, k]    quantised, in the form that input_form() names for the weight
//   weight [rows, k]      a format that has_quant_linear() accepts, any alignment
//   out    [tokens, rows] f32, row stride out_stride
// Every version computes what QuantMatrix::dot, the scalar twin, does, bit for bit: sums of a block are integers, blocks are added from left
// to right with fused multiply-adds. So no element depends on tokens, on the range of rows, nor on the instruction set.
//
// How: 16 rows at a time are unpacked into a panel (panel.h) of bytes in which neighbouring lanes are neighbouring rows, 512 columns long so
// that it stays in the first-level cache; all tokens are multiplied with it. What depends on the format ends at the panel. Matrices in
// strips (quant/strips.h) lie nearly as a panel does and are read as one stream, with AVX-512 without a panel in between; others are sixteen
// streams and have to be transposed.
#pragma once

#include <cstdint>

#include "base/cpu_features.h"
#include "kernels/quant_linear/input_form.h"
#include "kernels/quant_linear/packed_tokens.h"
#include "quant/activations.h"
#include "quant/quant_matrix.h"

namespace quern {

struct QuantLinearArgs {
  // The one that the form asks for.
  const Int8Activations* x = nullptr;
  const PackedTokens* tiles = nullptr;
  int64_t first_token = 0, tokens = 0;  // of x; in tiles: a run that was packed as one
  const QuantMatrix* weight = nullptr;
  float* out = nullptr;  // of first_token
  int64_t out_stride = 0;
};

// Rows that are computed together: ranges that are multiples of it waste nothing.
inline constexpr int64_t kQuantLinearRows = 16;

// Whether this instruction set has a version for the format.
bool has_quant_linear(Isa isa, QuantFormat format);
// The form in which that version wants activations. Only where has_quant_linear().
InputForm input_form(Isa isa, const QuantMatrix& weight);

// Rows [begin, end) of the weight; of one in strips both are multiples of kQuantLinearRows.
void quant_linear(Isa isa, const QuantLinearArgs& args, int64_t begin, int64_t end);

// Asks for what the product with rows from `row` on, a multiple of kQuantLinearRows, reads first: a stream of memory begins with a wait.
void prefetch_rows(const QuantMatrix& weight, int64_t row);

// As Int8Activations::quantize, bit for bit: row `token` of `to` from x [to.cols()].
void quantize_activations(Isa isa, const float* x, CodeOrder order, Int8Activations& to, int64_t token);

namespace avx2 {
void quantize_activations(const float* x, CodeOrder order, Int8Activations& to, int64_t token);
}
namespace avx512 {
void quantize_activations(const float* x, CodeOrder order, Int8Activations& to, int64_t token);
}

}  // namespace quern
