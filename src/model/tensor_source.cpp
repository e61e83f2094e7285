#include "model/tensor_source.h"

#include <algorithm>
#include <cmath>

#include "tensor/dtype.h"

namespace quern {

std::vector<std::string> TensorSource::unused() const {
  std::vector<std::string> names;
  for (const StoredTensor* tensor : checkpoint_.tensors())
    if (!taken_.contains(tensor->name)) names.push_back(tensor->name);
  return names;
}

const StoredTensor* TensorSource::take(const std::string& name) {
  const StoredTensor* tensor = checkpoint_.find(name);
  if (tensor) taken_.insert(tensor->name);
  return tensor;
}

std::optional<QuantFormat> plain_format(std::string_view dtype) {
  if (dtype == "BF16") return QuantFormat::bf16;
  if (dtype == "F16") return QuantFormat::f16;
  if (dtype == "F32") return QuantFormat::f32;
  return {};
}

Result<void> check_shape(const StoredTensor& tensor, const std::vector<int64_t>& expected) {
  if (tensor.shape == expected) return {};
  return fail(Errc::mismatch, "{} shape {}, expected {}", tensor.name, shape_text(tensor.shape), shape_text(expected));
}

Result<void> check_stack(const StoredTensor& tensor, std::optional<int64_t> expert, int64_t rows, int64_t cols) {
  if (!expert) return check_shape(tensor, {rows, cols});
  const int64_t experts = tensor.shape.empty() ? 0 : tensor.shape[0];
  QUERN_TRY(check_shape(tensor, {experts, rows, cols}));
  if (*expert < experts) return {};
  return fail(Errc::mismatch, "{} shape {}: there is no expert {}", tensor.name, shape_text(tensor.shape), *expert);
}

Result<QuantMatrix> stacked_matrix(QuantFormat format, int64_t index, int64_t rows, int64_t cols, const QuantMatrix::Parts& all) {
  QUERN_ASSIGN(const QuantLayout layout, quant_layout(format, rows, cols, all.scale_type));
  bool short_of_bytes = false;
  const auto part = [&](std::span<const std::byte> bytes, int64_t size) -> std::span<const std::byte> {
    if (bytes.empty()) return bytes;
    const auto whole = static_cast<int64_t>(bytes.size());
    if (size > 0 && index >= whole / size) return short_of_bytes = true, bytes.first(0);
    return bytes.subspan(static_cast<size_t>(index * size), static_cast<size_t>(size));
  };
  const QuantMatrix::Parts own{.codes = part(all.codes, layout.code_bytes),
                               .scales = part(all.scales, layout.scale_bytes),
                               .biases = part(all.biases, layout.scale_bytes),
                               .scale_type = all.scale_type,
                               .order = all.order};
  if (short_of_bytes) return fail(Errc::mismatch, "has no matrix {}", index);
  return QuantMatrix::make(format, rows, cols, own);
}

Result<std::vector<float>> plain_vector(const StoredTensor& tensor) {
  const auto format = plain_format(tensor.dtype);
  if (!format) return fail(Errc::mismatch, "{} dtype {}, expected BF16, F16 or F32", tensor.name, tensor.dtype);
  const DType dtype = *format == QuantFormat::bf16 ? DType::bf16 : *format == QuantFormat::f16 ? DType::f16 : DType::f32;
  std::vector<float> values(tensor.bytes.size() / dtype_size(dtype));
  to_f32(dtype, tensor.bytes.data(), values.data(), static_cast<int64_t>(values.size()));
  return values;
}

void apply_role(VectorRole role, std::span<float> values) {
  for (float& value : values) {
    if (role == VectorRole::gain) value += 1.0f;
    if (role == VectorRole::decay) value = std::exp(value);
  }
}

}  // namespace quern
