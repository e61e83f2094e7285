#include "model/forward.h"

#include <algorithm>

#include "kernels/rope/rope.h"

namespace quern {
namespace {

// cos and sin for each row's position. Angles in f32, as the reference computes them.
RopeTable rope_table(const Batch& batch, Workspace& w) {
  const auto half = static_cast<int64_t>(w.rotary.inv_freq.size());
  RopeTable table{w.storage.cos.tensor(batch.tokens(), half), w.storage.sin.tensor(batch.tokens(), half)};
  for (const SequenceSpan& span : batch.sequences)
    for (int64_t i = 0; i < span.count; ++i)
      rope_cos_sin(w.rotary.inv_freq, w.rotary.attention_factor, span.state->position() + i, table.cos.row(span.first_row + i),
                   table.sin.row(span.first_row + i));
  return table;
}

// The rows whose logits are wanted, made contiguous.
Tensor logit_rows(const Batch& batch, Workspace& w) {
  if (batch.logits == Batch::Logits::none) return w.final_hidden.row_range(0, 0);
  if (batch.logits == Batch::Logits::all) return w.final_hidden;
  int64_t count = 0;
  for (const SequenceSpan& span : batch.sequences) {
    if (!span.wants_logits) continue;
    const float* last = w.final_hidden.row(span.first_row + span.count - 1);
    std::copy(last, last + w.final_hidden.cols, w.normed.row(count++));  // normed is free here, and has a row for each of its own
  }
  return w.normed.row_range(0, count);
}

}  // namespace

Workspace::Workspace(const Model& model) { rotary = rotary_frequencies(model.config); }

void begin_batch(const Model& m, const Batch& batch, Workspace& w) {
  const int64_t tokens = batch.tokens(), width = m.config.hidden_size;
  w.hidden = w.storage.hidden.tensor(tokens, width);
  w.normed = w.storage.normed.tensor(tokens, width);
  w.mixed = w.storage.mixed.tensor(tokens, width);
  w.rope = rope_table(batch, w);
}

void forward_layer(Ops& ops, const Model& m, size_t index, Batch& batch, Workspace& w) {
  const ModelConfig& c = m.config;
  const Layer& layer = m.layers[index];
  const auto eps = static_cast<float>(c.rms_norm_eps);
  const auto at = c.layers.begin() + static_cast<std::ptrdiff_t>(index);
  const int64_t before = std::count(c.layers.begin(), at, *at);  // layers of this kind

  ops.rms_norm(w.hidden, layer.input_norm, eps, w.normed);
  if (layer.kind == LayerKind::full_attention)
    full_attention(ops, c, layer.attention, before, batch, w);
  else
    gated_delta_net(ops, c, layer.delta, before, batch, w);
  ops.add_rms_norm(w.hidden, w.mixed, layer.post_attention_norm, eps, w.normed);
  mlp(ops, c, layer.mlp, w);
  ops.add(w.hidden, w.mixed);
}

void forward(Ops& ops, const Model& m, Batch& batch, Workspace& w) {
  const ModelConfig& c = m.config;
  begin_batch(m, batch, w);
  ops.embed(batch.token_ids, m.embed_tokens, w.hidden);
  for (size_t layer = 0; layer < m.layers.size(); ++layer) forward_layer(ops, m, layer, batch, w);
  w.final_hidden = w.storage.final_hidden.tensor(batch.tokens(), c.hidden_size);
  ops.rms_norm(w.hidden, m.final_norm, static_cast<float>(c.rms_norm_eps), w.final_hidden);
  const Tensor rows = logit_rows(batch, w);
  w.logits = w.storage.logits.tensor(rows.rows, c.vocab_size);
  if (rows.rows > 0) ops.linear(rows, m.lm_head, w.logits);
  for (const SequenceSpan& span : batch.sequences) span.state->advance(span.count);
}

}  // namespace quern
