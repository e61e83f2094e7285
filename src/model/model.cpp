// Binding a checkpoint's tensors to the model. One walk over the layers names every tensor; what it does with a name is the visitor's
// business: collecting the list (expected_tensors) or binding views and noting what is wrong (load).
#include "model/model.h"

#include <fmt/ranges.h>

#include <cmath>
#include <functional>
#include <unordered_set>

#include "base/random.h"

namespace quern {
namespace {

// How a stored vector becomes the f32 vector the arithmetic uses.
enum class VectorForm { as_stored, zero_centred, exponential };  // w;  1 + w (stored zero-centred);  exp(w)

struct TensorVisitor {
  std::function<void(const std::string& name, std::vector<int64_t> shape, Weight&)> matrix;
  std::function<void(const std::string& name, std::vector<int64_t> shape, VectorForm, Vector&)> vector;
};

void visit_expert(const TensorVisitor& visit, const std::string& prefix, int64_t hidden, int64_t width, Expert& expert) {
  visit.matrix(prefix + "gate_proj.weight", {width, hidden}, expert.gate_proj);
  visit.matrix(prefix + "up_proj.weight", {width, hidden}, expert.up_proj);
  visit.matrix(prefix + "down_proj.weight", {hidden, width}, expert.down_proj);
}

void visit_mlp(const TensorVisitor& visit, const std::string& prefix, const ModelConfig& c, Mlp& mlp) {
  if (mlp.kind == MlpKind::dense) return visit_expert(visit, prefix, c.hidden_size, c.intermediate_size, mlp.dense);
  visit.matrix(prefix + "gate.weight", {c.num_experts, c.hidden_size}, mlp.router);
  mlp.experts.resize(static_cast<size_t>(c.num_experts));
  for (int64_t e = 0; e < c.num_experts; ++e)
    visit_expert(visit, fmt::format("{}experts.{}.", prefix, e), c.hidden_size, c.moe_intermediate_size,
                 mlp.experts[static_cast<size_t>(e)]);
  visit_expert(visit, prefix + "shared_expert.", c.hidden_size, c.shared_expert_intermediate_size, mlp.shared_expert);
  visit.matrix(prefix + "shared_expert_gate.weight", {1, c.hidden_size}, mlp.shared_expert_gate);
}

void visit_attention(const TensorVisitor& visit, const std::string& prefix, const ModelConfig& c, FullAttention& a) {
  visit.matrix(prefix + "q_proj.weight", {c.num_attention_heads * 2 * c.head_dim, c.hidden_size}, a.q_proj);
  visit.matrix(prefix + "k_proj.weight", {c.num_key_value_heads * c.head_dim, c.hidden_size}, a.k_proj);
  visit.matrix(prefix + "v_proj.weight", {c.num_key_value_heads * c.head_dim, c.hidden_size}, a.v_proj);
  visit.matrix(prefix + "o_proj.weight", {c.hidden_size, c.num_attention_heads * c.head_dim}, a.o_proj);
  visit.vector(prefix + "q_norm.weight", {c.head_dim}, VectorForm::zero_centred, a.q_norm);
  visit.vector(prefix + "k_norm.weight", {c.head_dim}, VectorForm::zero_centred, a.k_norm);
}

void visit_delta(const TensorVisitor& visit, const std::string& prefix, const ModelConfig& c, GatedDeltaNet& d) {
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
  visit.vector(prefix + "conv1d.weight", {c.conv_channels(), 1, c.linear_conv_kernel_dim}, VectorForm::as_stored, d.conv1d);
  visit.vector(prefix + "A_log", {heads}, VectorForm::exponential, d.A);
  visit.vector(prefix + "dt_bias", {heads}, VectorForm::as_stored, d.dt_bias);
  visit.vector(prefix + "norm.weight", {c.linear_value_head_dim}, VectorForm::as_stored, d.norm);
  visit.matrix(prefix + "out_proj.weight", {c.hidden_size, c.linear_value_dim()}, d.out_proj);
}

void visit_layer(const TensorVisitor& visit, const std::string& prefix, const ModelConfig& c, Layer& layer) {
  visit.vector(prefix + "input_layernorm.weight", {c.hidden_size}, VectorForm::zero_centred, layer.input_norm);
  visit.vector(prefix + "post_attention_layernorm.weight", {c.hidden_size}, VectorForm::zero_centred, layer.post_attention_norm);
  if (layer.kind == LayerKind::full_attention)
    visit_attention(visit, prefix + "self_attn.", c, layer.attention);
  else
    visit_delta(visit, prefix + "linear_attn.", c, layer.delta);
  visit_mlp(visit, prefix + "mlp.", c, layer.mlp);
}

void visit_mtp(const TensorVisitor& visit, const ModelConfig& c, Mtp& mtp) {
  visit.matrix("mtp.fc.weight", {c.hidden_size, 2 * c.hidden_size}, mtp.fc);
  visit.vector("mtp.pre_fc_norm_embedding.weight", {c.hidden_size}, VectorForm::zero_centred, mtp.embedding_norm);
  visit.vector("mtp.pre_fc_norm_hidden.weight", {c.hidden_size}, VectorForm::zero_centred, mtp.hidden_norm);
  visit.vector("mtp.norm.weight", {c.hidden_size}, VectorForm::zero_centred, mtp.norm);
  mtp.layer.kind = LayerKind::full_attention;
  mtp.layer.mlp.kind = c.num_experts > 0 ? MlpKind::sparse : MlpKind::dense;
  visit_layer(visit, "mtp.layers.0.", c, mtp.layer);
}

// The whole model, in the order of the forward pass.
void visit_model(const TensorVisitor& visit, Model& m) {
  const ModelConfig& c = m.config;
  visit.matrix(c.tensor_prefix + "embed_tokens.weight", {c.vocab_size, c.hidden_size}, m.embed_tokens);
  m.layers.resize(c.layers.size());
  for (size_t i = 0; i < m.layers.size(); ++i) {
    m.layers[i].kind = c.layers[i];
    m.layers[i].mlp.kind = c.mlps[i];
    visit_layer(visit, fmt::format("{}layers.{}.", c.tensor_prefix, i), c, m.layers[i]);
  }
  visit.vector(c.tensor_prefix + "norm.weight", {c.hidden_size}, VectorForm::zero_centred, m.final_norm);
  if (c.tie_word_embeddings)
    m.lm_head = m.embed_tokens;
  else
    visit.matrix("lm_head.weight", {c.vocab_size, c.hidden_size}, m.lm_head);
  if (m.mtp) visit_mtp(visit, c, *m.mtp);
}

std::optional<DType> weight_dtype(std::string_view stored) {
  if (stored == "BF16") return DType::bf16;
  if (stored == "F16") return DType::f16;
  if (stored == "F32") return DType::f32;
  return {};
}

// Binds tensors by name and keeps three lists of what is wrong, so that a broken checkpoint is described once, not tensor by tensor.
class Binder {
 public:
  explicit Binder(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  TensorVisitor visitor() {
    return {.matrix =
                [this](const std::string& name, std::vector<int64_t> shape, Weight& weight) {
                  if (const StoredTensor* t = take(name, shape))
                    weight = {*weight_dtype(t->dtype), shape[0], shape[1], t->bytes.data()};
                },
            .vector =
                [this](const std::string& name, std::vector<int64_t> shape, VectorForm form, Vector& vector) {
                  if (const StoredTensor* t = take(name, shape)) vector = convert(*t, form);
                }};
  }

  Result<void> verdict(bool ignore_mtp) {
    for (const StoredTensor* tensor : checkpoint_.tensors()) {
      if (taken_.contains(tensor->name) || (ignore_mtp && tensor->name.starts_with("mtp."))) continue;
      if (tensor->name.find("visual.") != std::string::npos) continue;  // the vision half of a wrapper is not run
      unexpected_.push_back(tensor->name.substr(0, 200));
    }
    if (missing_.empty() && unexpected_.empty() && wrong_.empty()) return {};
    std::vector<std::string> parts;
    describe(parts, "missing", missing_);
    describe(parts, "unexpected", unexpected_);
    describe(parts, "wrong", wrong_);
    return fail(Errc::mismatch, "{}: {}", checkpoint_.folder().string(), fmt::join(parts, "; "));
  }

 private:
  const StoredTensor* take(const std::string& name, const std::vector<int64_t>& shape) {
    const StoredTensor* tensor = checkpoint_.find(name);
    if (!tensor) return missing_.push_back(name), nullptr;
    taken_.insert(tensor->name);
    if (tensor->shape != shape)
      return wrong_.push_back(fmt::format("{} shape {}, expected {}", name, shape_text(tensor->shape), shape_text(shape))), nullptr;
    if (!weight_dtype(tensor->dtype))
      return wrong_.push_back(fmt::format("{} dtype {}, expected BF16, F16 or F32", name, tensor->dtype)), nullptr;
    return tensor;
  }
  static Vector convert(const StoredTensor& tensor, VectorForm form) {
    const DType dtype = *weight_dtype(tensor.dtype);
    Vector vector(tensor.bytes.size() / dtype_size(dtype));
    to_f32(dtype, tensor.bytes.data(), vector.data(), static_cast<int64_t>(vector.size()));
    for (float& w : vector) {
      if (form == VectorForm::zero_centred) w += 1.0f;
      if (form == VectorForm::exponential) w = std::exp(w);
    }
    return vector;
  }
  static void describe(std::vector<std::string>& parts, std::string_view what, const std::vector<std::string>& names) {
    constexpr size_t kShown = 4;
    if (names.empty()) return;
    const std::vector<std::string> shown(names.begin(),
                                         names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kShown)));
    parts.push_back(fmt::format("{} {} tensor{} ({}{})", names.size(), what, names.size() == 1 ? "" : "s", fmt::join(shown, ", "),
                                names.size() > kShown ? ", …" : ""));
  }

