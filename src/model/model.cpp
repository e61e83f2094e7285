// Binding a checkpoint's tensors to the model, and the list of them.
#include "model/model.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/file.h"
#include "base/random.h"
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
    const size_t sampled =
        std::min<size_t>(tensor->bytes.size(), 16);  // enough to tell fine-tunes apart without reading the weights
    const std::string_view head(reinterpret_cast<const char*>(tensor->bytes.data()),
                                tensor->name.ends_with("norm.weight") ? sampled : 0);
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
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored) && !std::filesystem::exists(path / "config.json", ignored)) {
    QUERN_ASSIGN(const auto gguf, gguf_of_model(path));
    if (!gguf) return fail(Errc::not_found, "{}: no config.json and no .gguf", path.string());
  }
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
    void matrix(const std::string& name, std::vector<int64_t> shape, Weight&) { list.push_back({name, std::move(shape)}); }
    void vector(const std::string& name, std::vector<int64_t> shape, VectorRole, Vector&) {
      list.push_back({name, std::move(shape)});
    }
  } collect;
  visit_model(collect, model);
  return std::move(collect.list);
}

}  // namespace quern
