// Binding a checkpoint's tensors to the model. One walk over the layers names every tensor; what it does with a name is the visitor's
// business: collecting the list (expected_tensors) or binding views and noting what is wrong (load).
#include "model/model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "base/file.h"
#include "base/random.h"
#include "model/tensor_source.h"

namespace quern {
namespace {

struct TensorVisitor {
  std::function<void(const std::string& name, std::vector<int64_t> shape, Weight&)> matrix;
  std::function<void(const std::string& name, std::vector<int64_t> shape, VectorRole, Vector&)> vector;
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
  visit.vector(prefix + "q_norm.weight", {c.head_dim}, VectorRole::gain, a.q_norm);
  visit.vector(prefix + "k_norm.weight", {c.head_dim}, VectorRole::gain, a.k_norm);
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
  visit.vector(prefix + "conv1d.weight", {c.conv_channels(), 1, c.linear_conv_kernel_dim}, VectorRole::plain, d.conv1d);
  visit.vector(prefix + "A_log", {heads}, VectorRole::decay, d.A);
  visit.vector(prefix + "dt_bias", {heads}, VectorRole::plain, d.dt_bias);
  visit.vector(prefix + "norm.weight", {c.linear_value_head_dim}, VectorRole::plain, d.norm);
  visit.matrix(prefix + "out_proj.weight", {c.hidden_size, c.linear_value_dim()}, d.out_proj);
}

void visit_layer(const TensorVisitor& visit, const std::string& prefix, const ModelConfig& c, Layer& layer) {
  visit.vector(prefix + "input_layernorm.weight", {c.hidden_size}, VectorRole::gain, layer.input_norm);
  visit.vector(prefix + "post_attention_layernorm.weight", {c.hidden_size}, VectorRole::gain, layer.post_attention_norm);
  if (layer.kind == LayerKind::full_attention)
    visit_attention(visit, prefix + "self_attn.", c, layer.attention);
  else
    visit_delta(visit, prefix + "linear_attn.", c, layer.delta);
  visit_mlp(visit, prefix + "mlp.", c, layer.mlp);
}

void visit_mtp(const TensorVisitor& visit, const ModelConfig& c, Mtp& mtp) {
  visit.matrix("mtp.fc.weight", {c.hidden_size, 2 * c.hidden_size}, mtp.fc);
  visit.vector("mtp.pre_fc_norm_embedding.weight", {c.hidden_size}, VectorRole::gain, mtp.embedding_norm);
  visit.vector("mtp.pre_fc_norm_hidden.weight", {c.hidden_size}, VectorRole::gain, mtp.hidden_norm);
  visit.vector("mtp.norm.weight", {c.hidden_size}, VectorRole::gain, mtp.norm);
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
  visit.vector(c.tensor_prefix + "norm.weight", {c.hidden_size}, VectorRole::gain, m.final_norm);
  if (c.tie_word_embeddings)
    m.lm_head = m.embed_tokens;
  else
    visit.matrix("lm_head.weight", {c.vocab_size, c.hidden_size}, m.lm_head);
  if (m.mtp) visit_mtp(visit, c, *m.mtp);
}

// Binds tensors by name and keeps three lists of what is wrong, so that a broken checkpoint is described once, not tensor by tensor.
class Binder {
 public:
  explicit Binder(TensorSource& source) : source_(source) {}

  TensorVisitor visitor() {
    return {.matrix = [this](const std::string& name, const std::vector<int64_t>& shape,
                             Weight& weight) { keep(source_.matrix(name, shape[0], shape[1]), weight); },
            .vector = [this](const std::string& name, const std::vector<int64_t>& shape, VectorRole role,
                             Vector& vector) { keep(source_.vector(name, shape, role), vector); }};
  }

  Result<void> verdict(const std::filesystem::path& where, bool ignore_mtp) {
    std::vector<std::string> unexpected;
    for (const std::string& name : source_.unused()) {
      if (ignore_mtp && name.starts_with("mtp.")) continue;
      if (name.find("visual.") != std::string::npos) continue;  // the vision half of a wrapper is not run
      unexpected.push_back(name.substr(0, 200));
    }
    if (missing_.empty() && unexpected.empty() && wrong_.empty()) return {};
    std::vector<std::string> parts;
    describe(parts, "missing", missing_);
    describe(parts, "unexpected", unexpected);
    describe(parts, "wrong", wrong_);
    return fail(Errc::mismatch, "{}: {}", where.string(), fmt::join(parts, "; "));
  }

