// A sequence's state as a safetensors file. Tensors: layers.N.{live, base, log_k, log_g, log_d, conv} and log_length for linear layers,
// layers.N.pages (the raw KV pages) for full ones, mtp.pages and mtp.hidden; the metadata holds what must match to restore it.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/checksum.h"
#include "formats/safetensors.h"
#include "model/sequence_state.h"

namespace quern {
namespace {

constexpr std::string_view kLayout = "quern-sequence-2";

std::span<const std::byte> bytes_of(const std::vector<float>& values) { return std::as_bytes(std::span(values)); }

// One tensor to write: its entry and the pieces of its bytes.
struct Out {
  SafetensorsWriter::Entry entry;
  std::vector<std::span<const std::byte>> pieces;
};

Out floats(std::string name, const std::vector<float>& values) {
  return {{std::move(name), "F32", {static_cast<int64_t>(values.size())}}, {bytes_of(values)}};
}

Out pages(std::string name, const KvCache& cache) {
  Out out{{std::move(name), "U8", {static_cast<int64_t>(cache.pages().size()), static_cast<int64_t>(cache.page_bytes())}}, {}};
  for (const KvPage& page : cache.pages()) out.pieces.push_back({page.data, cache.page_bytes()});
  return out;
}

// The checksum over metadata and tensors, whether their bytes lie in one piece or in pages.
class Summing {
 public:
  explicit Summing(const Json& metadata) {
    Json kept = metadata;
    if (kept.is_object()) std::erase_if(kept.as_object(), [](const Json::Member& member) { return member.first == "checksum"; });
    sum_.add(kept.dump());
  }
  void describe(std::string_view name, std::string_view dtype, std::span<const int64_t> shape) {
    sum_.add(fmt::format("\n{} {} {}\n", name, dtype, shape_text(shape)));
  }
  void add(std::span<const std::byte> bytes) { sum_.add(bytes); }
  std::string text() const { return fmt::format("{:016x}", sum_.value()); }

