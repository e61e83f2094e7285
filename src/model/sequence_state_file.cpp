// A sequence's state as a safetensors file. Tensors: delta.N.{live, base, log_k, log_g, log_d, conv} of the linear layers, kv.N (the raw
// pages) of the full ones, mtp.kv and mtp.hidden; beside it tokens, and earlier.N.delta.… of earlier states. The metadata holds the numbers,
// as text, and what must match to restore it.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/checksum.h"
#include "formats/safetensors.h"
#include "model/sequence_state.h"

namespace quern {
namespace {

constexpr std::string_view kLayout = "quern-sequence-4";

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
  explicit Reader(const SafetensorsFile& file) : file_(file) {}
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
  std::string path() const { return file_.path().string(); }
  const Json& metadata() const { return file_.metadata(); }
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

// One state among those of a file: the whole of it, or one of `earlier`, whose KV pages are another's. `prefix` opens its names.
class SequenceState::File {
 public:
  static void write(const SequenceState& s, const std::string& prefix, bool with_pages, Json& metadata, std::vector<Out>& outs) {
    const auto note = [&](std::string_view key, auto value) { metadata[prefix + std::string(key)] = fmt::format("{}", value); };
    note("position", s.position_);
    note("furthest", s.furthest_);
    note("floor", s.floor_);
    note("settled", s.is_settled() && !s.delta_.empty() ? 1 : 0);
    note("log_length", s.delta_.empty() ? 0 : s.delta_.front().log_length());
    note("mtp_length", s.mtp_kv_ ? s.mtp_kv_->length() : 0);
    note("mtp_hidden", s.mtp_hidden_.size());
    for (size_t i = 0; i < s.delta_.size(); ++i)
      for (const DeltaState::Part& part : const_cast<DeltaState&>(s.delta_[i]).parts())
        outs.push_back(floats(fmt::format("{}delta.{}.{}", prefix, i, part.name), *part.values));
    for (size_t i = 0; with_pages && i < s.kv_.size(); ++i) outs.push_back(pages(fmt::format("kv.{}", i), s.kv_[i]));
    if (with_pages && s.mtp_kv_) outs.push_back(pages("mtp.kv", *s.mtp_kv_));
    if (s.mtp_kv_) outs.push_back(floats(prefix + "mtp.hidden", s.mtp_hidden_));
  }

  // The numbers and the recurrent part, into a fresh state or one whose KV is there already, at least as long.
  static Result<void> read(const Reader& read, const std::string& prefix, const ModelConfig& config, int64_t most,
                           SequenceState& state) {
    QUERN_ASSIGN(state.position_, read.number(prefix + "position", 0, most));
    QUERN_ASSIGN(state.furthest_, read.number(prefix + "furthest", state.position_, state.position_ + DeltaState::kReach));
    QUERN_ASSIGN(state.floor_, read.number(prefix + "floor", 0, state.position_));
    QUERN_ASSIGN(const int64_t settled, read.number(prefix + "settled", 0, state.floor_ == state.furthest_ ? 1 : 0));
    // What the log must cover for rollback to keep its word.
    const int64_t reach = state.position_ - state.oldest_reachable();
    const bool recurrent =
        std::find(config.layers.begin(), config.layers.end(), LayerKind::linear_attention) != config.layers.end();
    const int64_t most_log = settled == 1 ? 0 : std::min(state.position_, DeltaState::kLogCapacity);
    QUERN_ASSIGN(const int64_t log_length, read.number(prefix + "log_length", recurrent ? reach : 0, most_log));
    for (size_t i = 0; i < state.delta_.size(); ++i) {
      if (settled == 1) state.delta_[i] = state.delta_[i].settled();
      for (const DeltaState::Part& part : state.delta_[i].parts())
        QUERN_TRY(read.floats(fmt::format("{}delta.{}.{}", prefix, i, part.name), *part.values, part.values->size()));
      state.delta_[i].set_log_length(log_length);
    }
    if (!state.mtp_kv_) return {};
    QUERN_ASSIGN(const int64_t hidden, read.number(prefix + "mtp_hidden", 0, (DeltaState::kReach + 1) * config.hidden_size));
    if (hidden % config.hidden_size != 0)
      return fail(Errc::malformed, "{}: mtp_hidden {} is not in rows of {}", read.path(), hidden, config.hidden_size);
    return read.floats(prefix + "mtp.hidden", state.mtp_hidden_, static_cast<size_t>(hidden));
  }

