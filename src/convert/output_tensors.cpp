#include "convert/output_tensors.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "convert/delta_rows.h"
#include "formats/tensor_names.h"
#include "quant/strips.h"
#include "tensor/dtype.h"

namespace quern {
namespace {

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

// A matrix of the output: where its rows are in the source, and the format that it gets.
struct Chosen {
  ExpectedTensor tensor;
  std::vector<SourceMatrix> rows;
  QuantFormat format = QuantFormat::bf16;
};

// Looks up formats and remembers what is worth telling.
class Chooser {
 public:
  Chooser(const Recipe& recipe, ModelContainer container, const ModelConfig& config)
      : recipe_(recipe), container_(container), config_(config), used_(recipe.rules().size()) {}

  QuantFormat choose(const std::string& name, std::span<const SourceMatrix> rows) {
    const auto rule = recipe_.match(published_name(config_, name));
    if (rule) used_[*rule] = true;
    const auto wanted = rule ? recipe_.rules()[*rule].format : std::nullopt;
    if (!wanted) return kept(rows);
    const int64_t cols = rows.front().cols();
    if (cols % quant_format_info(*wanted).block_elements == 0) return *wanted;
    Misfits& misfits = misfits_[{*wanted, cols}];
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
  QuantFormat kept(std::span<const SourceMatrix> rows) const {
    const QuantMatrix* first = rows.front().stored();
    if (!first) return QuantFormat::bf16;
    const bool as_stored = std::all_of(rows.begin(), rows.end(), [&](const SourceMatrix& part) {
      return part.stored()->format() == first->format() && part.stored()->has_own_scale_type();
    });
    return as_stored && container_holds(container_, first->format()) ? first->format() : QuantFormat::bf16;
  }

  const Recipe& recipe_;
  ModelContainer container_;
  const ModelConfig& config_;
  std::vector<bool> used_;
  std::map<std::pair<QuantFormat, int64_t>, Misfits> misfits_;
};

// What values are `apply` of: in bf16 where that says the same of all, because published checkpoints have them so; else the nearest.
template <class Undo, class Apply>
std::vector<float> undone(const std::vector<float>& values, Undo undo, Apply apply) {
  std::vector<float> nearest, rounded;
  bool same = true;
  for (const float value : values) {
    nearest.push_back(undo(value));
    rounded.push_back(bf16_to_f32(f32_to_bf16(nearest.back())));
    same = same && apply(rounded.back()) == value;
  }
  return same ? rounded : nearest;
}

// A vector in the form that a layout stores. What a container has folded in shows: its stored values are the effective ones.
Result<std::vector<float>> vector_values(const WeightSource& source, const ExpectedTensor& tensor, OutputLayout layout) {
  QUERN_ASSIGN(std::vector<float> effective, source.values(tensor, *tensor.vector));
  if (tensor.vector == VectorRole::plain || (tensor.vector == VectorRole::gain && layout != OutputLayout::published))
    return effective;
  if (layout == OutputLayout::gguf) {
    for (float& value : effective) value = -value;
    return effective;
  }
  QUERN_ASSIGN(std::vector<float> stored, source.values(tensor, VectorRole::plain));
  if (tensor.vector == VectorRole::gain) {
    if (stored != effective) return stored;  // exact also where 1 + w was not
    return undone(effective, [](float gain) { return gain - 1.0f; }, [](float weight) { return 1.0f + weight; });
  }
  const auto same = [](float raw, float decay) { return std::exp(raw) == decay; };
  if (std::equal(stored.begin(), stored.end(), effective.begin(), same)) return stored;
  return undone(effective, [](float decay) { return std::log(decay); }, [](float raw) { return std::exp(raw); });
}

QuantFormat vector_format(const std::vector<float>& values, VectorRole role, bool all_f32) {
  if (all_f32) return QuantFormat::f32;
  if (role == VectorRole::gain) return QuantFormat::bf16;
  const auto exact = [](float value) { return bf16_to_f32(f32_to_bf16(value)) == value; };
  return std::all_of(values.begin(), values.end(), exact) ? QuantFormat::bf16 : QuantFormat::f32;
}

Result<OutputTensor> vector_tensor(const WeightSource& source, const ExpectedTensor& tensor, OutputLayout layout, bool all_f32,
                                   const std::string& name) {
  QUERN_ASSIGN(std::vector<float> values, vector_values(source, tensor, layout));
  OutputTensor out{.name = name, .shape = tensor.shape, .format = vector_format(values, *tensor.vector, all_f32)};
  if (out.shape.size() == 3 && layout == OutputLayout::mlx) std::swap(out.shape[1], out.shape[2]);
  if (out.shape.size() == 3 && layout == OutputLayout::gguf) out.shape.erase(out.shape.begin() + 1);
  out.values = std::move(values);
  return out;
}

// Where a layout stores a tensor. Errors: unsupported.
Result<StoredName> stored_name(const std::string& name, OutputLayout layout, int64_t layers) {
  if (layout == OutputLayout::published) return StoredName{name, {}};
  if (layout == OutputLayout::mlx) return mlx_name(name);
  const auto stored = gguf_name(name, layers);
  if (!stored) return fail(Errc::unsupported, "{}: GGUF has no name for it", name);
  return *stored;
}

// Puts a matrix where the layout wants it: alone, or onto its stack.
class Collector {
 public:
  Result<void> add(Chosen&& chosen, const StoredName& stored, OutputLayout layout, const std::string& published) {
    const auto [at, is_new] = places_.try_emplace(stored.name, tensors_.size());
    if (is_new) {
      OutputTensor tensor{.name = stored.name, .shape = chosen.tensor.shape, .format = chosen.format};
      if (stored.expert) tensor.shape.insert(tensor.shape.begin(), 0);
      if (layout == OutputLayout::gguf && tensor.shape.front() == 1)
        tensor.shape.erase(tensor.shape.begin());  // the shared expert's gate
      tensors_.push_back(std::move(tensor));
    }
    OutputTensor& tensor = tensors_[at->second];
    if (tensor.format != chosen.format)
      return fail(Errc::invalid_argument, "{}: the recipe gives it {}, and others of {} {}; {} stacks them in one format",
                  chosen.tensor.name, quant_format_info(chosen.format).name, tensor.module(), quant_format_info(tensor.format).name,
                  layout == OutputLayout::gguf ? "a GGUF file" : "an MLX folder");
    if (stored.expert) ++tensor.shape[0];
    tensor.matrices.insert(tensor.matrices.end(), chosen.rows.begin(), chosen.rows.end());
    tensor.published.insert(tensor.published.end(), chosen.rows.size(), published);
    return {};
  }
  void add(OutputTensor&& vector) { tensors_.push_back(std::move(vector)); }
  std::vector<OutputTensor>& tensors() { return tensors_; }

