#include "model/forward.h"

#include "base/check.h"
#include "kernels/rope/rope.h"

namespace quern {
namespace {

// cos and sin for each row's position. Angles in f32, as the reference computes them.
RopeTable rope_table(const Batch& batch, const std::vector<int64_t>& first_positions, Workspace& w) {
  const auto half = static_cast<int64_t>(w.rotary.inv_freq.size());
  RopeTable table{w.storage.cos.tensor(batch.tokens(), half), w.storage.sin.tensor(batch.tokens(), half)};
  for (size_t s = 0; s < batch.sequences.size(); ++s) {
    const SequenceSpan& span = batch.sequences[s];
    for (int64_t i = 0; i < span.count; ++i)
      rope_cos_sin(w.rotary.inv_freq, w.rotary.attention_factor, first_positions[s] + i, table.cos.row(span.first_row + i),
                   table.sin.row(span.first_row + i));
  }
  return table;
}

// The rows whose logits are wanted, made contiguous.
Tensor logit_rows(const Batch& batch, Workspace& w) {
  if (batch.logits == Batch::Logits::none) return w.final_hidden.row_range(0, 0);
  if (batch.logits == Batch::Logits::all) return w.final_hidden;
  const auto count = static_cast<int64_t>(batch.sequences.size());
  for (int64_t s = 0; s < count; ++s) {
    const SequenceSpan& span = batch.sequences[static_cast<size_t>(s)];
    const float* last = w.final_hidden.row(span.first_row + span.count - 1);
    std::copy(last, last + w.final_hidden.cols, w.normed.row(s));  // normed is free here, and s never exceeds its rows
  }
  return w.normed.row_range(0, count);
}

}  // namespace

Workspace::Workspace(const Model& model) { rotary = rotary_frequencies(model.config); }

void forward(Ops& ops, const Model& m, Batch& batch, Workspace& w) {
  const ModelConfig& c = m.config;
  const int64_t tokens = batch.tokens();
  const auto eps = static_cast<float>(c.rms_norm_eps);
  std::vector<int64_t> first_positions;
  for (const SequenceSpan& span : batch.sequences) first_positions.push_back(span.state->position());
  w.hidden = w.storage.hidden.tensor(tokens, c.hidden_size);
  w.normed = w.storage.normed.tensor(tokens, c.hidden_size);
  w.mixed = w.storage.mixed.tensor(tokens, c.hidden_size);
  w.rope = rope_table(batch, first_positions, w);

  ops.embed(batch.token_ids, m.embed_tokens, w.hidden);
  int64_t full_layer = 0, linear_layer = 0;
  for (const Layer& layer : m.layers) {
    ops.rms_norm(w.hidden, layer.input_norm, eps, w.normed);
    if (layer.kind == LayerKind::full_attention)
      full_attention(ops, c, layer.attention, full_layer++, batch, w);
    else
      gated_delta_net(ops, c, layer.delta, linear_layer++, batch, w);
    ops.add_rms_norm(w.hidden, w.mixed, layer.post_attention_norm, eps, w.normed);
    mlp(ops, c, layer.mlp, w);
    ops.add(w.hidden, w.mixed);
  }
  w.final_hidden = w.storage.final_hidden.tensor(tokens, c.hidden_size);
  ops.rms_norm(w.hidden, m.final_norm, eps, w.final_hidden);
  const Tensor rows = logit_rows(batch, w);
  w.logits = w.storage.logits.tensor(rows.rows, c.vocab_size);
  if (rows.rows > 0) ops.linear(rows, m.lm_head, w.logits);
  for (const SequenceSpan& span : batch.sequences) span.state->advance(span.count);
}

}  // namespace quern
