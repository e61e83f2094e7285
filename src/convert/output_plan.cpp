#include "convert/output_plan.h"

namespace quern {
namespace {

constexpr std::string_view kMtpFile = "mtp.safetensors";

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
  json["bits"] = info.code_bits();
  json["mode"] = info.has_biases ? std::string("affine") : std::string(info.name.substr(4));  // without "mlx-"
  return json;
}

// Defaults and what differs from them. A plain matrix says so (false), for readers that take the defaults without looking for scales.
Json quantization_json(std::span<const OutputTensor> tensors) {
  const auto defaults = prevailing_format(tensors, [](const OutputTensor& tensor) { return tensor.is_quantised(); });
  Json json = module_json(*defaults);
  for (const OutputTensor& tensor : tensors) {
    if (tensor.matrices.empty() || tensor.format == *defaults) continue;
    json.as_object().emplace_back(tensor.module(), tensor.is_quantised() ? module_json(tensor.format) : Json(false));
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

Json config_of(Json config, const OutputTensors& out) {
  erase(config, "quantization");
  erase(config, "quantization_config");
  if (out.layout == OutputLayout::published) {
    const auto format = prevailing_format(out.tensors, [](const OutputTensor&) { return true; });
    set_dtype(config, format == QuantFormat::f32 ? "float32" : format == QuantFormat::f16 ? "float16" : "bfloat16");
    return config;
  }
  Json quantization = quantization_json(out.tensors);
  config["quantization"] = quantization;
  config["quantization_config"] = std::move(quantization);
  return config;
}

}  // namespace

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

OutputPlan plan_output(OutputTensors out, const Json& config, int64_t shard_bytes) {
  OutputPlan plan{.layout = out.layout, .config = config_of(config, out), .notes = std::move(out.notes)};
  plan.files = files_of(std::move(out.tensors), plan.layout, shard_bytes);
  plan.index = index_of(plan.files);
  return plan;
}

}  // namespace quern
