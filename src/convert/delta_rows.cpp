#include "convert/delta_rows.h"

#include <array>

namespace quern {
namespace {

constexpr std::string_view kQkvz = "in_proj_qkvz.weight", kQkv = "in_proj_qkv.weight", kZ = "in_proj_z.weight",
                           kBa = "in_proj_ba.weight", kB = "in_proj_b.weight", kA = "in_proj_a.weight";

// The name with another last part, where it ends in `from`.
std::string replaced(const std::string& name, std::string_view from, std::string_view to) {
  return name.substr(0, name.size() - from.size()) + std::string(to);
}

// The parts of the projections, by key head, in a source of either arrangement.
class DeltaParts {
 public:
  enum Part { q, k, v, z };

  static Result<DeltaParts> of(const std::string& prefix, const ModelConfig& c, TensorSource& source) {
    DeltaParts parts(c);
    const int64_t channels = c.conv_channels(), value_dim = c.linear_value_dim();
    if (parts.interleaved_) {
      QUERN_ASSIGN(parts.qkv_, source.matrix(prefix + std::string(kQkvz), channels + value_dim, c.hidden_size));
      return parts;
    }
    QUERN_ASSIGN(parts.qkv_, source.matrix(prefix + std::string(kQkv), channels, c.hidden_size));
    QUERN_ASSIGN(parts.z_, source.matrix(prefix + std::string(kZ), value_dim, c.hidden_size));
    return parts;
  }

  QuantMatrix rows(Part part, int64_t head) const {
    const int64_t size = sizes_[part];
    if (part == z && !interleaved_) return z_.row_range(head * size, size);
    int64_t before = 0, stride = 0;  // rows of the parts that come before; of all parts
    for (size_t i = 0; i < sizes_.size(); ++i) {
      if (i < part) before += sizes_[i];
      stride += sizes_[i];
    }
    return qkv_.row_range(interleaved_ ? head * stride + before : heads_ * before + head * size, size);
  }

 private:
  explicit DeltaParts(const ModelConfig& c)
      : interleaved_(c.delta_projections == DeltaProjections::interleaved),
        heads_(c.linear_num_key_heads),
        sizes_{c.linear_key_head_dim, c.linear_key_head_dim, c.linear_value_dim() / heads_, c.linear_value_dim() / heads_} {}

  bool interleaved_;
  int64_t heads_;
  std::array<int64_t, 4> sizes_;  // rows of one key head
  QuantMatrix qkv_, z_;           // interleaved: qkv_ is all of it
};

}  // namespace

std::vector<ExpectedTensor> output_list(const ModelConfig& source, bool with_mtp, ModelContainer container) {
  ModelConfig config = source;
  const bool gguf = container == ModelContainer::gguf;
  if (config.model_type == "qwen3_next") config.delta_projections = gguf ? DeltaProjections::split : DeltaProjections::interleaved;
  std::vector<ExpectedTensor> list;
  for (ExpectedTensor& tensor : expected_tensors(config, with_mtp)) {
    if (gguf && tensor.name.ends_with(kA)) continue;
    if (gguf && tensor.name.ends_with(kB)) tensor.name = replaced(tensor.name, kB, kBa), tensor.shape[0] *= 2;
    list.push_back(std::move(tensor));
  }
  return list;
}

std::string published_name(const ModelConfig& config, const std::string& name) {
  if (config.model_type != "qwen3_next") return name;
  for (const std::string_view part : {kQkv, kZ})
    if (name.ends_with(part)) return replaced(name, part, kQkvz);
  for (const std::string_view part : {kB, kA})
    if (name.ends_with(part)) return replaced(name, part, kBa);
  return name;
}

Result<std::vector<QuantMatrix>> source_rows(const ExpectedTensor& tensor, const ModelConfig& config, TensorSource& source) {
  using enum DeltaParts::Part;
  const std::string& name = tensor.name;
  const bool interleaved = config.delta_projections == DeltaProjections::interleaved;
  const int64_t heads = config.linear_num_key_heads;
  std::vector<QuantMatrix> rows;
  if (!interleaved && name.ends_with(kBa)) {
    const int64_t values = config.linear_num_value_heads, group = values / heads;
    QUERN_ASSIGN(const QuantMatrix b, source.matrix(replaced(name, kBa, kB), values, config.hidden_size));
    QUERN_ASSIGN(const QuantMatrix a, source.matrix(replaced(name, kBa, kA), values, config.hidden_size));
    for (int64_t h = 0; h < heads; ++h)
      for (const QuantMatrix* matrix : {&b, &a}) rows.push_back(matrix->row_range(h * group, group));
    return rows;
  }
  const std::string_view kind = name.ends_with(kQkvz) ? kQkvz : name.ends_with(kQkv) ? kQkv : name.ends_with(kZ) ? kZ : "";
  if (kind.empty() || interleaved == (kind == kQkvz)) {
    QUERN_ASSIGN(const QuantMatrix matrix, source.matrix(name, tensor.shape[0], tensor.shape[1]));
    return std::vector{matrix};
  }
  QUERN_ASSIGN(const DeltaParts parts, DeltaParts::of(replaced(name, kind, ""), config, source));
  if (kind == kQkvz) {
    for (int64_t h = 0; h < heads; ++h)
      for (const auto part : {q, k, v, z}) rows.push_back(parts.rows(part, h));
    return rows;
  }
  for (const auto part : {q, k, v, z})
    for (int64_t h = 0; h < heads; ++h)
      if ((part == z) == (kind == kZ)) rows.push_back(parts.rows(part, h));
  return rows;
}

}  // namespace quern
