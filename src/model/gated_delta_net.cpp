// Gated DeltaNet (Yang et al., arXiv 2412.06464): a short causal convolution over q, k and v, then the gated delta rule on a matrix state
// per value head, then a gated RMS norm. The convolution and the rule carry state from call to call (model/sequence_state.h).
#include <array>
#include <vector>

#include "model/forward.h"

namespace quern {
namespace {

// Every sequence's rows through the rule. All but the last few of a long span are run without log, see DeltaState::make_room.
void delta_rule(Ops& ops, const ModelConfig& c, int64_t layer, const Batch& batch, Tensor qkv, Tensor g, Tensor beta, Tensor out) {
  const int64_t key_dim = c.linear_key_dim();
  const Tensor keys = qkv.col_range(key_dim, 2 * key_dim);
  std::vector<DeltaState*> states;
  std::vector<int64_t> counts;
  for (const SequenceSpan& span : batch.sequences) states.push_back(&span.state->delta(layer)), counts.push_back(span.count);
  const std::vector<int64_t> unlogged = DeltaState::make_room(ops, c, states, counts);
  std::vector<Ops::DeltaRows> sequences;
  for (size_t i = 0; i < states.size(); ++i) {
    const SequenceSpan& span = batch.sequences[i];
    const int64_t begin = span.first_row, end = begin + span.count, logged = begin + unlogged[i];
    sequences.push_back({.begin = begin,
                         .end = end,
                         .state = states[i]->live(),
                         .logged = logged,
                         .d = states[i]->append_log(keys.row_range(logged, end), g.row_range(logged, end)),
                         .base = unlogged[i] > 0 ? states[i]->base() : nullptr});
  }
  ops.gated_delta(qkv, g, beta, c, sequences, out);
}

}  // namespace

void gated_delta_net(Ops& ops, const ModelConfig& c, const GatedDeltaNet& d, int64_t layer, Batch& batch, Workspace& w) {
  const int64_t tokens = batch.tokens(), heads = c.linear_num_value_heads;
  const Tensor conv_in = w.storage.conv_in.tensor(tokens, c.conv_channels());
  const Tensor qkv = w.storage.conv_out.tensor(tokens, c.conv_channels());
  const Tensor z = w.storage.z.tensor(tokens, c.linear_value_dim());
  const Tensor b = w.storage.b.tensor(tokens, heads), a = w.storage.a.tensor(tokens, heads);
  const Tensor out = w.storage.delta_out.tensor(tokens, c.linear_value_dim());

  if (c.delta_projections == DeltaProjections::interleaved) {
    const Tensor qkvz = w.storage.qkvz.tensor(tokens, d.in_proj_qkvz.rows()), ba = w.storage.ba.tensor(tokens, d.in_proj_ba.rows());
    ops.linears(w.normed, std::array<Ops::Product, 2>{{{&d.in_proj_qkvz, qkvz}, {&d.in_proj_ba, ba}}});
    ops.split_projections(qkvz, ba, c, conv_in, z, b, a);
  } else {
    ops.linears(w.normed,
                std::array<Ops::Product, 4>{{{&d.in_proj_qkv, conv_in}, {&d.in_proj_z, z}, {&d.in_proj_b, b}, {&d.in_proj_a, a}}});
  }
  ops.delta_gates(b, a, d.A, d.dt_bias);
  std::vector<Ops::ConvRows> convolved;
  for (const SequenceSpan& span : batch.sequences)
    convolved.push_back({span.first_row, span.first_row + span.count, span.state->delta(layer).conv_inputs()});
  ops.short_conv(conv_in, d.conv1d, convolved, qkv);
  ops.normalise_qk(qkv, c);
  delta_rule(ops, c, layer, batch, qkv, a, b, out);
  ops.gated_rms_norm(out, z, d.norm, static_cast<float>(c.rms_norm_eps), out);
  ops.linear(out, d.out_proj, w.mixed);
}

}  // namespace quern
