#include "convert/input_statistics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/random.h"
#include "convert/delta_rows.h"
#include "formats/safetensors.h"
#include "formats/tensor_names.h"

namespace quern {
namespace {

constexpr std::string_view kKind = "quern input statistics";
constexpr std::string_view kCounts = "experts.tokens";

// Where the layer's experts have their counts; empty for other matrices.
std::string counts_name(const std::string& matrix) {
  const auto expert = parse_expert_name(matrix);
  return expert ? expert->prefix + std::string(kCounts) : std::string();
}

// F32 of one dimension, finite and not negative.
Result<std::vector<float>> values_of(const StoredTensor& tensor, std::string_view where) {
  if (tensor.dtype != "F32" || tensor.shape.size() != 1)
    return fail(Errc::malformed, "{}: {}: {} {}, expected F32 with one dimension", where, tensor.name, tensor.dtype,
                shape_text(tensor.shape));
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  for (size_t i = 0; i < values.size(); ++i)
    if (!(values[i] >= 0) || std::isinf(values[i]))
      return fail(Errc::malformed, "{}: {}: value {} is {}, expected a number from 0", where, tensor.name, i, values[i]);
  return values;
}

bool is_statistics(const SafetensorsFile& file) {
  const Json* kind = file.metadata().find("kind");
  return kind && kind->is_string() && kind->as_string() == kKind;
}

template <class Number>
Result<Number> metadata_number(const Json& metadata, std::string_view key, int base, std::string_view where) {
  const Json* found = metadata.find(key);
  const std::string text = found && found->is_string() ? found->as_string() : std::string();
  Number number{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || status != std::errc() || end != text.data() + text.size())
    return fail(Errc::malformed, "{}: metadata: {} is no number", where, key);
  return number;
}

}  // namespace

InputStatistics::InputStatistics(const Model& model) : fingerprint_(model.fingerprint) {
  for (const NamedMatrix& matrix : named_matrices(model)) {
    const auto [at, is_new] = inputs_.try_emplace(published_name(model.config, matrix.name));
    if (!is_new) continue;
    at->second.mean_square.resize(static_cast<size_t>(matrix.weight->cols()));
    order_.push_back(at->first);
  }
}

void InputStatistics::add(const std::string& name, Tensor x) {
  const auto found = inputs_.find(name);
  QUERN_CHECK(found != inputs_.end() && static_cast<int64_t>(found->second.mean_square.size()) == x.cols, name, x.cols);
  Inputs& inputs = found->second;
  inputs.tokens += x.rows;
  const auto rows = static_cast<double>(x.rows), all = static_cast<double>(inputs.tokens);
  for (int64_t c = 0; c < x.cols; ++c) {
    double sum = 0;
    for (int64_t t = 0; t < x.rows; ++t) sum += static_cast<double>(x.row(t)[c]) * static_cast<double>(x.row(t)[c]);
    float& mean = inputs.mean_square[static_cast<size_t>(c)];
    mean = static_cast<float>(static_cast<double>(mean) + (sum - rows * static_cast<double>(mean)) / all);
  }
}

Result<void> InputStatistics::check_target(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  if (!std::filesystem::is_regular_file(path, ignored)) return fail(Errc::denied, "{}: exists and is no file", path.string());
  if (std::filesystem::file_size(path, ignored) == 0) return {};
  if (const auto file = SafetensorsFile::open(path); file && is_statistics(*file)) return {};
  return fail(Errc::denied, "{}: is no file of `quern calibrate`, and therefore not replaced", path.string());
}

Result<void> InputStatistics::save(const std::filesystem::path& path) const {
  for (const std::string& name : order_)
    for (const float mean : inputs_.at(name).mean_square)
      if (!std::isfinite(mean)) return fail(Errc::out_of_range, "{}: a mean square of its inputs is {}", name, mean);
  std::vector<SafetensorsWriter::Entry> entries;
  std::vector<std::vector<float>> counts;  // of the layers, in order
  std::string layer;
  for (const std::string& name : order_) {
    entries.push_back({name, "F32", {static_cast<int64_t>(inputs_.at(name).mean_square.size())}});
    const auto expert = parse_expert_name(name);
    if (!expert || expert->projection != "down_proj") continue;  // the three matrices of an expert see the same tokens
    if (const std::string own = counts_name(name); own != layer) counts.emplace_back(), layer = own;
    counts.back().push_back(static_cast<float>(inputs_.at(name).tokens));
  }
  size_t next = 0;
  layer.clear();
  for (const std::string& name : order_)
    if (const std::string own = counts_name(name); !own.empty() && own != layer)
      layer = own, entries.push_back({own, "F32", {static_cast<int64_t>(counts[next++].size())}});

  Json metadata = Json::object();
  metadata["kind"] = kKind;
  metadata["tokens"] = fmt::format("{}", tokens_);
  metadata["fingerprint"] = fmt::format("{:x}", fingerprint_);
  QUERN_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(path, entries, metadata));
  for (const std::string& name : order_) QUERN_TRY(writer.write(std::as_bytes(std::span(inputs_.at(name).mean_square))));
  for (const std::vector<float>& values : counts) QUERN_TRY(writer.write(std::as_bytes(std::span(values))));
  return writer.commit();
}

