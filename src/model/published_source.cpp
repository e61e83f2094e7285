// Folders as Hugging Face has them (spec "Checkpoint containers", A).
#include "formats/tensor_names.h"
#include "model/tensor_source.h"

namespace quern {
namespace {

class PublishedSource : public TensorSource {
 public:
  using TensorSource::TensorSource;

  bool has(const std::string& name) const override { return checkpoint_.find(name) != nullptr; }

  Result<QuantMatrix> matrix(const std::string& name, int64_t rows, int64_t cols) override {
    const StoredTensor* tensor = take(name);
    if (!tensor) return fused_expert(name, rows, cols);
    QUERN_TRY(check_shape(*tensor, {rows, cols}));
    if (tensor->dtype == "F8_E4M3") return fp8(*tensor, rows, cols);
    return plain(*tensor, 0, rows, cols);
  }

  Result<std::vector<float>> vector(const std::string& name, const std::vector<int64_t>& shape, VectorRole role) override {
    const StoredTensor* tensor = take(name);
    if (!tensor) return fail(Errc::not_found, "{}", name);
    QUERN_TRY(check_shape(*tensor, shape));
    QUERN_ASSIGN(std::vector<float> values, plain_vector(*tensor));
    apply_role(role, values);
    return values;
  }

 private:
  static Result<QuantMatrix> plain(const StoredTensor& tensor, int64_t index, int64_t rows, int64_t cols) {
    const auto format = plain_format(tensor.dtype);
    if (!format) return fail(Errc::mismatch, "{} dtype {}, expected BF16, F16 or F32", tensor.name, tensor.dtype);
    return stacked_matrix(*format, index, rows, cols, {.codes = tensor.bytes});
  }

  // Despite its name the stored scale is multiplied.
  Result<QuantMatrix> fp8(const StoredTensor& tensor, int64_t rows, int64_t cols) {
    const std::string scale_name = tensor.name + "_scale_inv";
    const StoredTensor* scales = take(scale_name);
    if (!scales) return fail(Errc::not_found, "{}", scale_name);
    QUERN_ASSIGN(const QuantLayout layout, quant_layout(QuantFormat::fp8_e4m3, rows, cols));
    QUERN_TRY(check_shape(*scales, {layout.scale_rows, layout.scale_cols}));
    if (scales->dtype != "F32" && scales->dtype != "BF16")
      return fail(Errc::mismatch, "{} dtype {}, expected F32 or BF16", scale_name, scales->dtype);
    return QuantMatrix::make(
        QuantFormat::fp8_e4m3, rows, cols,
        {.codes = tensor.bytes, .scales = scales->bytes, .scale_type = scales->dtype == "F32" ? ScaleType::f32 : ScaleType::bf16});
  }

  // experts.gate_up_proj [experts, 2 * width, hidden], gate rows first; experts.down_proj [experts, hidden, width].
  Result<QuantMatrix> fused_expert(const std::string& name, int64_t rows, int64_t cols) {
    const auto expert = parse_expert_name(name);
    if (!expert) return fail(Errc::not_found, "{}", name);
    const bool down = expert->projection == "down_proj";
    const StoredTensor* tensor = take(expert->prefix + (down ? "experts.down_proj" : "experts.gate_up_proj"));
    if (!tensor) return fail(Errc::not_found, "{}", name);
    QUERN_TRY(check_stack(*tensor, expert->index, down ? rows : 2 * rows, cols));
    if (down) return plain(*tensor, expert->index, rows, cols);
    return plain(*tensor, 2 * expert->index + (expert->projection == "up_proj" ? 1 : 0), rows, cols);
  }
};

}  // namespace

std::unique_ptr<TensorSource> published_source(const Checkpoint& checkpoint) {
  return std::make_unique<PublishedSource>(checkpoint);
}

}  // namespace quern
