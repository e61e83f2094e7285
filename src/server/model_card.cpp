#include "server/model_card.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/digest.h"
#include "base/file.h"
#include "formats/checkpoint.h"
#include "formats/gguf_config.h"
#include "model/model.h"
#include "text/chat_template.h"
#include "text/model_text.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// By what config.json says: MLX's "quantization", "quantization_config", or else the type of its numbers.
std::string folder_quantization(const fs::path& folder) {
  const auto text = read_file(folder / "config.json");
  const auto config = text ? Json::parse(*text, "config.json") : Result<Json>(tl::unexpected(text.error()));
  if (!config) return "unknown";
  const auto word = [](const Json& object, std::string_view key) -> std::optional<std::string> {
    const Json* value = object.find(key);
    return value && value->is_string() ? std::optional(value->as_string()) : std::nullopt;
  };
  for (const std::string_view key : {"quantization", "quantization_config"})
    if (const Json* quantization = config->find(key)) {
      if (const auto mode = word(*quantization, "mode"); mode && *mode != "affine") return *mode;
      if (const Json* bits = quantization->find("bits"); bits && bits->is_number()) return bits->number_text() + "bit";
      if (const auto method = word(*quantization, "quant_method")) return *method;
    }
  for (const std::string_view key : {"torch_dtype", "dtype"})
    if (const auto type = word(*config, key)) return *type;
  return "unknown";
}

// The storage format of most of a GGUF file's bytes.
std::string gguf_quantization(const Checkpoint& checkpoint) {
  std::map<std::string, size_t> bytes;
  for (const StoredTensor* tensor : checkpoint.tensors()) bytes[tensor->dtype] += tensor->bytes.size();
  const auto most = std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? "unknown" : most->first;
}

Result<ModelConfig> read_config(const fs::path& path, ModelCard& card) {
  QUERN_ASSIGN(const auto gguf, gguf_of_model(path));
  if (!gguf) {
    card.format = "safetensors";
    card.quantization = folder_quantization(path);
    return ModelConfig::load(path / "config.json");
  }
  card.format = "gguf";
  QUERN_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(path));
  card.quantization = gguf_quantization(checkpoint);
  return gguf_model_config(*checkpoint.gguf(), {});
}

ModelCard read_card(const ModelEntry& entry) {
  ModelCard card;
  if (const auto config = read_config(entry.path, card)) {
    card.architecture = config->model_type;
    card.context = config->max_position_embeddings;
    card.hidden = config->hidden_size;
    card.layers = std::ssize(config->layers);
    card.vocabulary = config->vocab_size;
    for (const ExpectedTensor& tensor : expected_tensors(*config, false)) {
      int64_t count = 1;
      for (const int64_t extent : tensor.shape) count *= extent;
      card.parameters += count;
    }
  }
  if (const auto text = load_model_text(entry.path)) {
    const auto choice = recognise_template(text->chat_template);
    card.thinking = choice && choice->format == ChatFormat::thinking;
  }
  std::error_code error;
  const auto written = fs::last_write_time(entry.path, error);
  card.modified_at = utc_time(error ? std::chrono::system_clock::time_point() : std::chrono::file_clock::to_sys(written));
  card.digest = sha256_hex(entry.path.string() + "\n" + card.modified_at);
  return card;
}

}  // namespace

std::string utc_time(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const std::time_t second = since / 1'000'000;
  std::tm utc{};
  gmtime_r(&second, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                     utc.tm_min, utc.tm_sec, since % 1'000'000);
}

const ModelCard& ModelCards::of(const ModelEntry& entry) {
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = cards_.try_emplace(entry.path.string());
  if (fresh) at->second = read_card(entry);
  return at->second;
}

}  // namespace quern
