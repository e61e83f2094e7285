// MLX folders (spec "Checkpoint containers", C): a module is weight, scales and biases, or a plain weight. In packed folders, quern's own,
// a module whose rows lie in strips (quant/strips.h) has a weight of dtype U8, a strip a row: [.., rows / 16, bytes of a strip], and
// scales and biases [.., rows / 16, groups * 16].
#include <algorithm>
#include <cmath>

#include "formats/tensor_names.h"
#include "model/tensor_source.h"
#include "quant/strips.h"

namespace quern {
namespace {

class MlxSource : public TensorSource {
 public:
  MlxSource(const Checkpoint& checkpoint, MlxQuantization quantization)
      : TensorSource(checkpoint), quantization_(std::move(quantization)) {}

  bool has(const std::string& name) const override { return checkpoint_.find(name) != nullptr; }

  Result<QuantMatrix> matrix(const std::string& name, int64_t rows, int64_t cols) override {
    const StoredName stored = mlx_name(name);
    const std::string module = stored.name.substr(0, stored.name.size() - std::string_view(".weight").size());
    const StoredTensor* weight = take(stored.name);
    if (!weight) return fail(Errc::not_found, "{}", stored.name);
    const StoredTensor* scales = take(module + ".scales");
    if (scales) return quantised(module, *weight, *scales, stored.expert, rows, cols);
    QUERN_TRY(check_stack(*weight, stored.expert, rows, cols));
    const auto format = plain_format(weight->dtype);
    if (!format)
      return fail(Errc::mismatch, "{} dtype {}, expected BF16, F16 or F32 where there are no scales", weight->name, weight->dtype);
    return stacked_matrix(*format, stored.expert.value_or(0), rows, cols, {.codes = weight->bytes});
  }

  // Gains have their 1 already, and a convolution's [channels, kernel, 1] lies in memory as the published [channels, 1, kernel].
  Result<std::vector<float>> vector(const std::string& name, const std::vector<int64_t>& shape, VectorRole role) override {
    const StoredTensor* tensor = take(name);
    if (!tensor) return fail(Errc::not_found, "{}", name);
    std::vector<int64_t> expected = shape;
    if (shape.size() == 3) std::swap(expected[1], expected[2]);
    QUERN_TRY(check_shape(*tensor, expected));
    QUERN_ASSIGN(std::vector<float> values, plain_vector(*tensor));
    if (role == VectorRole::decay)
      for (float& value : values) value = std::exp(value);
    return values;
  }

 private:
  // The scales' dtype has to be one that the format can have.
  static Result<ScaleType> scale_type(const StoredTensor& scales, const QuantFormatInfo& info) {
    if (!info.has_biases && scales.dtype == "U8") return info.scale_type;
    if (info.has_biases && scales.dtype == "BF16") return ScaleType::bf16;
    if (info.has_biases && scales.dtype == "F16") return ScaleType::f16;
    if (info.has_biases && scales.dtype == "F32") return ScaleType::f32;
    return fail(Errc::mismatch, "{} dtype {}, expected {} for {}", scales.name, scales.dtype,
                info.has_biases ? "BF16, F16 or F32" : "U8", info.name);
  }

  Result<QuantMatrix> quantised(const std::string& module, const StoredTensor& weight, const StoredTensor& scales,
                                std::optional<int64_t> expert, int64_t rows, int64_t cols) {
    const auto described = quantization_.module(module);
    if (!described) return fail(Errc::mismatch, "{} has scales, but config.json says that it is not quantised", module);
    const auto format = described->format();
    if (!format) return fail(Errc::mismatch, "{}: {}", module, format.error().message);
    const QuantFormatInfo& info = quant_format_info(*format);
    const bool strips = weight.dtype == "U8" && has_strips(*format);
    if (weight.dtype != "U32" && !strips)
      return fail(Errc::mismatch, "{} dtype {}, expected U32 beside scales", weight.name, weight.dtype);
    QUERN_ASSIGN(const ScaleType type, scale_type(scales, info));
    const auto layout = quant_layout(*format, rows, cols, type);
    if (!layout) return fail(Errc::mismatch, "{}: {}", module, layout.error().message);
    if (strips && rows % kStripRows != 0)
      return fail(Errc::mismatch, "{}: {} rows do not lie in strips of {}", weight.name, rows, kStripRows);
    const int64_t together = strips ? kStripRows : 1;
    const auto check = [&](const StoredTensor& tensor, int64_t width) {
      return check_stack(tensor, expert, rows / together, width * together);
    };
    QUERN_TRY(check(weight, strips ? layout->row_bytes : layout->row_bytes / 4));
    QUERN_TRY(check(scales, layout->scale_cols));
    QuantMatrix::Parts parts{
        .codes = weight.bytes, .scales = scales.bytes, .scale_type = type, .order = strips ? RowOrder::strips : RowOrder::rows};
    const StoredTensor* biases = take(module + ".biases");
    if (info.has_biases) {
      if (!biases) return fail(Errc::not_found, "{}.biases", module);
      QUERN_TRY(check(*biases, layout->scale_cols));
      if (biases->dtype != scales.dtype)
        return fail(Errc::mismatch, "{} dtype {}, expected {} as its scales have", biases->name, biases->dtype, scales.dtype);
      parts.biases = biases->bytes;
    } else if (biases) {
      return fail(Errc::mismatch, "{}: {} has no biases", biases->name, info.name);
    }
    return stacked_matrix(*format, expert.value_or(0), rows, cols, parts);
  }

  MlxQuantization quantization_;
};

}  // namespace

std::unique_ptr<TensorSource> mlx_source(const Checkpoint& checkpoint, MlxQuantization quantization) {
  return std::make_unique<MlxSource>(checkpoint, std::move(quantization));
}

bool has_mlx_layout(const Checkpoint& checkpoint) {
  return std::any_of(checkpoint.tensors().begin(), checkpoint.tensors().end(), [](const StoredTensor* tensor) {
    if (tensor->name.find(".switch_mlp.") != std::string::npos) return true;
    return tensor->name.ends_with("conv1d.weight") && tensor->shape.size() == 3 && tensor->shape[1] > 1 && tensor->shape[2] == 1;
  });
}

}  // namespace quern
