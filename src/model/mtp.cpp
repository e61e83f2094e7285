// Multi-token prediction: e = norm(embed[token t+1]), h = norm(final hidden state at t), x = fc([e, h]), one full-attention layer at
// position t, norm, lm_head: logits for token t+2. The hidden state is the one after the model's final norm.
#include <algorithm>

#include "base/check.h"
#include "kernels/rope/rope.h"
#include "model/forward.h"

namespace quern {
namespace {

// Keeps the newest hidden states: one waits for its next token, the others make a rollback possible.
void remember_hidden(std::vector<float>& kept, Tensor hidden) {
  const int64_t most = (DeltaState::kReach + 1) * hidden.cols;
  const int64_t first = std::max<int64_t>(0, hidden.rows - DeltaState::kReach - 1);
  for (int64_t t = first; t < hidden.rows; ++t) kept.insert(kept.end(), hidden.row(t), hidden.row(t) + hidden.cols);
  if (const auto size = static_cast<int64_t>(kept.size()); size > most) kept.erase(kept.begin(), kept.begin() + (size - most));
}

}  // namespace

Tensor mtp_forward(Ops& ops, const Model& m, SequenceState& state, std::span<const int32_t> tokens, Workspace& w) {
  QUERN_CHECK(m.mtp && state.has_mtp());
  const Mtp& mtp = *m.mtp;
  const ModelConfig& c = m.config;
  const int64_t hidden_size = c.hidden_size, fed = static_cast<int64_t>(tokens.size());
  const auto eps = static_cast<float>(c.rms_norm_eps);
  const Tensor trunk = w.final_hidden;  // [fed, H]
  QUERN_CHECK(trunk.rows == fed, trunk.rows, fed);
  std::vector<float>& kept = state.mtp_hidden();
  const bool pending = !kept.empty();
  const int64_t pairs = pending ? fed : fed - 1;

  if (pairs == 0) {
    remember_hidden(kept, trunk);
    return Tensor{};
  }

  // Row i pairs the hidden state of position p + i with token p + i + 1, where p is the oldest position not yet paired.
  const std::span<const int32_t> next = tokens.subspan(static_cast<size_t>(fed - pairs));
  const Tensor both = w.storage.mtp_pairs.tensor(pairs, 2 * hidden_size);
  const Tensor hidden = both.col_range(hidden_size, 2 * hidden_size);
  for (int64_t i = 0; i < pairs; ++i) {
    const float* source = pending ? (i == 0 ? kept.data() + kept.size() - hidden_size : trunk.row(i - 1)) : trunk.row(i);
    std::copy(source, source + hidden_size, hidden.row(i));
  }
  remember_hidden(kept, trunk);

  const Tensor embedding = w.storage.mtp_embedding.tensor(pairs, hidden_size);
  ops.embed(next, m.embed_tokens, embedding);
  ops.rms_norm(embedding, mtp.embedding_norm, eps, both.col_range(0, hidden_size));
  ops.rms_norm(hidden, mtp.hidden_norm, eps, hidden);
  w.hidden = w.storage.hidden.tensor(pairs, hidden_size);
  w.normed = w.storage.normed.tensor(pairs, hidden_size);
  w.mixed = w.storage.mixed.tensor(pairs, hidden_size);
  ops.linear(both, mtp.fc, w.hidden);

  const int64_t first = state.mtp_kv().length();
  const auto half = static_cast<int64_t>(w.rotary.inv_freq.size());
  w.rope = {w.storage.cos.tensor(pairs, half), w.storage.sin.tensor(pairs, half)};
  for (int64_t i = 0; i < pairs; ++i)
    rope_cos_sin(w.rotary.inv_freq, w.rotary.attention_factor, first + i, w.rope.cos.row(i), w.rope.sin.row(i));
  Batch batch{{next.begin(), next.end()}, {{.state = &state, .first_row = 0, .count = pairs}}, Batch::Logits::all};
  ops.rms_norm(w.hidden, mtp.layer.input_norm, eps, w.normed);
  full_attention(ops, c, mtp.layer.attention, /*layer=*/-1, batch, w);
  ops.add_rms_norm(w.hidden, w.mixed, mtp.layer.post_attention_norm, eps, w.normed);
  mlp(ops, c, mtp.layer.mlp, w);
  ops.add(w.hidden, w.mixed);
  ops.rms_norm(w.hidden, mtp.norm, eps, w.normed);
  w.logits = w.storage.logits.tensor(pairs, c.vocab_size);
  ops.linear(w.normed, m.lm_head, w.logits);
  return w.logits;
}

}  // namespace quern
