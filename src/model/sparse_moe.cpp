// The feed-forward half of a layer: routed experts plus one shared expert behind a sigmoid gate, or one dense expert where the config
// says so. Router softmax over all experts, then top-k, in f32.
#include <array>

#include "model/forward.h"

namespace quern {

void mlp(Ops& ops, const ModelConfig& c, const Mlp& mlp, Workspace& w) {
  if (mlp.kind == MlpKind::dense) return ops.expert(w.normed, mlp.dense, w.mixed);

  const int64_t tokens = w.normed.rows, k = c.num_experts_per_tok;
  const Tensor logits = w.storage.router_logits.tensor(tokens, c.num_experts);
  const Tensor weights = w.storage.expert_weights.tensor(tokens, k);
  const Tensor shared = w.storage.shared.tensor(tokens, c.hidden_size), gate = w.storage.shared_gate.tensor(tokens, 1);
  w.storage.expert_ids.resize(static_cast<size_t>(tokens * k));

  ops.linears(w.normed, std::array<Ops::Product, 2>{{{&mlp.router, logits}, {&mlp.shared_expert_gate, gate}}});
  ops.route(logits, c.norm_topk_prob, w.storage.expert_ids, weights);
  ops.experts(w.normed, mlp.experts, w.storage.expert_ids, weights, w.mixed);
  ops.expert(w.normed, mlp.shared_expert, shared);
  ops.add_gated(w.mixed, gate, shared);
}

}  // namespace quern
