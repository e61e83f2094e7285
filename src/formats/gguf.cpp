#include "formats/gguf.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <unordered_set>

#include "base/utf8.h"

namespace quern {
namespace {

constexpr uint32_t kMaxDimensions = 4;        // ggml's own
constexpr uint32_t kMaxAlignment = 1u << 16;  // files have 32; a page is reason enough for more
constexpr size_t kMaxNameBytes = 65535;

// A tensor whose place in the data section is known to lie inside it.
struct Description {
  std::string_view name;
  QuantFormat format = QuantFormat::f32;
  std::vector<int64_t> shape;
  uint64_t offset = 0;
  int64_t bytes = 0;
};

Result<uint32_t> take_version(GgufCursor& cursor) {
  QUERN_ASSIGN(const auto magic, cursor.take_bytes(4));
  if (std::memcmp(magic.data(), "GGUF", 4) != 0) return fail(Errc::malformed, "the file does not begin with GGUF");
  QUERN_ASSIGN(const uint32_t version, cursor.take<uint32_t>());
  if (version != 0 && (version & 0xFFFF) == 0) return fail(Errc::unsupported, "big-endian GGUF; little-endian is read");
  if (version != 2 && version != 3) return fail(Errc::unsupported, "GGUF version {}; 2 and 3 are read", version);
  return version;
}

Result<uint32_t> read_alignment(const GgufMetadata& metadata) {
  constexpr std::string_view key = "general.alignment";
  if (!metadata.has(key)) return 32;
  QUERN_ASSIGN(const uint32_t alignment, metadata.u32(key));
  if (!std::has_single_bit(alignment) || alignment < 8 || alignment > kMaxAlignment)
    return metadata.bad(Errc::out_of_range, key, "{}, expected a power of two from 8 to {}", alignment, kMaxAlignment);
  return alignment;
}

// ne[n_dims] as a shape, outermost first; every extent at least 1, so that a product of extents bounds each of them.
Result<std::vector<int64_t>> take_shape(GgufCursor& cursor) {
  QUERN_ASSIGN(const uint32_t dimensions, cursor.take<uint32_t>());
  if (dimensions < 1 || dimensions > kMaxDimensions)
    return fail(Errc::malformed, "{} dimensions, expected 1 to {}", dimensions, kMaxDimensions);
  std::vector<int64_t> shape(dimensions);
  for (size_t i = 0; i < dimensions; ++i) {
    QUERN_ASSIGN(const uint64_t extent, cursor.take<uint64_t>());
    if (extent == 0 || !std::in_range<int64_t>(extent))
      return fail(Errc::malformed, "dimension {} of {} elements, expected 1 to 2^63 - 1", i, extent);
    shape[dimensions - 1 - i] = static_cast<int64_t>(extent);
  }
  return shape;
}

Result<int64_t> row_count(std::span<const int64_t> shape) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i)
    if (__builtin_mul_overflow(rows, shape[i], &rows)) return fail(Errc::malformed, "shape {} overflows", shape_text(shape));
  return rows;
}

Result<int64_t> tensor_bytes(QuantFormat format, std::span<const int64_t> shape) {
  QUERN_ASSIGN(const int64_t rows, row_count(shape));
  QUERN_ASSIGN(const QuantLayout layout, quant_layout(format, rows, shape.back()));
  return layout.code_bytes;
}

Result<void> take_description(GgufCursor& cursor, Description& d) {
  QUERN_ASSIGN(d.shape, take_shape(cursor));
  QUERN_ASSIGN(const uint32_t type, cursor.take<uint32_t>());
  QUERN_ASSIGN(d.offset, cursor.take<uint64_t>());
  QUERN_ASSIGN(d.format, quant_format_of_ggml_type(type));
  auto bytes = tensor_bytes(d.format, d.shape);
  if (!bytes) return fail(Errc::malformed, "{}", bytes.error().message);
  d.bytes = *bytes;
  return {};
}

