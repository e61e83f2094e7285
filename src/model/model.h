// Model: a loaded checkpoint in one internal form, whatever container it came from. Large matrices are views into mapped files; the small
// vectors the arithmetic wants in f32 (norms, A, dt_bias, conv) are converted once. Immutable; may be shared between threads.
// Shapes: H hidden, V vocab, E experts, F expert width; see each field.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/config_json.h"
#include "model/tensor_source.h"
#include "quant/quant_matrix.h"

namespace quern {

using Weight = QuantMatrix;
using Vector = std::vector<float>;

// SwiGLU: down(silu(gate x) * up x).
struct Expert {
  Weight gate_proj, up_proj;  // [F, H]
  Weight down_proj;           // [H, F]
};

struct Mlp {
  MlpKind kind = MlpKind::sparse;
  Expert dense;   // dense layers only
  Weight router;  // [E, H] (checkpoint: mlp.gate)
  std::vector<Expert> experts;
  Expert shared_expert;
  Weight shared_expert_gate;  // [1, H]
};

struct FullAttention {
  Weight q_proj;          // [heads * 2 * head_dim, H]: per head its query rows, then its gate rows
  Weight k_proj, v_proj;  // [kv_heads * head_dim, H]
  Weight o_proj;          // [H, heads * head_dim]
  Vector q_norm, k_norm;  // [head_dim], effective (1 + w)
};

struct GatedDeltaNet {
  // interleaved: per key head its q, k, then v and z of its value heads; b and a likewise.  split: four flat matrices.
  Weight in_proj_qkvz, in_proj_ba;
  Weight in_proj_qkv, in_proj_z, in_proj_b, in_proj_a;
  Vector conv1d;    // [channels, K], the last column multiplies the current token; channels: q, k, v, flat
  Vector A;         // [v_heads], exp(A_log)
  Vector dt_bias;   // [v_heads]
  Vector norm;      // [v_dim], as stored (not zero-centred)
  Weight out_proj;  // [H, v_heads * v_dim]
};

struct Layer {
  LayerKind kind = LayerKind::linear_attention;
  Vector input_norm, post_attention_norm;  // [H], effective (1 + w)
  FullAttention attention;                 // kind == full_attention
  GatedDeltaNet delta;                     // kind == linear_attention
  Mlp mlp;
};

// The multi-token prediction block: predicts token t+2 from the trunk's final hidden state at t and the embedding of token t+1.
struct Mtp {
  Weight fc;                                 // [H, 2H]: columns 0..H-1 act on the embedding, H..2H-1 on the hidden state
  Vector embedding_norm, hidden_norm, norm;  // [H], effective (1 + w)
  Layer layer;                               // one full-attention layer
};

struct Model {
  ModelConfig config;
  Weight embed_tokens;  // [V, H]
  std::vector<Layer> layers;
  Vector final_norm;         // [H], effective (1 + w)
  Weight lm_head;            // [V, H]; embed_tokens when tied
  std::unique_ptr<Mtp> mtp;  // nullptr when the checkpoint has none
  uint64_t fingerprint = 0;  // of names, shapes and sampled bytes: a saved state belongs to one model

  Checkpoint checkpoint;                 // keeps the mappings alive
  std::unique_ptr<TensorSource> source;  // keeps what is no view of them alive

  // A folder (published or MLX) or a GGUF file. Errors: what config, files or tensors get wrong; missing, unexpected and mis-shaped tensors
  // together in one line.
  static Result<std::shared_ptr<const Model>> load(const std::filesystem::path& path);
};

// Tensors a checkpoint of this config holds. The one list that loading, `synth`, `quantize` and tests share.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::optional<VectorRole> vector;  // absent: a matrix
};
std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config, bool with_mtp);

// A model's matrices with their published names, in the order of the forward pass. The pointers live as long as the model.
struct NamedMatrix {
  std::string name;
  const Weight* weight = nullptr;
};
std::vector<NamedMatrix> named_matrices(const Model& model);

}  // namespace quern
