#include "formats/gguf_writer.h"

#include <algorithm>

#include "base/check.h"
#include "formats/safetensors.h"

namespace quern {
namespace {

constexpr std::string_view kAlignmentKey = "general.alignment";

template <class T>
void append(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

void append_text(std::string& out, std::string_view text) {
  append(out, static_cast<uint64_t>(text.size()));
  out.append(text);
}

size_t padding(uint64_t size) { return (GgufWriter::kAlignment - size % GgufWriter::kAlignment) % GgufWriter::kAlignment; }

Result<uint64_t> entry_bytes(const GgufWriter::Entry& entry) {
  if (entry.shape.empty() || entry.shape.size() > 4)
    return fail(Errc::invalid_argument, "{} dimensions, expected 1 to 4", entry.shape.size());
  if (quant_format_info(entry.format).ggml_type < 0)
    return fail(Errc::unsupported, "GGUF has no type for {}", quant_format_info(entry.format).name);
  int64_t rows = 1;
  for (size_t i = 0; i < entry.shape.size(); ++i) {
    if (entry.shape[i] < 1) return fail(Errc::invalid_argument, "shape {}", shape_text(entry.shape));
    if (i + 1 < entry.shape.size() && __builtin_mul_overflow(rows, entry.shape[i], &rows))
      return fail(Errc::out_of_range, "shape {} overflows", shape_text(entry.shape));
  }
  QUERN_ASSIGN(const QuantLayout layout, quant_layout(entry.format, rows, entry.shape.back()));
  return static_cast<uint64_t>(layout.code_bytes);
}

void append_description(std::string& out, const GgufWriter::Entry& entry, uint64_t offset) {
  append_text(out, entry.name);
  append(out, static_cast<uint32_t>(entry.shape.size()));
  for (auto extent = entry.shape.rbegin(); extent != entry.shape.rend(); ++extent) append(out, static_cast<uint64_t>(*extent));
  append(out, static_cast<uint32_t>(quant_format_info(entry.format).ggml_type));
  append(out, offset);
}

}  // namespace

void GgufKeyValues::key(std::string_view key, GgufType type) {
  QUERN_CHECK(!key.empty() && keys_.emplace(key).second, key);
  append_text(bytes_, key);
  append(bytes_, static_cast<uint32_t>(type));
}

void GgufKeyValues::u16(std::string_view name, uint16_t value) { key(name, GgufType::u16), append(bytes_, value); }
void GgufKeyValues::u32(std::string_view name, uint32_t value) { key(name, GgufType::u32), append(bytes_, value); }
void GgufKeyValues::i32(std::string_view name, int32_t value) { key(name, GgufType::i32), append(bytes_, value); }
void GgufKeyValues::u64(std::string_view name, uint64_t value) { key(name, GgufType::u64), append(bytes_, value); }
void GgufKeyValues::f32(std::string_view name, float value) { key(name, GgufType::f32), append(bytes_, value); }
void GgufKeyValues::boolean(std::string_view name, bool value) {
  key(name, GgufType::boolean), append(bytes_, static_cast<uint8_t>(value));
}
void GgufKeyValues::string(std::string_view name, std::string_view value) {
  key(name, GgufType::string), append_text(bytes_, value);
}

void GgufKeyValues::array(std::string_view name, GgufType element, uint64_t count) {
  key(name, GgufType::array), append(bytes_, static_cast<uint32_t>(element)), append(bytes_, count);
}

void GgufKeyValues::strings(std::string_view name, std::span<const std::string_view> values) {
  array(name, GgufType::string, values.size());
  for (const std::string_view value : values) append_text(bytes_, value);
}

void GgufKeyValues::i32s(std::string_view name, std::span<const int32_t> values) {
  array(name, GgufType::i32, values.size());
  for (const int32_t value : values) append(bytes_, value);
}

void GgufKeyValues::booleans(std::string_view name, const std::vector<bool>& values) {
  array(name, GgufType::boolean, values.size());
  for (const bool value : values) append(bytes_, static_cast<uint8_t>(value));
}

void GgufKeyValues::value(std::string_view name, const GgufValue& value) {
  const std::string_view characters(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
  if (value.type == GgufType::array) {
    array(name, value.element_type, value.count);
    bytes_.append(characters);
  } else if (value.type == GgufType::string) {
    string(name, characters);
  } else {
    key(name, value.type);
    bytes_.append(characters);
  }
}

Result<GgufMetadata> GgufKeyValues::view(std::string_view where) const {
  GgufCursor cursor(std::as_bytes(std::span(bytes_)));
  return GgufMetadata::parse(cursor, count(), where);
}

Result<GgufWriter> GgufWriter::create(const std::filesystem::path& path, const GgufKeyValues& given,
                                      std::span<const Entry> entries) {
  GgufKeyValues metadata = given;
  if (!metadata.has(kAlignmentKey)) metadata.u32(kAlignmentKey, kAlignment);
  QUERN_ASSIGN(const GgufMetadata view, metadata.view(path.string()));
  QUERN_ASSIGN(const uint32_t alignment, view.u32(kAlignmentKey));
  if (alignment != kAlignment) return view.bad(Errc::invalid_argument, kAlignmentKey, "{}, expected {}", alignment, kAlignment);

  std::string header = "GGUF";
  append(header, uint32_t{3});
  append(header, static_cast<uint64_t>(entries.size()));
  append(header, metadata.count());
  header += metadata.bytes();
  std::vector<uint64_t> sizes;
  std::unordered_set<std::string_view> names;
  uint64_t offset = 0;
  for (const Entry& entry : entries) {
    if (entry.name.empty() || !names.insert(entry.name).second)
      return fail(Errc::invalid_argument, "{}: tensor name \"{}\" is empty or given twice", path.string(),
                  gguf_name_text(entry.name));
    const auto bytes = entry_bytes(entry);
    if (!bytes) return with_context(bytes.error(), fmt::format("{}: {}", path.string(), gguf_name_text(entry.name)));
    append_description(header, entry, offset);
    sizes.push_back(*bytes);
    if (__builtin_add_overflow(offset, *bytes + padding(*bytes), &offset))
      return fail(Errc::out_of_range, "{}: the tensors have more than 2^64 bytes", path.string());
  }
  header.append(padding(header.size()), '\0');
  QUERN_ASSIGN(AtomicFile file, AtomicFile::create(path));
  QUERN_TRY(file.write(header));
  return GgufWriter(std::move(file), std::move(sizes));
}

Result<void> GgufWriter::write(std::span<const std::byte> bytes) {
  constexpr char kZeros[kAlignment] = {};
  while (!bytes.empty()) {
    QUERN_CHECK(tensor_ < sizes_.size(), bytes.size());
    const size_t taken = std::min<uint64_t>(bytes.size(), sizes_[tensor_] - written_);
    QUERN_TRY(file_.write(bytes.first(taken)));
    bytes = bytes.subspan(taken);
    written_ += taken;
    if (written_ < sizes_[tensor_]) continue;
    QUERN_TRY(file_.write(std::string_view(kZeros, padding(written_))));
    ++tensor_;
    written_ = 0;
  }
  return {};
}

Result<void> GgufWriter::commit() {
  QUERN_CHECK(tensor_ == sizes_.size() && written_ == 0, tensor_, sizes_.size(), written_);
  return file_.commit();
}

}  // namespace quern