 private:
  template <class T>
  void keep(Result<T> found, T& place) {
    if (found)
      place = std::move(*found);
    else
      (found.error().code == Errc::not_found ? missing_ : wrong_).push_back(std::move(found.error().message));
  }
  static void describe(std::vector<std::string>& parts, std::string_view what, const std::vector<std::string>& names) {
    constexpr size_t kShown = 4;
    if (names.empty()) return;
    const std::vector<std::string> shown(names.begin(),
                                         names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kShown)));
    parts.push_back(fmt::format("{} {} tensor{} ({}{})", names.size(), what, names.size() == 1 ? "" : "s", fmt::join(shown, ", "),
                                names.size() > kShown ? ", …" : ""));
  }

  TensorSource& source_;
  std::vector<std::string> missing_, wrong_;
};

// A config may name more layers than there are tensors for: refuse before making room for billions of expert views.
Result<void> check_size(const Model& model, const std::filesystem::path& where) {
  int64_t matrices = 0;  // at least those that are there: a stack has as many as it has bytes, at most
  for (const StoredTensor* tensor : model.checkpoint.tensors())
    matrices += tensor->shape.size() < 3 ? 1 : std::min(tensor->shape[0], static_cast<int64_t>(tensor->bytes.size()));
  const auto layers = static_cast<int64_t>(model.config.layers.size());
  if (layers * std::max<int64_t>(1, model.config.num_experts) <= matrices * 4 + 4096) return {};
  return fail(Errc::mismatch, "{}: config.json describes {} layers of {} experts, but the checkpoint has {} tensors",
              where.string(), layers, model.config.num_experts, model.checkpoint.tensors().size());
}

// config.json's quant_method names what only other engines read.
Result<void> check_quant_method(const Json& config, std::string_view where) {
  const Json* quantization = config.find("quantization_config");
  const Json* method = quantization ? quantization->find("quant_method") : nullptr;
  if (!method || !method->is_string() || method->as_string() == "fp8") return {};
  return fail(Errc::unsupported, "{}: quant_method \"{}\"; quern reads fp8, MLX's quantization and GGUF", where,
              method->as_string().substr(0, 40));
}

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
  const std::string config_path = (folder / "config.json").string();
  QUERN_ASSIGN(const std::string config_text, read_file(config_path, size_t{16} << 20));
  QUERN_ASSIGN(const Json config, Json::parse(config_text, config_path));
  QUERN_ASSIGN(model->config, ModelConfig::from_json(config, config_path));
  QUERN_ASSIGN(model->checkpoint, Checkpoint::open(folder));
  QUERN_TRY(check_size(*model, folder));
  if (model->checkpoint.find("mtp.fc.weight")) model->mtp = std::make_unique<Mtp>();  // the tensors decide, not the config
  QUERN_ASSIGN(const auto source, open_tensors(model->checkpoint, config, config_path));
  Binder binder(*source);
  visit_model(binder.visitor(), *model);
  QUERN_TRY(binder.verdict(folder, /*ignore_mtp=*/!model->mtp));
  model->fingerprint = quern::fingerprint(model->checkpoint);
  return std::shared_ptr<const Model>(std::move(model));
}

Result<std::unique_ptr<TensorSource>> open_tensors(const Checkpoint& checkpoint, const Json& config, std::string_view where) {
  if (has_mlx_layout(checkpoint)) {
    QUERN_ASSIGN(MlxQuantization quantization, MlxQuantization::from_config(config, where));
    return mlx_source(checkpoint, std::move(quantization));
  }
  QUERN_TRY(check_quant_method(config, where));
  return published_source(checkpoint);
}

std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config, bool with_mtp) {
  Model model;
  model.config = config;
  if (with_mtp) model.mtp = std::make_unique<Mtp>();
  std::vector<ExpectedTensor> list;
  const TensorVisitor collect{
      .matrix = [&](const std::string& name, std::vector<int64_t> shape, Weight&) { list.push_back({name, std::move(shape), {}}); },
      .vector = [&](const std::string& name, std::vector<int64_t> shape, VectorRole role,
                    Vector&) { list.push_back({name, std::move(shape), role}); }};
  visit_model(collect, model);
  return list;
}

}  // namespace quern
