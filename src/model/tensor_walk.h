// The walk over all tensors of a model: it names each, tells its published shape, and hands its place to a visitor. What is done with it is
// the visitor's business: collecting the list, binding views, counting. A visitor has
//   matrix(name, shape, Weight&)   vector(name, shape, VectorRole, Vector&)          const where the model is
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "model/model.h"
#include "model/tensor_source.h"

namespace quern {

// Gives the model the layers and experts of its config, empty.
inline void shape_model(Model& m) {
  const ModelConfig& c = m.config;
  const auto shape_mlp = [&](Mlp& mlp, MlpKind kind) {
    mlp.kind = kind;
    if (kind == MlpKind::sparse) mlp.experts.resize(static_cast<size_t>(c.num_experts));
  };
  m.layers.resize(c.layers.size());
  for (size_t i = 0; i < m.layers.size(); ++i) {
    m.layers[i].kind = c.layers[i];
    shape_mlp(m.layers[i].mlp, c.mlps[i]);
  }
  if (!m.mtp) return;
  m.mtp->layer.kind = LayerKind::full_attention;
  shape_mlp(m.mtp->layer.mlp, c.num_experts > 0 ? MlpKind::sparse : MlpKind::dense);
}

inline void visit_expert(auto& visit, const std::string& prefix, int64_t hidden, int64_t width, auto& expert) {
  visit.matrix(prefix + "gate_proj.weight", {width, hidden}, expert.gate_proj);
  visit.matrix(prefix + "up_proj.weight", {width, hidden}, expert.up_proj);
  visit.matrix(prefix + "down_proj.weight", {hidden, width}, expert.down_proj);
}

inline void visit_mlp(auto& visit, const std::string& prefix, const ModelConfig& c, auto& mlp) {
  if (mlp.kind == MlpKind::dense) return visit_expert(visit, prefix, c.hidden_size, c.intermediate_size, mlp.dense);
  visit.matrix(prefix + "gate.weight", {c.num_experts, c.hidden_size}, mlp.router);
  for (int64_t e = 0; e < c.num_experts; ++e)
    visit_expert(visit, fmt::format("{}experts.{}.", prefix, e), c.hidden_size, c.moe_intermediate_size,
                 mlp.experts[static_cast<size_t>(e)]);
  visit_expert(visit, prefix + "shared_expert.", c.hidden_size, c.shared_expert_intermediate_size, mlp.shared_expert);
  visit.matrix(prefix + "shared_expert_gate.weight", {1, c.hidden_size}, mlp.shared_expert_gate);
}

inline void visit_attention(auto& visit, const std::string& prefix, const ModelConfig& c, auto& a) {
  visit.matrix(prefix + "q_proj.weight", {c.num_attention_heads * 2 * c.head_dim, c.hidden_size}, a.q_proj);
  visit.matrix(prefix + "k_proj.weight", {c.num_key_value_heads * c.head_dim, c.hidden_size}, a.k_proj);
  visit.matrix(prefix + "v_proj.weight", {c.num_key_value_heads * c.head_dim, c.hidden_size}, a.v_proj);
  visit.matrix(prefix + "o_proj.weight", {c.hidden_size, c.num_attention_heads * c.head_dim}, a.o_proj);
  visit.vector(prefix + "q_norm.weight", {c.head_dim}, VectorRole::gain, a.q_norm);
  visit.vector(prefix + "k_norm.weight", {c.head_dim}, VectorRole::gain, a.k_norm);
}

inline void visit_delta(auto& visit, const std::string& prefix, const ModelConfig& c, auto& d) {
  const int64_t heads = c.linear_num_value_heads;
  if (c.delta_projections == DeltaProjections::interleaved) {
    visit.matrix(prefix + "in_proj_qkvz.weight", {c.conv_channels() + c.linear_value_dim(), c.hidden_size}, d.in_proj_qkvz);
    visit.matrix(prefix + "in_proj_ba.weight", {2 * heads, c.hidden_size}, d.in_proj_ba);
  } else {
    visit.matrix(prefix + "in_proj_qkv.weight", {c.conv_channels(), c.hidden_size}, d.in_proj_qkv);
    visit.matrix(prefix + "in_proj_z.weight", {c.linear_value_dim(), c.hidden_size}, d.in_proj_z);
    visit.matrix(prefix + "in_proj_b.weight", {heads, c.hidden_size}, d.in_proj_b);
    visit.matrix(prefix + "in_proj_a.weight", {heads, c.hidden_size}, d.in_proj_a);
  }
  visit.vector(prefix + "conv1d.weight", {c.conv_channels(), 1, c.linear_conv_kernel_dim}, VectorRole::plain, d.conv1d);
  visit.vector(prefix + "A_log", {heads}, VectorRole::decay, d.A);
  visit.vector(prefix + "dt_bias", {heads}, VectorRole::plain, d.dt_bias);
  visit.vector(prefix + "norm.weight", {c.linear_value_head_dim}, VectorRole::plain, d.norm);
  visit.matrix(prefix + "out_proj.weight", {c.hidden_size, c.linear_value_dim()}, d.out_proj);
}

inline void visit_layer(auto& visit, const std::string& prefix, const ModelConfig& c, auto& layer) {
  visit.vector(prefix + "input_layernorm.weight", {c.hidden_size}, VectorRole::gain, layer.input_norm);
  visit.vector(prefix + "post_attention_layernorm.weight", {c.hidden_size}, VectorRole::gain, layer.post_attention_norm);
  if (layer.kind == LayerKind::full_attention)
    visit_attention(visit, prefix + "self_attn.", c, layer.attention);
  else
    visit_delta(visit, prefix + "linear_attn.", c, layer.delta);
  visit_mlp(visit, prefix + "mlp.", c, layer.mlp);
}

inline void visit_mtp(auto& visit, const ModelConfig& c, auto& mtp) {
  visit.matrix("mtp.fc.weight", {c.hidden_size, 2 * c.hidden_size}, mtp.fc);
  visit.vector("mtp.pre_fc_norm_embedding.weight", {c.hidden_size}, VectorRole::gain, mtp.embedding_norm);
  visit.vector("mtp.pre_fc_norm_hidden.weight", {c.hidden_size}, VectorRole::gain, mtp.hidden_norm);
  visit.vector("mtp.norm.weight", {c.hidden_size}, VectorRole::gain, mtp.norm);
  visit_layer(visit, "mtp.layers.0.", c, mtp.layer);
}

// The whole model, in the order of the forward pass.
inline void visit_model(auto& visit, auto& m) {
  const ModelConfig& c = m.config;
  visit.matrix(c.tensor_prefix + "embed_tokens.weight", {c.vocab_size, c.hidden_size}, m.embed_tokens);
  for (size_t i = 0; i < m.layers.size(); ++i) visit_layer(visit, fmt::format("{}layers.{}.", c.tensor_prefix, i), c, m.layers[i]);
  visit.vector(c.tensor_prefix + "norm.weight", {c.hidden_size}, VectorRole::gain, m.final_norm);
  if (!c.tie_word_embeddings) visit.matrix("lm_head.weight", {c.vocab_size, c.hidden_size}, m.lm_head);
  if (m.mtp) visit_mtp(visit, c, *m.mtp);
}

}  // namespace quern