 private:
  Checksum64 sum_;
};

class Reader {
 public:
  Reader(const SafetensorsFile& file) : file_(file) {}
  Result<std::span<const std::byte>> find(std::string_view name) const {
    for (const StoredTensor& tensor : file_.tensors())
      if (tensor.name == name) return tensor.bytes;
    return fail(Errc::malformed, "{}: no {}", file_.path().string(), name);
  }
  Result<void> floats(std::string_view name, std::vector<float>& values, size_t expected) const {
    QUERN_ASSIGN(const auto bytes, find(name));
    if (bytes.size() != expected * sizeof(float))
      return fail(Errc::mismatch, "{}: {}: {} bytes, expected {}", file_.path().string(), name, bytes.size(),
                  expected * sizeof(float));
    values.resize(expected);
    if (expected > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
    return {};
  }
  Result<void> pages(std::string_view name, KvCache& cache, int64_t length) const {
    QUERN_ASSIGN(const auto bytes, find(name));
    const int64_t count = (length + kKvPagePositions - 1) / kKvPagePositions;
    if (bytes.size() != static_cast<size_t>(count) * cache.page_bytes())
      return fail(Errc::mismatch, "{}: {}: {} bytes, expected {} pages of {}", file_.path().string(), name, bytes.size(), count,
                  cache.page_bytes());
    cache.extend(0, length);
    for (size_t p = 0; p < cache.pages().size(); ++p)
      std::memcpy(cache.pages()[p].data, bytes.data() + p * cache.page_bytes(), cache.page_bytes());
    return {};
  }
  Result<int64_t> number(std::string_view key, int64_t low, int64_t high) const {
    const Json* value = file_.metadata().find(key);
    int64_t number = 0;
    if (value && value->is_string()) {
      const std::string& text = value->as_string();
      const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (status == std::errc() && end == text.data() + text.size() && number >= low && number <= high) return number;
    }
    return fail(Errc::malformed, "{}: metadata {}: expected an integer from {} to {}", file_.path().string(), key, low, high);
  }

 private:
  const SafetensorsFile& file_;
};

}  // namespace

std::string SequenceState::checksum(const Json& metadata, std::span<const StoredTensor> tensors) {
  Summing sum(metadata);
  for (const StoredTensor& tensor : tensors) {
    sum.describe(tensor.name, tensor.dtype, tensor.shape);
    sum.add(tensor.bytes);
  }
  return sum.text();
}

Result<void> SequenceState::save(const std::filesystem::path& path) const {
  std::vector<Out> outs;
  Json metadata = Json::object();
  const auto note = [&](std::string_view key, auto value) { metadata[key] = fmt::format("{}", value); };
  note("layout", kLayout);
  note("model", fmt::format("{:016x}", fingerprint_));
  note("position", position_);
  note("furthest", furthest_);
  note("kv", static_cast<int>(kv_.empty() ? (mtp_kv_ ? mtp_kv_->format() : KvFormat::f32) : kv_.front().format()));
  note("log_length", delta_.empty() ? 0 : delta_.front().log_length());
  note("mtp", mtp_kv_ ? 1 : 0);
  note("mtp_length", mtp_kv_ ? mtp_kv_->length() : 0);
  note("mtp_hidden", mtp_hidden_.size());
  for (size_t i = 0; i < delta_.size(); ++i)
    for (const DeltaState::Part& part : const_cast<DeltaState&>(delta_[i]).parts())
      outs.push_back(floats(fmt::format("delta.{}.{}", i, part.name), *part.values));
  for (size_t i = 0; i < kv_.size(); ++i) outs.push_back(pages(fmt::format("kv.{}", i), kv_[i]));
  if (mtp_kv_) outs.push_back(pages("mtp.kv", *mtp_kv_)), outs.push_back(floats("mtp.hidden", mtp_hidden_));

  std::vector<SafetensorsWriter::Entry> entries;
  Summing sum(metadata);
  for (const Out& out : outs) {
    entries.push_back(out.entry);
    sum.describe(out.entry.name, out.entry.dtype, out.entry.shape);
    for (const auto piece : out.pieces) sum.add(piece);
  }
  metadata["checksum"] = sum.text();
  QUERN_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(path, entries, metadata));
  for (const Out& out : outs)
    for (const auto piece : out.pieces) QUERN_TRY(writer.write(piece));
  return writer.commit();
}

Result<SequenceState> SequenceState::restore(const std::filesystem::path& path, const ModelConfig& config,
                                             uint64_t model_fingerprint) {
  QUERN_ASSIGN(const SafetensorsFile file, SafetensorsFile::open(path));
  const Json* layout = file.metadata().find("layout");
  if (!layout || !(*layout == Json(kLayout)))
    return fail(Errc::unsupported, "{}: not a saved sequence of this version ({})", path.string(), kLayout);
  const Json* model = file.metadata().find("model");
  if (!model || !(*model == Json(fmt::format("{:016x}", model_fingerprint))))
    return fail(Errc::mismatch, "{}: saved by another model", path.string());
  const Json* sum = file.metadata().find("checksum");
  if (!sum || !(*sum == Json(checksum(file.metadata(), file.tensors()))))
    return fail(Errc::malformed, "{}: the checksum does not match: the file is damaged", path.string());
  const Reader read(file);
  QUERN_ASSIGN(const int64_t position, read.number("position", 0, int64_t{1} << 40));
  QUERN_ASSIGN(const int64_t furthest, read.number("furthest", position, position + DeltaState::kReach));
  QUERN_ASSIGN(const int64_t kv, read.number("kv", 0, 2));
  const int64_t reach =
      position - std::max<int64_t>(0, furthest - DeltaState::kReach);  // what the log must cover for rollback to keep its word
  const bool recurrent = std::find(config.layers.begin(), config.layers.end(), LayerKind::linear_attention) != config.layers.end();
  QUERN_ASSIGN(const int64_t log_length,
               read.number("log_length", recurrent ? reach : 0, std::min(position, DeltaState::kLogCapacity)));
  QUERN_ASSIGN(const int64_t mtp, read.number("mtp", 0, 1));
  QUERN_ASSIGN(const int64_t mtp_length, read.number("mtp_length", 0, std::max<int64_t>(0, position - 1)));
  QUERN_ASSIGN(const int64_t mtp_hidden, read.number("mtp_hidden", 0, (DeltaState::kReach + 1) * config.hidden_size));
  if (mtp_hidden % config.hidden_size != 0)
    return fail(Errc::malformed, "{}: mtp_hidden {} is not in rows of {}", path.string(), mtp_hidden, config.hidden_size);
  SequenceState state(config, static_cast<KvFormat>(kv), model_fingerprint, mtp == 1);
  for (size_t i = 0; i < state.delta_.size(); ++i) {
    for (const DeltaState::Part& part : state.delta_[i].parts())
      QUERN_TRY(read.floats(fmt::format("delta.{}.{}", i, part.name), *part.values, part.values->size()));
    state.delta_[i].set_log_length(log_length);
  }
  for (size_t i = 0; i < state.kv_.size(); ++i) QUERN_TRY(read.pages(fmt::format("kv.{}", i), state.kv_[i], position));
  if (mtp == 1) {
    QUERN_TRY(read.pages("mtp.kv", *state.mtp_kv_, mtp_length));
    QUERN_TRY(read.floats("mtp.hidden", state.mtp_hidden_, static_cast<size_t>(mtp_hidden)));
  }
  state.position_ = position;
  state.furthest_ = furthest;
  return state;
}

}  // namespace quern
