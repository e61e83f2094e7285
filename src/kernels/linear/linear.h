// linear: out[t][n] = sum_k x[t][k] * weight[n][k], the matrix product every projection is.
//   x      [tokens, k]    f32, row stride x_stride
//   weight [rows, k]      any storage format (quant/format.h), any alignment
//   out    [tokens, rows] f32, row stride out_stride
// Rows [begin, end) are computed. Each element sums over k in an order that depends on k alone: not on tokens, nor on the range. Rows of
// block formats are decoded to f32, once for all tokens, and multiplied as f32 rows are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cpu_features.h"
#include "quant/quant_matrix.h"
#include "tensor/dtype.h"

namespace quern {

struct LinearArgs {
  const float* x = nullptr;
  int64_t tokens = 0, x_stride = 0;
  const QuantMatrix* weight = nullptr;
  float* out = nullptr;
  int64_t out_stride = 0;
};

void linear(Isa isa, const LinearArgs& args, int64_t begin, int64_t end);

// What the versions compute: rows of plain floats, contiguous.
struct PlainLinearArgs {
  const float* x = nullptr;
  int64_t tokens = 0, k = 0, x_stride = 0;
  const std::byte* weight = nullptr;
  DType dtype = DType::f32;
  float* out = nullptr;
  int64_t out_stride = 0;
};

namespace scalar {
void linear(const PlainLinearArgs& args, int64_t begin, int64_t end);
}
namespace avx2 {
void linear(const PlainLinearArgs& args, int64_t begin, int64_t end);
}

}  // namespace quern
