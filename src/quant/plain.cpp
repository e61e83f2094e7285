// f32, f16, bf16: each weight by itself, little-endian; conversions in tensor/dtype.h (nearest, ties to even).
#include "quant/families.h"

namespace quern::quant {
namespace {

template <DType dtype>
void decode_plain(const QuantRow& row, int64_t cols, float* out) {
  to_f32(dtype, row.codes, out, cols);
}

template <DType dtype>
void magnitude_plain(const QuantRow& row, int64_t cols, float* out) {
  for (int64_t i = 0; i < cols; ++i) out[i] = std::abs(load_f32(dtype, row.codes, i));
}

template <DType dtype>
float dot_plain(const QuantRow& row, int64_t cols, const Int8Row& x) {
  float total = 0;
  for (int64_t begin = 0; begin < cols; begin += kActivationBlock) {
    float part = 0;
    for (int64_t i = begin; i < std::min(begin + kActivationBlock, cols); ++i)
      part += load_f32(dtype, row.codes, i) * static_cast<float>(x.codes[i]);
    total += x.scales[begin / kActivationBlock] * part;
  }
  return total;
}

template <DType dtype>
void encode_plain(const float* weights, int64_t, int64_t cols, const float*, ScaleSearch, const MutableQuantRow& row) {
  for (int64_t i = 0; i < cols; ++i) {
    if constexpr (dtype == DType::f32)
      std::memcpy(row.codes + 4 * i, weights + i, 4);
    else
      store_u16(row.codes + 2 * i, dtype == DType::f16 ? f32_to_f16(weights[i]) : f32_to_bf16(weights[i]));
  }
}

template <DType dtype>
constexpr FormatOps ops_for() {
  return {
      .decode = decode_plain<dtype>, .magnitude = magnitude_plain<dtype>, .dot = dot_plain<dtype>, .encode = encode_plain<dtype>};
}

}  // namespace

FormatOps plain_ops(QuantFormat format) {
  switch (format) {
    case QuantFormat::f16:
      return ops_for<DType::f16>();
    case QuantFormat::bf16:
      return ops_for<DType::bf16>();
    default:
      return ops_for<DType::f32>();
  }
}

}  // namespace quern::quant
