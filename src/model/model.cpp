// Binding a checkpoint's tensors to the model, and the list of them.
#include "model/model.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/file.h"
#include "base/random.h"
#include "base/utf8.h"
#include "formats/gguf_config.h"
#include "model/tensor_source.h"
#include "model/tensor_walk.h"

namespace quern {
namespace {

// Binds tensors by name and keeps three lists of what is wrong, so that a broken checkpoint is described once, not tensor by tensor.
class Binder {
 public:
  explicit Binder(TensorSource& source) : source_(source) {}

  void matrix(const std::string& name, const std::vector<int64_t>& shape, Weight& weight) {
    keep(source_.matrix(name, shape[0], shape[1]), weight);
  }
  void vector(const std::string& name, const std::vector<int64_t>& shape, VectorRole role, Vector& vector) {
    keep(source_.vector(name, shape, role), vector);
  }

  Result<void> verdict(const std::filesystem::path& where, bool ignore_mtp) {
    Complaints unexpected;
    for (const std::string& name : source_.unused()) {
      if (ignore_mtp && name.starts_with("mtp.")) continue;
      if (name.find("visual.") != std::string::npos) continue;  // the vision half of a wrapper is not run
      unexpected.add(name);
    }
    std::vector<std::string> parts;
    missing_.describe(parts, "missing");
    unexpected.describe(parts, "unexpected");
    wrong_.describe(parts, "wrong");
    if (parts.empty()) return {};
    return fail(Errc::mismatch, "{}: {}", where.string(), fmt::join(parts, "; "));
  }

 private:
  // How many, and the first few.
  struct Complaints {
    size_t count = 0;
    std::vector<std::string> first;

    void add(std::string_view text) {
      constexpr size_t kShown = 4, kLongest = 300;
      if (count++ < kShown) first.emplace_back(replace_invalid_utf8(text.substr(0, kLongest)));
    }
    void describe(std::vector<std::string>& parts, std::string_view what) const {
      if (count == 0) return;
      parts.push_back(fmt::format("{} {} tensor{} ({}{})", count, what, count == 1 ? "" : "s", fmt::join(first, ", "),
                                  count > first.size() ? ", …" : ""));
    }
  };
  template <class T>
  void keep(Result<T> found, T& place) {
    if (found)
      place = std::move(*found);
    else
      (found.error().code == Errc::not_found ? missing_ : wrong_).add(found.error().message);
  }

  TensorSource& source_;
  Complaints missing_, wrong_;
};

// A config may name more layers and experts than there are tensors for: refuse before making room for billions of views. An expert is at
// least two matrices (gate and up together, down), each a tensor or one of a stack.
Result<void> check_size(const Model& model, const std::filesystem::path& where) {
  int64_t matrices = 0;
  for (const StoredTensor* tensor : model.checkpoint.tensors()) {
    const std::string& name = tensor->name;
    const bool stack =
        tensor->shape.size() == 3 && (name.find("experts.") != std::string::npos || name.find("switch_mlp.") != std::string::npos ||
                                      name.find("_exps.") != std::string::npos);
    matrices += stack ? std::min(tensor->shape[0], static_cast<int64_t>(tensor->bytes.size())) : 1;
  }
  const auto layers = static_cast<int64_t>(model.config.layers.size());
  if (layers * std::max<int64_t>(1, model.config.num_experts) <= matrices + 4096) return {};
  return fail(Errc::mismatch, "{}: the config describes {} layers of {} experts, but the checkpoint has {} tensors", where.string(),
              layers, model.config.num_experts, model.checkpoint.tensors().size());
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
    // Enough to tell fine-tunes and quantisations apart without reading the weights: norms, and the middle of each output projection.
    const auto is = [&](std::string_view part) { return tensor->name.find(part) != std::string::npos; };
    const bool sampled =
        tensor->name.ends_with("norm.weight") || is("o_proj.") || is("out_proj.") || is("attn_output.") || is("ssm_out.");
    const auto sample =
        tensor->bytes.subspan(tensor->bytes.size() / 2, sampled ? std::min<size_t>(tensor->bytes.size() / 2, 16) : 0);
    const std::string_view head(reinterpret_cast<const char*>(sample.data()), sample.size());
    hash += Random::mix(fnv1a_64(tensor->name) ^ fnv1a_64(shape_text(tensor->shape)) * 3 ^ fnv1a_64(tensor->dtype) * 5 ^
                        fnv1a_64(head) * 7);
  }
  return hash;
}

// config.json and the source of a folder's tensors.
Result<void> open_folder(Model& model) {
  const std::string where = (model.checkpoint.path() / "config.json").string();
  QUERN_ASSIGN(const std::string text, read_file(where, size_t{16} << 20));
  QUERN_ASSIGN(const Json config, Json::parse(text, where));
  QUERN_ASSIGN(model.config, ModelConfig::from_json(config, where));
  if (has_mlx_layout(model.checkpoint)) {
    QUERN_ASSIGN(MlxQuantization quantization, MlxQuantization::from_config(config, where));
    model.source = mlx_source(model.checkpoint, std::move(quantization));
    return {};
  }
  QUERN_TRY(check_quant_method(config, where));
  model.source = published_source(model.checkpoint);
  return {};
}

Result<void> open_gguf(Model& model) {
  std::vector<StoredTensor> tensors;
  for (const StoredTensor* tensor : model.checkpoint.tensors()) tensors.push_back(*tensor);
  QUERN_ASSIGN(model.config, gguf_model_config(*model.checkpoint.gguf(), tensors));
  model.config.delta_projections = gguf_delta_projections(model.checkpoint);
  model.source = gguf_source(model.checkpoint, model.config);
  return {};
}

}  // namespace

Result<std::shared_ptr<const Model>> Model::load(const std::filesystem::path& path) {
  auto model = std::make_shared<Model>();
  QUERN_ASSIGN(model->checkpoint, Checkpoint::open(path));
  QUERN_TRY(model->checkpoint.gguf() ? open_gguf(*model) : open_folder(*model));
  QUERN_TRY(check_size(*model, path));
  if (model->source->has("mtp.fc.weight")) model->mtp = std::make_unique<Mtp>();  // the tensors decide, not the config
  shape_model(*model);
  Binder binder(*model->source);
  visit_model(binder, *model);
  if (model->config.tie_word_embeddings) model->lm_head = model->embed_tokens;
  QUERN_TRY(binder.verdict(path, /*ignore_mtp=*/!model->mtp));
  model->fingerprint = quern::fingerprint(model->checkpoint);
  return std::shared_ptr<const Model>(std::move(model));
}

std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config, bool with_mtp) {
  Model model;
  model.config = config;
  if (with_mtp) model.mtp = std::make_unique<Mtp>();
  shape_model(model);
  struct {
    std::vector<ExpectedTensor> list;
    void matrix(const std::string& name, std::vector<int64_t> shape, Weight&) { list.push_back({name, std::move(shape), {}}); }
    void vector(const std::string& name, std::vector<int64_t> shape, VectorRole role, Vector&) {
      list.push_back({name, std::move(shape), role});
    }
  } collect;
  visit_model(collect, model);
  return std::move(collect.list);
}

std::vector<NamedMatrix> named_matrices(const Model& model) {
  struct {
    std::vector<NamedMatrix> list;
    void matrix(const std::string& name, const std::vector<int64_t>&, const Weight& weight) { list.push_back({name, &weight}); }
    void vector(const std::string&, const std::vector<int64_t>&, VectorRole, const Vector&) {}
  } collect;
  visit_model(collect, model);
  return std::move(collect.list);
}

}  // namespace quern
