#include "kernels/linear/linear.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace quern {
namespace {

std::optional<DType> plain_dtype(QuantFormat format) {
  if (format == QuantFormat::f32) return DType::f32;
  if (format == QuantFormat::f16) return DType::f16;
  if (format == QuantFormat::bf16) return DType::bf16;
  return {};
}

void plain_linear(Isa isa, const PlainLinearArgs& args, int64_t begin, int64_t end) {
  if (isa == Isa::scalar)
    scalar::linear(args, begin, end);
  else
    avx2::linear(args, begin, end);
}

}  // namespace

void linear(Isa isa, const LinearArgs& a, int64_t begin, int64_t end) {
  const QuantMatrix& weight = *a.weight;
  if (begin >= end || a.tokens == 0) return;
  PlainLinearArgs plain{.x = a.x, .tokens = a.tokens, .k = weight.cols(), .x_stride = a.x_stride, .out_stride = a.out_stride};
  if (const auto dtype = plain_dtype(weight.format())) {
    plain.weight = weight.row(0).codes, plain.dtype = *dtype, plain.out = a.out;
    return plain_linear(isa, plain, begin, end);
  }
  constexpr int64_t kRows = 8;  // what the versions take at once; few enough for their f32 rows to stay in a cache of the core
  thread_local std::vector<float> decoded;
  decoded.resize(std::max(decoded.size(), static_cast<size_t>(kRows * plain.k)));
  plain.weight = reinterpret_cast<const std::byte*>(decoded.data());
  for (int64_t n = begin; n < end; n += kRows) {
    const int64_t count = std::min(kRows, end - n);
    for (int64_t r = 0; r < count; ++r) weight.decode_row(n + r, decoded.data() + r * plain.k);
    plain.out = a.out + n;
    plain_linear(isa, plain, 0, count);
  }
}

}  // namespace quern
