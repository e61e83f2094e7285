// The forward pass of the Qwen3-Next family, written once over Ops: prefill, decode and the checking of drafts run these lines on every
// device. Source: the published modelling code of transformers; layer order, norms and gates as in its qwen3_next.
#pragma once

#include <span>
#include <vector>

#include "kernels/rope/rope.h"
#include "model/model.h"
#include "model/ops/ops.h"
#include "model/sequence_state.h"

namespace quern {

// The tokens of one sequence inside a batch.
struct SequenceSpan {
  SequenceState* state = nullptr;
  int64_t first_row = 0, count = 0;
  bool wants_logits = true;  // with Batch::Logits::last: of its last token
};

struct Batch {
  std::vector<int32_t> token_ids;       // of all sequences, one after the other; each inside the vocabulary
  std::vector<SequenceSpan> sequences;  // cover the rows in order
  enum class Logits {
    none,
    last,
    all
  } logits = Logits::last;  // of no token, of each sequence's last that wants them, of every one

  static Batch single(SequenceState& state, std::span<const int32_t> tokens, Logits logits) {
    return {
        {tokens.begin(), tokens.end()}, {{.state = &state, .first_row = 0, .count = static_cast<int64_t>(tokens.size())}}, logits};
  }
  int64_t tokens() const { return static_cast<int64_t>(token_ids.size()); }
};

// Activations between the operations; allocated once for the largest batch and reused. One forward pass at a time.
struct Workspace {
  explicit Workspace(const Model& model);

  RotaryFrequencies rotary;
  RopeTable rope;                // of the current batch
  Tensor hidden, normed, mixed;  // [tokens, H]: residual stream, a block's input, its output
  Tensor logits;                 // [rows asked for, V]
  Tensor final_hidden;           // [tokens, H] after the final norm

  // Named by what they hold; see full_attention.cpp, gated_delta_net.cpp, sparse_moe.cpp.
  struct Storage {
    Buffer hidden, normed, mixed, final_hidden, logits, cos, sin;
    Buffer q_gate, k, v, attended;
    Buffer qkvz, ba, conv_in, conv_out, z, b, a, delta_out;
    Buffer router_logits, expert_weights, shared, shared_gate;
    Buffer mtp_pairs, mtp_embedding;
    std::vector<int32_t> expert_ids;
  } storage;
};

// Feeds the batch: every sequence's state advances by its tokens; logits are in w.logits, final hidden states in w.final_hidden.
void forward(Ops& ops, const Model& m, Batch& batch, Workspace& w);

// Its parts, for who runs a text layer by layer: room in the workspace and the angles of the batch's positions; then one layer, which
// w.hidden goes through. States keep their position.
void begin_batch(const Model& m, const Batch& batch, Workspace& w);
void forward_layer(Ops& ops, const Model& m, size_t layer, Batch& batch, Workspace& w);

// The blocks, in files of their own. Each reads w.normed and writes w.mixed.
void full_attention(Ops& ops, const ModelConfig& c, const FullAttention& a, int64_t layer, Batch& batch, Workspace& w);
void gated_delta_net(Ops& ops, const ModelConfig& c, const GatedDeltaNet& d, int64_t layer, Batch& batch, Workspace& w);
void mlp(Ops& ops, const ModelConfig& c, const Mlp& mlp, Workspace& w);

// The MTP block over what forward() has just fed for one sequence: pairs (final hidden state at t, token t+1), the pending one of the
// previous call first. Returns logits [pairs, V] for tokens t+2 (in w.logits: forward's are overwritten); no pairs: an empty tensor.
Tensor mtp_forward(Ops& ops, const Model& m, SequenceState& state, std::span<const int32_t> tokens, Workspace& w);

}  // namespace quern
