// Gated attention: q_proj yields a query and an output gate per head; q and k are RMS-normalised per head, then partly rotated; the
// attention output is gated by the sigmoid of the raw gate before o_proj.
#include <array>

#include "model/forward.h"

namespace quern {

void full_attention(Ops& ops, const ModelConfig& c, const FullAttention& a, int64_t layer, Batch& batch, Workspace& w) {
  const int64_t tokens = batch.tokens(), head_dim = c.head_dim;
  const auto eps = static_cast<float>(c.rms_norm_eps);
  const Tensor q_gate = w.storage.q_gate.tensor(tokens, c.num_attention_heads * 2 * head_dim);
  const Tensor k = w.storage.k.tensor(tokens, c.num_key_value_heads * head_dim);
  const Tensor v = w.storage.v.tensor(tokens, c.num_key_value_heads * head_dim);
  const Tensor attended = w.storage.attended.tensor(tokens, c.num_attention_heads * head_dim);

  ops.linears(w.normed, std::array<Ops::Product, 3>{{{&a.q_proj, q_gate}, {&a.k_proj, k}, {&a.v_proj, v}}});
  ops.norm_rope(q_gate, c.num_attention_heads, 2 * head_dim, a.q_norm, eps, w.rope);
  ops.norm_rope(k, c.num_key_value_heads, head_dim, a.k_norm, eps, w.rope);
  std::vector<Ops::CachedRows> sequences;
  for (const SequenceSpan& span : batch.sequences) {
    KvCache& cache = layer < 0 ? span.state->mtp_kv() : span.state->kv(layer);  // the MTP block has a cache of its own
    sequences.push_back({span.first_row, span.first_row + span.count, &cache, cache.length()});
  }
  ops.append_kv(k, v, sequences);
  ops.attention(q_gate, sequences, attended);
  ops.linear(attended, a.o_proj, w.mixed);
}

}  // namespace quern
