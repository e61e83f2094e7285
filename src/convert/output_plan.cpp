#include "convert/output_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "formats/tensor_names.h"
#include "tensor/dtype.h"

namespace quern {
namespace {

constexpr std::string_view kMtpFile = "mtp.safetensors";

bool is_plain(QuantFormat format) {
  return format == QuantFormat::f32 || format == QuantFormat::f16 || format == QuantFormat::bf16;
}
bool is_mlx(QuantFormat format) { return quant_format_info(format).name.starts_with("mlx-"); }

// The containers' words.
std::string_view plain_dtype(QuantFormat format) {
  return format == QuantFormat::f32 ? "F32" : format == QuantFormat::f16 ? "F16" : "BF16";
}
std::string_view scale_dtype(ScaleType type) { return type == ScaleType::bf16 ? "BF16" : "U8"; }

int64_t product(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

// A matrix of the source and the format that it gets.
struct Chosen {
  std::string name;
  QuantMatrix matrix;
  QuantFormat format = QuantFormat::bf16;
};

// Looks up formats and remembers what is worth telling.
class Chooser {
 public:
  explicit Chooser(const Recipe& recipe) : recipe_(recipe), used_(recipe.rules().size()) {}

  QuantFormat choose(const std::string& name, const QuantMatrix& matrix) {
    const auto rule = recipe_.match(name);
    if (rule) used_[*rule] = true;
    const auto wanted = rule ? recipe_.rules()[*rule].format : std::nullopt;
    if (!wanted) return kept(matrix);
    if (matrix.cols() % quant_format_info(*wanted).block_elements == 0) return *wanted;
    Misfits& misfits = misfits_[{*wanted, matrix.cols()}];
    if (misfits.count++ == 0) misfits.first = name;
    return QuantFormat::bf16;
  }

  void tell(std::vector<std::string>& notes) const {
    for (const auto& [what, misfits] : misfits_)
      notes.push_back(fmt::format("{}{}: kept at bf16: rows of {} weights are no multiple of {}, the group of {}", misfits.first,
                                  misfits.count > 1 ? fmt::format(" and {} more", misfits.count - 1) : "", what.second,
                                  quant_format_info(what.first).block_elements, quant_format_info(what.first).name));
    for (size_t i = 0; i < used_.size(); ++i)
      if (const RecipeRule& rule = recipe_.rules()[i]; !used_[i] && rule.line > 0)
        notes.push_back(fmt::format("recipe, line {}: \"{}\" decides about no matrix", rule.line, rule.pattern));
  }

 private:
  struct Misfits {
    std::string first;
    int64_t count = 0;
  };
  // Scales of a type that the format's own tools do not write would have to be rounded.
  static QuantFormat kept(const QuantMatrix& matrix) {
    if (is_plain(matrix.format())) return matrix.format();
    const bool own_scales = matrix.row(0).scale_type == quant_format_info(matrix.format()).scale_type;
    return is_mlx(matrix.format()) && own_scales ? matrix.format() : QuantFormat::bf16;
  }

  const Recipe& recipe_;
  std::vector<bool> used_;
  std::map<std::pair<QuantFormat, int64_t>, Misfits> misfits_;
};

// A vector in the form that a layout stores. What a container has folded in shows: its stored values are the effective ones.
Result<std::vector<float>> vector_values(TensorSource& source, const ExpectedTensor& tensor, OutputLayout layout) {
  QUERN_ASSIGN(std::vector<float> effective, source.vector(tensor.name, tensor.shape, *tensor.vector));
  if (tensor.vector == VectorRole::plain || (tensor.vector == VectorRole::gain && layout == OutputLayout::mlx)) return effective;
  QUERN_ASSIGN(std::vector<float> stored, source.vector(tensor.name, tensor.shape, VectorRole::plain));
  if (tensor.vector == VectorRole::gain) {
    if (stored != effective) return stored;  // exact also where 1 + w was not
    for (float& value : effective) value -= 1.0f;
    return effective;
  }
  const auto same = [](float raw, float decay) { return std::exp(raw) == decay; };
  if (std::equal(stored.begin(), stored.end(), effective.begin(), same)) return stored;
  for (float& value : effective) value = std::log(value);
  return effective;
}

QuantFormat vector_format(const std::vector<float>& values, VectorRole role, bool all_f32) {
  if (all_f32) return QuantFormat::f32;
  if (role == VectorRole::gain) return QuantFormat::bf16;
  const auto exact = [](float value) { return bf16_to_f32(f32_to_bf16(value)) == value; };
  return std::all_of(values.begin(), values.end(), exact) ? QuantFormat::bf16 : QuantFormat::f32;
}

// The format of the most weights among those that `counts`.
template <class Counts>
std::optional<QuantFormat> prevailing(std::span<const OutputTensor* const> tensors, Counts counts) {
  std::map<QuantFormat, int64_t> weights;
  for (const OutputTensor* tensor : tensors)
    if (counts(*tensor)) weights[tensor->format] += tensor->weights();
  const auto most =
      std::max_element(weights.begin(), weights.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == weights.end() ? std::nullopt : std::optional(most->first);
}

// Puts a matrix where the layout wants it: alone, or onto its stack.
class Collector {
 public:
  explicit Collector(OutputLayout layout) : layout_(layout) {}

  Result<void> add(Chosen&& chosen) {
    const StoredName stored = layout_ == OutputLayout::mlx ? mlx_name(chosen.name) : StoredName{chosen.name, {}};
    const auto [at, is_new] = places_.try_emplace(stored.name, tensors_.size());
    if (is_new) {
      OutputTensor tensor{.name = stored.name, .shape = {chosen.matrix.rows(), chosen.matrix.cols()}, .format = chosen.format};
      if (stored.expert) tensor.shape.insert(tensor.shape.begin(), 0);
      tensors_.push_back(std::move(tensor));
    }
    OutputTensor& tensor = tensors_[at->second];
    if (tensor.format != chosen.format)
      return fail(Errc::invalid_argument,
                  "{}: the recipe gives it {}, and others of {} {}; an MLX folder stacks them in one format", chosen.name,
                  quant_format_info(chosen.format).name, tensor.module(), quant_format_info(tensor.format).name);
    if (stored.expert) ++tensor.shape[0];
    tensor.matrices.push_back(chosen.matrix);
    tensor.published.push_back(std::move(chosen.name));
    return {};
  }
  void add(OutputTensor&& vector) { tensors_.push_back(std::move(vector)); }
  std::vector<OutputTensor>& tensors() { return tensors_; }

 private:
  OutputLayout layout_;
  std::vector<OutputTensor> tensors_;
  std::unordered_map<std::string, size_t> places_;
};

// Files of at most shard_bytes, whole modules only, in the order of the forward pass.
std::vector<OutputFile> files_of(std::vector<OutputTensor> tensors, OutputLayout layout, int64_t shard_bytes) {
  std::vector<OutputFile> shards(1);
  OutputFile mtp{.name = std::string(kMtpFile), .tensors = {}};
  int64_t bytes = 0;
  for (OutputTensor& tensor : tensors) {
    if (layout == OutputLayout::mlx && tensor.name.starts_with("mtp.")) {
      mtp.tensors.push_back(std::move(tensor));
      continue;
    }
    if (bytes > 0 && bytes + tensor.bytes() > shard_bytes) shards.emplace_back(), bytes = 0;
    bytes += tensor.bytes();
    shards.back().tensors.push_back(std::move(tensor));
  }
  for (size_t i = 0; i < shards.size(); ++i)
    shards[i].name =
        shards.size() == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  if (!mtp.tensors.empty()) shards.push_back(std::move(mtp));
  return shards;
}

Json index_of(const std::vector<OutputFile>& files) {
  Json weight_map = Json::object(), metadata = Json::object(), index = Json::object();
  int64_t total = 0;
  for (const OutputFile& file : files) {
    if (file.name == kMtpFile) continue;
    total += file.bytes();
    for (const OutputTensor& tensor : file.tensors)
      for (const SafetensorsWriter::Entry& entry : tensor.entries()) weight_map.as_object().emplace_back(entry.name, file.name);
  }
  metadata["total_size"] = total;
  index["metadata"] = std::move(metadata);
  index["weight_map"] = std::move(weight_map);
  return index;
}

Json module_json(QuantFormat format) {
  const QuantFormatInfo& info = quant_format_info(format);
  Json json = Json::object();
  json["group_size"] = info.block_elements;
  json["bits"] = info.block_bytes * 8 / info.block_elements;
  json["mode"] = info.has_biases ? std::string("affine") : std::string(info.name.substr(4));  // without "mlx-"
  return json;
}

// Defaults and what differs from them. A plain matrix says so (false), for readers that take the defaults without looking for scales.
Json quantization_json(std::span<const OutputTensor* const> tensors) {
  const auto defaults = prevailing(tensors, [](const OutputTensor& tensor) { return tensor.is_quantised(); });
  Json json = module_json(*defaults);
  for (const OutputTensor* tensor : tensors) {
    if (tensor->matrices.empty() || tensor->format == *defaults) continue;
    json.as_object().emplace_back(tensor->module(), tensor->is_quantised() ? module_json(tensor->format) : Json(false));
  }
  return json;
}

void erase(Json& object, std::string_view key) {
  std::erase_if(object.as_object(), [&](const Json::Member& member) { return member.first == key; });
}

// The element type that transformers would otherwise convert to at loading.
void set_dtype(Json& config, std::string_view dtype) {
  for (const std::string_view key : {"torch_dtype", "dtype"})
    if (Json* value = config.find(key)) *value = dtype;
  if (Json* text = config.find("text_config"); text && text->is_object()) set_dtype(*text, dtype);
}

Json config_of(Json config, OutputLayout layout, std::span<const OutputTensor* const> tensors) {
  erase(config, "quantization");
  erase(config, "quantization_config");
  if (layout == OutputLayout::published) {
    const auto format = prevailing(tensors, [](const OutputTensor& tensor) { return !tensor.matrices.empty(); });
    set_dtype(config, format == QuantFormat::f32 ? "float32" : format == QuantFormat::f16 ? "float16" : "bfloat16");
    return config;
  }
  Json quantization = quantization_json(tensors);
  config["quantization"] = quantization;
  config["quantization_config"] = std::move(quantization);
  return config;
}

void tell_what_is_left_out(const TensorSource& source, std::vector<std::string>& notes) {
  const std::vector<std::string> unused = source.unused();
  if (!unused.empty())
    notes.push_back(fmt::format("{} tensors that quern does not run are left out: {}{}", unused.size(),
                                unused.front().substr(0, 200), unused.size() > 1 ? ", …" : ""));
}

}  // namespace

std::string OutputTensor::module() const {
  constexpr std::string_view kWeight = ".weight";
  return name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : name;
}

bool OutputTensor::is_quantised() const { return !is_plain(format); }

int64_t OutputTensor::weights() const { return product(shape); }

int64_t OutputTensor::bytes() const {
  int64_t bytes = 0;
  for (const SafetensorsWriter::Entry& entry : entries())
    bytes += product(entry.shape) * static_cast<int64_t>(stored_dtype_size(entry.dtype));
  return bytes;
}

std::vector<SafetensorsWriter::Entry> OutputTensor::entries() const {
  if (!is_quantised()) return {{name, std::string(plain_dtype(format)), shape}};
  const QuantFormatInfo& info = quant_format_info(format);
  std::vector<int64_t> codes = shape, scales = shape;
  scales.back() = shape.back() / info.block_elements;
  codes.back() = scales.back() * info.block_bytes / 4;
  const std::string dtype(scale_dtype(info.scale_type));
  std::vector<SafetensorsWriter::Entry> entries = {{name, "U32", codes}, {module() + ".scales", dtype, scales}};
  if (info.has_biases) entries.push_back({module() + ".biases", dtype, scales});
  return entries;
}

int64_t OutputFile::weights() const {
  int64_t sum = 0;
  for (const OutputTensor& tensor : tensors) sum += tensor.weights();
  return sum;
}

int64_t OutputFile::bytes() const {
  int64_t sum = 0;
  for (const OutputTensor& tensor : tensors) sum += tensor.bytes();
  return sum;
}

Result<OutputPlan> plan_output(const Model& model, TensorSource& source, const Json& config, const Recipe& recipe,
                               int64_t shard_bytes) {
  OutputPlan plan;
  Chooser chooser(recipe);
  const std::vector<ExpectedTensor> expected = expected_tensors(model.config, model.mtp != nullptr);
  std::vector<Chosen> matrices;
  std::map<QuantFormat, int64_t> weights;
  for (const ExpectedTensor& tensor : expected) {
    if (tensor.vector) continue;
    QUERN_ASSIGN(const QuantMatrix matrix, source.matrix(tensor.name, tensor.shape[0], tensor.shape[1]));
    const QuantFormat format = chooser.choose(tensor.name, matrix);
    if (!is_plain(format)) plan.layout = OutputLayout::mlx;
    weights[format] += product(tensor.shape);
    matrices.push_back({tensor.name, matrix, format});
  }
  const int64_t most =
      std::max_element(weights.begin(), weights.end(), [](auto& a, auto& b) { return a.second < b.second; })->second;
  const bool all_f32 = plan.layout == OutputLayout::published && weights[QuantFormat::f32] == most;

  Collector collector(plan.layout);
  size_t next = 0;
  for (const ExpectedTensor& tensor : expected) {
    if (!tensor.vector) {
      QUERN_TRY(collector.add(std::move(matrices[next++])));
      continue;
    }
    QUERN_ASSIGN(std::vector<float> values, vector_values(source, tensor, plan.layout));
    OutputTensor out{.name = tensor.name, .shape = tensor.shape, .format = vector_format(values, *tensor.vector, all_f32)};
    if (plan.layout == OutputLayout::mlx && out.shape.size() == 3) std::swap(out.shape[1], out.shape[2]);  // of a convolution
    out.values = std::move(values);
    collector.add(std::move(out));
  }
  plan.files = files_of(std::move(collector.tensors()), plan.layout, shard_bytes);
  std::vector<const OutputTensor*> tensors;
  for (const OutputFile& file : plan.files)
    for (const OutputTensor& tensor : file.tensors) tensors.push_back(&tensor);
  plan.config = config_of(config, plan.layout, tensors);
  plan.index = index_of(plan.files);
  chooser.tell(plan.notes);
  tell_what_is_left_out(source, plan.notes);
  if (plan.layout == OutputLayout::mlx && model.config.model_type != "qwen3_next")
    plan.notes.push_back(
        fmt::format("{}: quern reads this folder; mlx-lm has other names for this model type", model.config.model_type));
  return plan;
}

}  // namespace quern