  // What read() left out; the numbers are known now.
  static Result<void> read_pages(const Reader& read, SequenceState& state) {
    for (size_t i = 0; i < state.kv_.size(); ++i) QUERN_TRY(read.pages(fmt::format("kv.{}", i), state.kv_[i], state.position_));
    if (!state.mtp_kv_) return {};
    QUERN_ASSIGN(const int64_t length, read.number("mtp_length", 0, std::max<int64_t>(0, state.position_ - 1)));
    return read.pages("mtp.kv", *state.mtp_kv_, length);
  }

  static void write(const Beside& beside, Json& metadata, std::vector<Out>& outs) {
    metadata["tokens"] = fmt::format("{}", beside.tokens.size());
    outs.push_back({{"tokens", "I32", {static_cast<int64_t>(beside.tokens.size())}}, {std::as_bytes(std::span(beside.tokens))}});
    for (const auto& [key, value] : beside.notes) metadata["note." + key] = value;
    metadata["earlier"] = fmt::format("{}", beside.earlier.size());
    size_t n = 0;
    for (const auto& [name, state] : beside.earlier) {
      const std::string prefix = fmt::format("earlier.{}.", n++);
      metadata[prefix + "name"] = name;
      write(state, prefix, /*with_pages=*/false, metadata, outs);
    }
  }

  static Result<void> read(const Reader& read, const ModelConfig& config, const SequenceState& state, Beside& beside) {
    QUERN_ASSIGN(const auto ids, read.find("tokens"));
    QUERN_ASSIGN(const int64_t count, read.number("tokens", state.position_, state.position_));
    if (ids.size() != static_cast<size_t>(count) * sizeof(int32_t))
      return fail(Errc::mismatch, "{}: tokens: {} bytes, expected {}", read.path(), ids.size(),
                  static_cast<size_t>(count) * sizeof(int32_t));
    beside.tokens.resize(static_cast<size_t>(count));
    if (count > 0) std::memcpy(beside.tokens.data(), ids.data(), ids.size());
    for (const int32_t id : beside.tokens)
      if (id < 0 || id >= config.vocab_size) return fail(Errc::malformed, "{}: token {}: no such id", read.path(), id);
    for (const auto& [key, value] : read.metadata().as_object())
      if (key.starts_with("note.") && value.is_string()) beside.notes[key.substr(5)] = value.as_string();
    QUERN_ASSIGN(const int64_t earlier, read.number("earlier", 0, kMaxEarlier));
    for (int64_t n = 0; n < earlier; ++n) {
      const std::string prefix = fmt::format("earlier.{}.", n);
      const Json* name = read.metadata().find(prefix + "name");
      if (!name || !name->is_string()) return fail(Errc::malformed, "{}: metadata {}name: expected a string", read.path(), prefix);
      SequenceState one = state;
      QUERN_TRY(File::read(read, prefix, config, state.position_, one));
      for (KvCache& cache : one.kv_) cache.truncate(one.position_);
      if (one.mtp_kv_) {
        const int64_t most = std::min(state.mtp_kv_->length(), std::max<int64_t>(0, one.position_ - 1));
        QUERN_ASSIGN(const int64_t length, read.number(prefix + "mtp_length", 0, most));
        one.mtp_kv_->truncate(length);
      }
      beside.earlier.insert_or_assign(name->as_string(), std::move(one));
    }
    return {};
  }

 private:
  static constexpr int64_t kMaxEarlier = 64;
};

Result<void> SequenceState::save(const std::filesystem::path& path, const Beside* beside) const {
  std::vector<Out> outs;
  Json metadata = Json::object();
  metadata["layout"] = kLayout;
  metadata["model"] = fmt::format("{:016x}", fingerprint_);
  metadata["kv"] =
      fmt::format("{}", static_cast<int>(kv_.empty() ? (mtp_kv_ ? mtp_kv_->format() : KvFormat::f32) : kv_.front().format()));
  metadata["mtp"] = mtp_kv_ ? "1" : "0";
  File::write(*this, "", /*with_pages=*/true, metadata, outs);
  if (beside) File::write(*beside, metadata, outs);

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
                                             uint64_t model_fingerprint, Beside* beside) {
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
  QUERN_ASSIGN(const int64_t kv, read.number("kv", 0, 2));
  QUERN_ASSIGN(const int64_t mtp, read.number("mtp", 0, 1));
  SequenceState state(config, static_cast<KvFormat>(kv), model_fingerprint, mtp == 1);
  QUERN_TRY(File::read(read, "", config, int64_t{1} << 40, state));
  QUERN_TRY(File::read_pages(read, state));
  if (beside) QUERN_TRY(File::read(read, config, state, *beside));
  return state;
}

}  // namespace quern
