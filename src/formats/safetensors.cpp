#include "formats/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/check.h"

namespace quern {
namespace {

constexpr size_t kMaxHeader = size_t{256} << 20;  // the published 80B index is 9 MB; the reference refuses above 100 MB

Result<size_t> element_count(std::span<const int64_t> shape) {
  size_t count = 1;
  for (const int64_t extent : shape)
    if (__builtin_mul_overflow(count, static_cast<size_t>(extent), &count))
      return fail(Errc::malformed, "shape {} overflows", shape_text(shape));
  return count;
}

struct Placed {
  StoredTensor tensor;
  size_t begin = 0, end = 0;
};

// One header entry: {"dtype": "BF16", "shape": [512, 2048], "data_offsets": [begin, end]}, offsets within data_size.
Result<Placed> read_entry(const std::string& name, const Json& entry, size_t data_size) {
  const Json* dtype = entry.find("dtype");
  const Json* shape = entry.find("shape");
  const Json* offsets = entry.find("data_offsets");
  if (!dtype || !dtype->is_string() || !shape || !shape->is_array() || !offsets || !offsets->is_array() || offsets->size() != 2)
    return fail(Errc::malformed, "expected dtype, shape and data_offsets");
  Placed placed{.tensor = {.name = name, .dtype = dtype->as_string(), .shape = {}, .bytes = {}}};
  if (shape->size() > 8) return fail(Errc::malformed, "{} dimensions, at most 8 are read", shape->size());
  for (const Json& extent : shape->as_array()) {
    QUERN_ASSIGN(const int64_t value, extent.to_int64());
    if (value < 0) return fail(Errc::malformed, "negative extent {}", value);
    placed.tensor.shape.push_back(value);
  }
  QUERN_ASSIGN(const int64_t begin, offsets->as_array()[0].to_int64());
  QUERN_ASSIGN(const int64_t end, offsets->as_array()[1].to_int64());
  if (begin < 0 || end < begin || static_cast<size_t>(end) > data_size)
    return fail(Errc::malformed, "data_offsets [{}, {}] are outside the file's {} data bytes", begin, end, data_size);
  const size_t element = stored_dtype_size(placed.tensor.dtype);
  if (element == 0) return fail(Errc::unsupported, "dtype {} is unknown", placed.tensor.dtype.substr(0, 40));
  QUERN_ASSIGN(size_t bytes, element_count(placed.tensor.shape));
  if (__builtin_mul_overflow(bytes, element, &bytes) || bytes != static_cast<size_t>(end - begin))
    return fail(Errc::malformed, "shape {} of {} does not fill data_offsets [{}, {}]", shape_text(placed.tensor.shape),
                placed.tensor.dtype, begin, end);
  placed.begin = static_cast<size_t>(begin);
  placed.end = static_cast<size_t>(end);
  return placed;
}

}  // namespace

std::string shape_text(std::span<const int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

size_t stored_dtype_size(std::string_view dtype) {
  struct Size {
    std::string_view name;
    size_t bytes;
  };
  constexpr Size sizes[] = {{"F64", 8},  {"F32", 4},     {"F16", 2},     {"BF16", 2},   {"I64", 8}, {"I32", 4},
                            {"I16", 2},  {"I8", 1},      {"U64", 8},     {"U32", 4},    {"U16", 2}, {"U8", 1},
                            {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}};
  for (const Size& size : sizes)
    if (size.name == dtype) return size.bytes;
  return 0;
}

Result<std::vector<StoredTensor>> SafetensorsFile::parse(std::span<const std::byte> file, std::string_view where, Json* metadata) {
  if (file.size() < 8) return fail(Errc::malformed, "{}: {} bytes is too short for a safetensors file", where, file.size());
  uint64_t header_size = 0;
  for (size_t i = 0; i < 8; ++i) header_size |= static_cast<uint64_t>(file[i]) << (8 * i);
  if (header_size > file.size() - 8)
    return fail(Errc::malformed, "{}: header of {} bytes in a file of {} (truncated, or not safetensors)", where, header_size,
                file.size());
  if (header_size > kMaxHeader)
    return fail(Errc::malformed, "{}: header of {} bytes, at most {} are read", where, header_size, kMaxHeader);
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, header_size);
  QUERN_ASSIGN(const Json header, Json::parse(text, where, {.max_depth = 8}));
  if (!header.is_object()) return fail(Errc::malformed, "{}: header is {}, expected an object", where, header.kind_name());

  const std::span<const std::byte> data = file.subspan(8 + header_size);
  std::vector<Placed> placed;
  placed.reserve(header.size());
  for (const auto& [name, entry] : header.as_object()) {
    if (name == "__metadata__") {
      if (metadata) *metadata = entry;
      continue;
    }
    auto one = read_entry(name, entry, data.size());
    if (!one) return with_context(one.error(), fmt::format("{}: {}", where, name.substr(0, 200)));
    placed.push_back(std::move(*one));
  }
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  size_t at = 0;
  for (const Placed& p : placed) {
    if (p.begin != at)
      return fail(Errc::malformed, "{}: {}: data starts at {}, expected {} ({})", where, p.tensor.name.substr(0, 200), p.begin, at,
                  p.begin < at ? "it overlaps the tensor before it" : "there is a hole before it");
    at = p.end;
  }
  if (at != data.size()) return fail(Errc::malformed, "{}: {} data bytes, but the tensors fill {}", where, data.size(), at);
  std::vector<StoredTensor> tensors;
  tensors.reserve(placed.size());
  for (Placed& p : placed) {
    p.tensor.bytes = data.subspan(p.begin, p.end - p.begin);
    tensors.push_back(std::move(p.tensor));
  }
  return tensors;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile result;
  QUERN_ASSIGN(result.file_, MappedFile::open(path));
  QUERN_ASSIGN(result.tensors_, parse(result.file_->bytes(), path.string(), &result.metadata_));
  return result;
}

Result<SafetensorsWriter> SafetensorsWriter::create(const std::filesystem::path& path, std::span<const Entry> entries,
                                                    const Json& metadata) {
  Json header = Json::object();
  if (!metadata.is_null()) header["__metadata__"] = metadata;
  size_t at = 0;
  Json::Object& members = header.as_object();
  for (const Entry& entry : entries) {
    size_t bytes = stored_dtype_size(entry.dtype);
    QUERN_CHECK(bytes > 0, entry.dtype);
    Json::Array shape;
    for (const int64_t extent : entry.shape) {
      bytes *= static_cast<size_t>(extent);
      shape.push_back(extent);
    }
    Json described = Json::object();
    described["dtype"] = entry.dtype;
    described["shape"] = std::move(shape);
    described["data_offsets"] = Json::Array{Json(uint64_t{at}), Json(uint64_t{at + bytes})};
    members.emplace_back(entry.name, std::move(described));
    at += bytes;
  }
  std::string text = header.dump(Json::Spacing::compact);
  text.append((8 - text.size() % 8) % 8, ' ');  // data starts 8-byte aligned, as other writers have it
  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(static_cast<unsigned char>(text.size() >> (8 * i)));
  QUERN_ASSIGN(AtomicFile file, AtomicFile::create(path));
  QUERN_TRY(file.write(length));
  QUERN_TRY(file.write(text));
  return SafetensorsWriter(std::move(file), at);
}

Result<void> SafetensorsWriter::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  return file_.write(bytes);
}

Result<void> SafetensorsWriter::commit() {
  QUERN_CHECK(written_ == expected_, written_, expected_);
  return file_.commit();
}

}  // namespace quern