  const Checkpoint& checkpoint_;
  std::unordered_set<std::string_view> taken_;
  std::vector<std::string> missing_, unexpected_, wrong_;
};

uint64_t fingerprint(const Checkpoint& checkpoint) {
  uint64_t hash = 0;
  for (const StoredTensor* tensor : checkpoint.tensors()) {
    const size_t sampled =
        std::min<size_t>(tensor->bytes.size(), 16);  // enough to tell fine-tunes apart without reading the weights
    const std::string_view head(reinterpret_cast<const char*>(tensor->bytes.data()),
                                tensor->name.ends_with("norm.weight") ? sampled : 0);
    hash += Random::mix(fnv1a_64(tensor->name) ^ fnv1a_64(shape_text(tensor->shape)) * 3 ^ fnv1a_64(tensor->dtype) * 5 ^
                        fnv1a_64(head) * 7);
  }
  return hash;
}

}  // namespace

Result<std::shared_ptr<const Model>> Model::load(const std::filesystem::path& folder) {
  auto model = std::make_shared<Model>();
  QUERN_ASSIGN(model->config, ModelConfig::load(folder / "config.json"));
  QUERN_ASSIGN(model->checkpoint, Checkpoint::open(folder));
  // A config may name more layers than there are tensors for: refuse before making room for billions of expert views.
  const auto layers = static_cast<int64_t>(model->config.layers.size());
  if (layers * std::max<int64_t>(1, model->config.num_experts) >
      static_cast<int64_t>(model->checkpoint.tensors().size()) * 4 + 4096)
    return fail(Errc::mismatch, "{}: config.json describes {} layers of {} experts, but the checkpoint has {} tensors",
                folder.string(), layers, model->config.num_experts, model->checkpoint.tensors().size());
  if (model->checkpoint.find("mtp.fc.weight")) model->mtp = std::make_unique<Mtp>();  // the tensors decide, not the config
  Binder binder(model->checkpoint);
  visit_model(binder.visitor(), *model);
  QUERN_TRY(binder.verdict(/*ignore_mtp=*/!model->mtp));
  model->fingerprint = quern::fingerprint(model->checkpoint);
  return std::shared_ptr<const Model>(std::move(model));
}

std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config, bool with_mtp) {
  Model model;
  model.config = config;
  if (with_mtp) model.mtp = std::make_unique<Mtp>();
  std::vector<ExpectedTensor> list;
  const TensorVisitor collect{
      .matrix = [&](const std::string& name, std::vector<int64_t> shape, Weight&) { list.push_back({name, std::move(shape)}); },
      .vector = [&](const std::string& name, std::vector<int64_t> shape, VectorForm,
                    Vector&) { list.push_back({name, std::move(shape)}); }};
  visit_model(collect, model);
  return list;
}

}  // namespace quern
