// GGUF files of arch qwen3next (spec "Checkpoint containers", B.3), in both layouts that exist: the DeltaNet projections fused and
// interleaved (ssm_in), or apart (attn_qkv, attn_gate). b and a are interleaved in either.
#include <algorithm>
#include <cmath>
#include <deque>

#include "formats/gguf.h"
#include "formats/tensor_names.h"
#include "model/tensor_source.h"

namespace quern {
namespace {

// A stored shape without its extents of one, which writers keep or drop as they like.
std::vector<int64_t> squeezed(std::vector<int64_t> shape) {
  std::erase(shape, 1);
  return shape;
}

class GgufSource : public TensorSource {
 public:
  GgufSource(const Checkpoint& checkpoint, const ModelConfig& config)
      : TensorSource(checkpoint),
        layers_(static_cast<int64_t>(config.layers.size())),
        key_heads_(config.linear_num_key_heads),
        value_heads_(config.linear_num_value_heads),
        q_rows_(config.num_attention_heads * 2 * config.head_dim),
        kv_rows_(config.num_key_value_heads * config.head_dim) {}

  bool has(const std::string& name) const override {
    const auto stored = gguf_name(name, layers_);
    return stored && checkpoint_.find(stored->name);
  }

  Result<QuantMatrix> matrix(const std::string& name, int64_t rows, int64_t cols) override {
    if (name.ends_with(".in_proj_b.weight") || name.ends_with(".in_proj_a.weight")) return gathered(name, cols);
    const auto stored = gguf_name(name, layers_);
    if (!stored) return fail(Errc::not_found, "{}", name);
    const StoredTensor* tensor = take(stored->name);
    if (!tensor && stored->expert) return fused_expert(name, rows, cols);
    if (!tensor && name.find(".self_attn.") != std::string::npos) return fused_attention(name, stored->name, rows, cols);
    if (!tensor) return fail(Errc::not_found, "{}", stored->name);
    return view(*tensor, stored->expert, rows, cols);
  }

  // Gains have their 1 already; ssm_a is -exp(A_log).
  Result<std::vector<float>> vector(const std::string& name, const std::vector<int64_t>& shape, VectorRole role) override {
    const auto stored = gguf_name(name, layers_);
    const StoredTensor* tensor = stored ? take(stored->name) : nullptr;
    if (!tensor) return fail(Errc::not_found, "{}", stored ? stored->name : name);
    if (squeezed(tensor->shape) != squeezed(shape))
      return fail(Errc::mismatch, "{} shape {}, expected {}", tensor->name, shape_text(tensor->shape), shape_text(squeezed(shape)));
    QUERN_ASSIGN(std::vector<float> values, plain_vector(*tensor));
    if (role == VectorRole::decay)
      for (float& value : values) {
        if (!(value < 0)) return fail(Errc::mismatch, "{} holds {}, expected negative numbers, -exp(A_log)", tensor->name, value);
        value = -value;
      }
    return values;
  }

 private:
  static Result<QuantMatrix> view(const StoredTensor& tensor, std::optional<int64_t> expert, int64_t rows, int64_t cols) {
    if (expert || squeezed(tensor.shape) != squeezed({rows, cols})) QUERN_TRY(check_stack(tensor, expert, rows, cols));
    QUERN_ASSIGN(const QuantFormat format, gguf_dtype_format(tensor.dtype));
    const auto found = stacked_matrix(format, expert.value_or(0), rows, cols, {.codes = tensor.bytes});
    if (!found) return fail(Errc::mismatch, "{}: {}", tensor.name, found.error().message);
    return *found;
  }

  // ffn_gate_up_exps [experts, 2 * width, hidden], gate rows first.
  Result<QuantMatrix> fused_expert(const std::string& name, int64_t rows, int64_t cols) {
    const auto expert = parse_expert_name(name);
    const auto missing = gguf_name(name, layers_)->name;
    if (expert->projection == "down_proj") return fail(Errc::not_found, "{}", missing);
    const StoredTensor* tensor = take(gguf_name(expert->prefix + "experts.gate_up_proj", layers_)->name);
    if (!tensor) return fail(Errc::not_found, "{}", missing);
    QUERN_ASSIGN(const QuantMatrix both, view(*tensor, expert->index, 2 * rows, cols));
    return both.row_range(expert->projection == "up_proj" ? rows : 0, rows);
  }

  // attn_qkv of a full-attention layer, as newer tools may write it: the rows of q (with their gates), k and v.
  Result<QuantMatrix> fused_attention(const std::string& name, const std::string& own_name, int64_t rows, int64_t cols) {
    const auto is = [&](std::string_view projection) { return name.find(projection) != std::string::npos; };
    const bool q = is(".q_proj."), k = is(".k_proj."), v = is(".v_proj.");
    const std::string layer = own_name.substr(0, own_name.find('.', std::string_view("blk.").size()) + 1);
    const StoredTensor* tensor = q || k || v ? take(layer + "attn_qkv.weight") : nullptr;
    if (!tensor) return fail(Errc::not_found, "{}", own_name);
    QUERN_ASSIGN(const QuantMatrix all, view(*tensor, {}, q_rows_ + 2 * kv_rows_, cols));
    return all.row_range(q ? 0 : q_rows_ + (v ? kv_rows_ : 0), rows);
  }

  // ssm_ba holds, for each key head, the b rows and then the a rows of its value heads: the rows of one kind, copied together.
  Result<QuantMatrix> gathered(const std::string& name, int64_t cols) {
    const size_t at = name.rfind(".in_proj_");
    const bool wants_a = name[at + std::string_view(".in_proj_").size()] == 'a';
    const auto stored = gguf_name(name.substr(0, at) + ".in_proj_ba.weight", layers_);
    const StoredTensor* tensor = stored ? take(stored->name) : nullptr;
    if (!tensor) return fail(Errc::not_found, "{}", stored ? stored->name : name);
    QUERN_ASSIGN(const QuantMatrix both, view(*tensor, {}, 2 * value_heads_, cols));
    const int64_t group = value_heads_ / key_heads_, row_bytes = both.layout().row_bytes;
    std::vector<std::byte>& own = owned_.emplace_back();
    for (int64_t h = 0; h < value_heads_; ++h) {
      const std::byte* row = both.row(h / group * 2 * group + (wants_a ? group : 0) + h % group).codes;
      own.insert(own.end(), row, row + row_bytes);
    }
    return QuantMatrix::make(both.format(), value_heads_, cols, {.codes = own});
  }

  int64_t layers_, key_heads_, value_heads_, q_rows_, kv_rows_;
  std::deque<std::vector<std::byte>> owned_;
};

}  // namespace

std::unique_ptr<TensorSource> gguf_source(const Checkpoint& checkpoint, const ModelConfig& config) {
  return std::make_unique<GgufSource>(checkpoint, config);
}

DeltaProjections gguf_delta_projections(const Checkpoint& checkpoint) {
  const auto flat = [](const StoredTensor* tensor) { return tensor->name.ends_with(".attn_gate.weight"); };
  return std::any_of(checkpoint.tensors().begin(), checkpoint.tensors().end(), flat) ? DeltaProjections::split
                                                                                     : DeltaProjections::interleaved;
}

}  // namespace quern