Result<InputStatistics> InputStatistics::load(const std::filesystem::path& path) {
  QUERN_ASSIGN(const SafetensorsFile file, SafetensorsFile::open(path));
  InputStatistics statistics;
  statistics.where_ = path.string();
  const std::string& where = statistics.where_;
  if (!is_statistics(file)) return fail(Errc::malformed, "{}: no file of `quern calibrate`", where);
  QUERN_ASSIGN(statistics.tokens_, metadata_number<int64_t>(file.metadata(), "tokens", 10, where));
  if (statistics.tokens_ < 0) return fail(Errc::malformed, "{}: metadata: tokens: {}", where, statistics.tokens_);
  QUERN_ASSIGN(statistics.fingerprint_, metadata_number<uint64_t>(file.metadata(), "fingerprint", 16, where));
  for (const StoredTensor& tensor : file.tensors()) {
    if (tensor.name.ends_with(kCounts)) continue;
    QUERN_ASSIGN(std::vector<float> values, values_of(tensor, where));
    const bool seen = std::any_of(values.begin(), values.end(), [](float value) { return value > 0; });
    statistics.inputs_[tensor.name] = {seen ? statistics.tokens_ : 0, std::move(values)};
    statistics.order_.push_back(tensor.name);
  }
  for (const StoredTensor& tensor : file.tensors()) {
    if (!tensor.name.ends_with(kCounts)) continue;
    QUERN_ASSIGN(const std::vector<float> counts, values_of(tensor, where));
    for (size_t e = 0; e < counts.size(); ++e)
      for (const std::string_view projection : {"gate_proj", "up_proj", "down_proj"}) {
        const std::string prefix = tensor.name.substr(0, tensor.name.size() - kCounts.size());
        const auto found = statistics.inputs_.find(fmt::format("{}experts.{}.{}.weight", prefix, e, projection));
        if (found != statistics.inputs_.end()) found->second.tokens = static_cast<int64_t>(std::min(counts[e], 1e12f));
      }
  }
  statistics.update_layer_means();
  return statistics;
}

// In the order of the model, so that the same statistics give the same bits.
void InputStatistics::update_layer_means() {
  struct Sum {
    double tokens = 0;
    std::vector<double> squares;
  };
  std::unordered_map<std::string, Sum> sums;
  for (const std::string& name : order_) {
    const Inputs& inputs = inputs_.at(name);
    const std::string layer = any_expert_name(name);
    if (layer == name || inputs.tokens == 0) continue;
    Sum& sum = sums[layer];
    sum.squares.resize(std::max(sum.squares.size(), inputs.mean_square.size()));
    const auto tokens = static_cast<double>(inputs.tokens);
    sum.tokens += tokens;
    for (size_t c = 0; c < inputs.mean_square.size(); ++c) sum.squares[c] += tokens * static_cast<double>(inputs.mean_square[c]);
  }
  layer_means_.clear();
  for (const auto& [layer, sum] : sums) {
    Inputs& mean = layer_means_[layer];
    mean.tokens = static_cast<int64_t>(sum.tokens);
    for (const double square : sum.squares) mean.mean_square.push_back(static_cast<float>(square / sum.tokens));
  }
}

Result<void> InputStatistics::check_model(const Model& model) const {
  for (const NamedMatrix& matrix : named_matrices(model)) {
    const std::string name = published_name(model.config, matrix.name);
    const auto found = inputs_.find(name);
    if (found == inputs_.end()) return fail(Errc::mismatch, "{}: has nothing about {}: statistics of another model", where_, name);
    if (static_cast<int64_t>(found->second.mean_square.size()) != matrix.weight->cols())
      return fail(Errc::mismatch, "{}: {}: {} columns, expected {}: statistics of another model", where_, name,
                  found->second.mean_square.size(), matrix.weight->cols());
  }
  return {};
}

std::span<const float> InputStatistics::importance(const std::string& name) const {
  const auto found = inputs_.find(name);
  if (found == inputs_.end()) return {};
  if (const auto mean = layer_means_.find(any_expert_name(name)); mean != layer_means_.end() && found->second.tokens < kFewTokens)
    return mean->second.mean_square;
  if (found->second.tokens == 0) return {};
  return found->second.mean_square;
}

uint64_t InputStatistics::digest() const {
  uint64_t sum = 0;  // of the matrices in any order
  for (const auto& [name, inputs] : inputs_) {
    const std::string_view bytes(reinterpret_cast<const char*>(inputs.mean_square.data()),
                                 inputs.mean_square.size() * sizeof(float));
    sum += Random::mix(fnv1a_64(name) ^ fnv1a_64(bytes) * 3 ^ static_cast<uint64_t>(inputs.tokens) * 5);
  }
  return sum;
}

int64_t InputStatistics::experts_with_few_tokens() const {
  return std::count_if(inputs_.begin(), inputs_.end(), [](const auto& entry) {
    return entry.second.tokens < kFewTokens && entry.first.ends_with(".down_proj.weight") && parse_expert_name(entry.first);
  });
}

}  // namespace quern
