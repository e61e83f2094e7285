// TensorSource: the tensors of a checkpoint under the names and in the shapes that the published bf16 checkpoints have, whatever container
// and layout they lie in. Matrices are views into the mapped files; what a container has already folded into a vector (the 1 of a norm,
// the exponential of A_log) or still has to be is settled here, so that the model sees one form. Source: spec "Checkpoint containers".
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/config_json.h"
#include "formats/mlx_quantization.h"
#include "quant/quant_matrix.h"

namespace quern {

// What the arithmetic wants of a vector: as stored; the gain 1 + w of a norm whose published weight w is zero-centred; A = exp(A_log).
enum class VectorRole { plain, gain, decay };

class TensorSource {
 public:
  explicit TensorSource(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
  virtual ~TensorSource() = default;

  // Errors of both: not_found (the message is the name that was looked for), mismatch (what is wrong with the tensor of that name).
  virtual Result<QuantMatrix> matrix(const std::string& name, int64_t rows, int64_t cols) = 0;
  virtual Result<std::vector<float>> vector(const std::string& name, const std::vector<int64_t>& shape, VectorRole role) = 0;

  // Whether there is a tensor of that name (plain, not one of a stack).
  virtual bool has(const std::string& name) const = 0;
  // Tensors that nobody asked for.
  std::vector<std::string> unused() const;

 protected:
  const StoredTensor* take(const std::string& name);  // nullptr: there is none
  const Checkpoint& checkpoint_;

 private:
  std::unordered_set<std::string_view> taken_;
};

// Published folders: bf16, f16, f32, block-FP8; experts one by one or fused (gate_up_proj, down_proj).
std::unique_ptr<TensorSource> published_source(const Checkpoint& checkpoint);
// MLX folders: experts stacked, norms effective, any module in a quantisation of its own.
std::unique_ptr<TensorSource> mlx_source(const Checkpoint& checkpoint, MlxQuantization quantization);

// GGUF files of arch qwen3next; `config` is theirs.
std::unique_ptr<TensorSource> gguf_source(const Checkpoint& checkpoint, const ModelConfig& config);
// Which of GGUF's two layouts the DeltaNet projections have.
DeltaProjections gguf_delta_projections(const Checkpoint& checkpoint);

// Whether a folder has MLX's layout: its convolutions are [channels, kernel, 1], its experts stacked under "switch_mlp".
bool has_mlx_layout(const Checkpoint& checkpoint);

// What the sources share.

// f32, f16 and bf16 by the containers' words for them ("BF16"); absent for anything else.
std::optional<QuantFormat> plain_format(std::string_view dtype);
// Errors of both: mismatch.
Result<void> check_shape(const StoredTensor& tensor, const std::vector<int64_t>& expected);
// One matrix [rows, cols] or, with an expert, a stack [experts, rows, cols] that has it.
Result<void> check_stack(const StoredTensor& tensor, std::optional<int64_t> expert, int64_t rows, int64_t cols);
// Matrix `index` of a stack [count, rows, cols] (or of one matrix), from parts that hold all of it. Errors: mismatch.
Result<QuantMatrix> stacked_matrix(QuantFormat format, int64_t index, int64_t rows, int64_t cols, const QuantMatrix::Parts& all);
Result<std::vector<float>> plain_vector(const StoredTensor& tensor);
// Values as published checkpoints store them, to what the arithmetic wants.
void apply_role(VectorRole role, std::span<float> values);

}  // namespace quern
