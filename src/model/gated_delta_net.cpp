// Gated DeltaNet (Yang et al., arXiv 2412.06464): a short causal convolution over q, k and v, then the gated delta rule on a matrix state
// per value head, then a gated RMS norm. The convolution and the rule carry state from call to call (model/sequence_state.h).
#include <array>

#include "model/forward.h"

namespace quern {
namespace {

// One sequence's tokens through the rule. All but the last few of a long span are run without log, see DeltaState::make_room.
void delta_rule(Ops& ops, const ModelConfig& c, DeltaState& state, Tensor qkv, Tensor g, Tensor beta, Tensor out) {
  const int64_t tokens = qkv.rows, key_dim = c.linear_key_dim();
  const int64_t unlogged = state.make_room(ops, tokens);
  if (unlogged > 0) {
    ops.gated_delta(qkv.row_range(0, unlogged), g.row_range(0, unlogged), beta.row_range(0, unlogged), c, state.live(), Tensor{},
                    out.row_range(0, unlogged));
    state.rebase();
  }
  const Tensor rest = qkv.row_range(unlogged, tokens), rest_g = g.row_range(unlogged, tokens);
  const Tensor d = state.append_log(rest.col_range(key_dim, 2 * key_dim), rest_g);
  ops.gated_delta(rest, rest_g, beta.row_range(unlogged, tokens), c, state.live(), d, out.row_range(unlogged, tokens));
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
  for (const SequenceSpan& span : batch.sequences) {
    const int64_t begin = span.first_row, end = span.first_row + span.count;
    DeltaState& state = span.state->delta(layer);
    ops.short_conv(conv_in.row_range(begin, end), d.conv1d, state.conv_history(), qkv.row_range(begin, end));
    state.append_conv(conv_in.row_range(begin, end));
  }
  ops.normalise_qk(qkv, c);
  for (const SequenceSpan& span : batch.sequences) {
    const int64_t begin = span.first_row, end = span.first_row + span.count;
    delta_rule(ops, c, span.state->delta(layer), qkv.row_range(begin, end), a.row_range(begin, end), b.row_range(begin, end),
               out.row_range(begin, end));
  }
  ops.gated_rms_norm(out, z, d.norm, static_cast<float>(c.rms_norm_eps), out);
  ops.linear(out, d.out_proj, w.mixed);
}

}  // namespace quern