 private:
  std::vector<OutputTensor> tensors_;
  std::unordered_map<std::string, size_t> places_;
};

void tell_what_is_left_out(const WeightSource& source, std::vector<std::string>& notes) {
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

int64_t OutputTensor::cols() const { return matrices.empty() ? weights() : matrices.front().cols(); }

int64_t OutputTensor::bytes() const {
  const QuantLayout layout = quant_layout(format, weights() / cols(), cols()).value();
  return layout.code_bytes + layout.scale_bytes * (quant_format_info(format).has_biases ? 2 : 1);
}

std::vector<SafetensorsWriter::Entry> OutputTensor::entries() const {
  if (!is_quantised()) return {{name, std::string(plain_dtype(format)), shape}};
  const QuantFormatInfo& info = quant_format_info(format);
  std::vector<int64_t> codes = shape, scales = shape;
  scales.back() = shape.back() / info.block_elements;
  codes.back() = scales.back() * info.block_bytes;
  if (order == RowOrder::strips) {
    for (auto* part : {&codes, &scales}) part->rbegin()[0] *= kStripRows, part->rbegin()[1] /= kStripRows;
  } else {
    codes.back() /= 4;
  }
  const std::string dtype(scale_dtype(info.scale_type));
  std::vector<SafetensorsWriter::Entry> entries = {{name, order == RowOrder::strips ? "U8" : "U32", codes},
                                                   {module() + ".scales", dtype, scales}};
  if (info.has_biases) entries.push_back({module() + ".biases", dtype, scales});
  return entries;
}

Result<void> pack(OutputTensors& out, std::string_view where) {
  int64_t packed = 0;
  for (OutputTensor& tensor : out.tensors) {
    if (out.layout != OutputLayout::mlx || tensor.matrices.empty() || !has_strips(tensor.format)) continue;
    if (tensor.shape.rbegin()[1] % kStripRows != 0) continue;
    tensor.order = RowOrder::strips, ++packed;
  }
  if (packed == 0)
    return fail(Errc::invalid_argument, "{}: nothing in it can be packed: MLX's mxfp4 and affine formats can", where);
  return {};
}

std::optional<QuantFormat> prevailing_format(std::span<const OutputTensor> tensors, bool (*counts)(const OutputTensor&)) {
  std::map<QuantFormat, int64_t> weights;
  for (const OutputTensor& tensor : tensors)
    if (!tensor.matrices.empty() && counts(tensor)) weights[tensor.format] += tensor.weights();
  const auto most =
      std::max_element(weights.begin(), weights.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == weights.end() ? std::nullopt : std::optional(most->first);
}

Result<OutputTensors> output_tensors(const WeightSource& source, const ModelConfig& config, const Recipe& recipe,
                                     ModelContainer container, MtpBlock mtp) {
  OutputTensors out;
  if (container == ModelContainer::gguf) out.layout = OutputLayout::gguf;
  Chooser chooser(recipe, container, config);
  std::vector<Chosen> matrices;
  std::map<QuantFormat, int64_t> weights;
  const std::vector<ExpectedTensor> list = output_list(config, mtp == MtpBlock::keep, container);
  for (const ExpectedTensor& tensor : list) {
    if (tensor.vector) continue;
    QUERN_ASSIGN(std::vector<SourceMatrix> rows, source.rows(tensor));
    const QuantFormat format = chooser.choose(tensor.name, rows);
    if (!is_plain(format) && container == ModelContainer::folder) out.layout = OutputLayout::mlx;
    weights[format] += product(tensor.shape);
    matrices.push_back({tensor, std::move(rows), format});
  }
  const int64_t most =
      std::max_element(weights.begin(), weights.end(), [](auto& a, auto& b) { return a.second < b.second; })->second;
  const bool all_f32 =
      out.layout == OutputLayout::gguf || (out.layout == OutputLayout::published && weights[QuantFormat::f32] == most);

  Collector collector;
  size_t next = 0;
  for (const ExpectedTensor& tensor : list) {
    QUERN_ASSIGN(const StoredName stored, stored_name(tensor.name, out.layout, static_cast<int64_t>(config.layers.size())));
    if (!tensor.vector) {
      QUERN_TRY(collector.add(std::move(matrices[next++]), stored, out.layout, published_name(config, tensor.name)));
      continue;
    }
    QUERN_ASSIGN(OutputTensor vector, vector_tensor(source, tensor, out.layout, all_f32, stored.name));
    collector.add(std::move(vector));
  }
  out.tensors = std::move(collector.tensors());
  chooser.tell(out.notes);
  tell_what_is_left_out(source, out.notes);
  if (out.layout == OutputLayout::mlx && config.model_type != "qwen3_next")
    out.notes.push_back(fmt::format("{}: quern reads this folder; mlx-lm has other names for this model type", config.model_type));
  return out;
}

}  // namespace quern