Result<std::vector<Description>> take_descriptions(GgufCursor& cursor, uint64_t count, std::string_view where) {
  constexpr size_t kLeast = 8 + 1 + 4 + 8 + 4 + 8;  // a name of one character and one dimension
  if (count > cursor.remaining() / kLeast)
    return fail(Errc::malformed, "{}: {} tensors described in the file's last {} bytes", where, count, cursor.remaining());
  std::vector<Description> list(count);
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < list.size(); ++i) {
    const auto name = cursor.take_string();
    if (!name) return with_context(name.error(), fmt::format("{}: tensor {}", where, i));
    list[i].name = *name;
    const std::string context = fmt::format("{}: {}", where, gguf_name_text(*name));
    if (name->empty() || name->size() > kMaxNameBytes || find_invalid_utf8(*name) != std::string_view::npos)
      return fail(Errc::malformed, "{}: tensor {}: a name of {} bytes that is not 1 to {} bytes of UTF-8", where, i, name->size(),
                  kMaxNameBytes);
    if (auto taken = take_description(cursor, list[i]); !taken) return with_context(taken.error(), context);
    if (!names.insert(*name).second) return fail(Errc::malformed, "{}: the tensor is described twice", context);
  }
  return list;
}

// Views into `data`, once all of them are known to lie in it, aligned and apart.
Result<std::vector<StoredTensor>> place(std::span<const Description> list, std::span<const std::byte> data, uint32_t alignment,
                                        std::string_view where) {
  const auto context = [&](const Description& d) { return fmt::format("{}: {}", where, gguf_name_text(d.name)); };
  std::vector<StoredTensor> tensors;
  tensors.reserve(list.size());
  for (const Description& d : list) {
    if (d.offset % alignment != 0)
      return fail(Errc::malformed, "{}: offset {} is not a multiple of the alignment {}", context(d), d.offset, alignment);
    if (d.offset > data.size() || static_cast<uint64_t>(d.bytes) > data.size() - d.offset)
      return fail(Errc::malformed, "{}: {} bytes at offset {} are outside the file's {} data bytes (truncated?)", context(d),
                  d.bytes, d.offset, data.size());
    QUERN_ASSIGN(std::string dtype, gguf_dtype(d.format));
    tensors.push_back({.name = std::string(d.name),
                       .dtype = std::move(dtype),
                       .shape = d.shape,
                       .bytes = data.subspan(d.offset, static_cast<size_t>(d.bytes))});
  }
  std::vector<const Description*> by_offset;
  by_offset.reserve(list.size());
  for (const Description& d : list) by_offset.push_back(&d);
  std::sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const Description &before = *by_offset[i - 1], &d = *by_offset[i];
    if (d.offset < before.offset + static_cast<uint64_t>(before.bytes))
      return fail(Errc::malformed, "{}: data at offset {} overlaps {}, which ends at {}", context(d), d.offset,
                  gguf_name_text(before.name), before.offset + static_cast<uint64_t>(before.bytes));
  }
  return tensors;
}

// NAME-00002-of-00005.gguf taken apart.
struct PartName {
  std::string stem;
  int64_t number = 0, count = 0;
};

std::optional<PartName> part_name(std::string_view file_name) {
  constexpr std::string_view shape = "-00000-of-00000.gguf";
  if (file_name.size() <= shape.size()) return {};
  const std::string_view tail = file_name.substr(file_name.size() - shape.size());
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] == '0' ? tail[i] < '0' || tail[i] > '9' : tail[i] != shape[i]) return {};
  const auto number = [&](size_t at) {
    int64_t value = 0;
    for (size_t i = at; i < at + 5; ++i) value = value * 10 + (tail[i] - '0');
    return value;
  };
  return PartName{std::string(file_name.substr(0, file_name.size() - shape.size())), number(1), number(10)};
}

// split.count of a part, 1 where the file is whole, and that split.no is what the part's place says.
Result<int64_t> split_count(const GgufMetadata& metadata) {
  if (!metadata.has("split.count")) return 1;
  QUERN_ASSIGN(const int64_t count, metadata.i64("split.count"));
  if (count < 0 || count > 65535) return metadata.bad(Errc::out_of_range, "split.count", "{} is outside 0 to 65535", count);
  return std::max<int64_t>(count, 1);
}

Result<void> check_part(const GgufMetadata& metadata, int64_t index, int64_t count) {
  QUERN_ASSIGN(const int64_t own_count, split_count(metadata));
  if (own_count != count)
    return metadata.bad(Errc::mismatch, "split.count", "{}, expected {} as the file's name says", own_count, count);
  if (count == 1) return {};
  QUERN_ASSIGN(const int64_t own_index, metadata.i64("split.no"));
  if (own_index != index)
    return metadata.bad(Errc::mismatch, "split.no", "{}, expected {} as the file's name says", own_index, index);
  return {};
}

}  // namespace

Result<std::string> gguf_dtype(QuantFormat format) {
  const QuantFormatInfo& info = quant_format_info(format);
  if (info.ggml_type < 0) return fail(Errc::unsupported, "GGUF has no type for {}", info.name);
  std::string word(info.name);
  for (char& c : word)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return word;
}

Result<QuantFormat> gguf_dtype_format(std::string_view dtype) {
  for (const QuantFormatInfo& info : quant_formats())
    if (const auto word = gguf_dtype(info.format); word && *word == dtype) return info.format;
  return fail(Errc::unsupported, "dtype {} is not one of GGUF's", gguf_name_text(dtype.substr(0, 40)));
}

Result<GgufContents> parse_gguf(std::span<const std::byte> file, std::string_view where) {
  GgufCursor cursor(file);
  GgufContents contents;
  auto version = take_version(cursor);
  if (!version) return with_context(version.error(), where);
  contents.version = *version;
  const auto tensor_count = cursor.take<uint64_t>();
  const auto pair_count = cursor.take<uint64_t>();
  if (!tensor_count || !pair_count) return with_context((tensor_count ? pair_count : tensor_count).error(), where);
  QUERN_ASSIGN(contents.metadata, GgufMetadata::parse(cursor, *pair_count, where));
  QUERN_ASSIGN(contents.alignment, read_alignment(contents.metadata));
  QUERN_ASSIGN(const auto list, take_descriptions(cursor, *tensor_count, where));
  const size_t gap = (contents.alignment - cursor.position() % contents.alignment) % contents.alignment;
  const auto data = file.subspan(cursor.position() + std::min(gap, cursor.remaining()));
  QUERN_ASSIGN(contents.tensors, place(list, data, contents.alignment, where));
  return contents;
}

int64_t gguf_part(std::string_view file_name) {
  const auto name = part_name(file_name);
  return name ? name->number : 0;
}

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  QUERN_ASSIGN(const auto opened, MappedFile::open(path));
  QUERN_ASSIGN(GgufContents own, parse_gguf(opened->bytes(), path.string()));
  QUERN_ASSIGN(const int64_t count, split_count(own.metadata));
  const auto name = part_name(path.filename().string());
  if (count > 1 && (!name || name->count != count))
    return own.metadata.bad(Errc::mismatch, "split.count", "{}, but the file is not named NAME-00001-of-{:05}.gguf", count, count);
  GgufFile model;
  for (int64_t i = 0; i < count; ++i) {
    const auto part_path = count == 1 ? path : path.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", name->stem, i + 1, count);
    const bool again = count == 1 || name->number == i + 1;
    QUERN_ASSIGN(const auto part, again ? Result<std::shared_ptr<const MappedFile>>(opened) : MappedFile::open(part_path));
    QUERN_ASSIGN(GgufContents contents,
                 again ? Result<GgufContents>(std::move(own)) : parse_gguf(part->bytes(), part_path.string()));
    QUERN_TRY(check_part(contents.metadata, i, count));
    model.parts_.push_back(part);
    std::move(contents.tensors.begin(), contents.tensors.end(), std::back_inserter(model.tensors_));
    if (i == 0) model.metadata_ = std::move(contents.metadata);
  }
  if (count > 1 && model.metadata_.has("split.tensors.count")) {
    QUERN_ASSIGN(const int64_t announced, model.metadata_.i64("split.tensors.count"));
    if (!std::cmp_equal(announced, model.tensors_.size()))
      return model.metadata_.bad(Errc::mismatch, "split.tensors.count", "{}, but the {} parts hold {}", announced, count,
                                 model.tensors_.size());
  }
  for (size_t i = 0; i < model.tensors_.size(); ++i)
    if (!model.index_.emplace(model.tensors_[i].name, i).second)
      return fail(Errc::mismatch, "{}: {}: two parts hold the tensor", path.string(), gguf_name_text(model.tensors_[i].name));
  return model;
}

const StoredTensor* GgufFile::find(std::string_view name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : &tensors_[at->second];
}

}  // namespace quern
