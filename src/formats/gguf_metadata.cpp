#include "formats/gguf_metadata.h"

#include <array>
#include <bit>

#include "base/check.h"
#include "base/utf8.h"

namespace quern {
namespace {

static_assert(std::endian::native == std::endian::little, "values are read as they lie in the file");

constexpr size_t kMaxKeyBytes = 65535;  // the specification's limit

struct TypeInfo {
  std::string_view name;
  size_t bytes;
};
constexpr std::array kTypes = {TypeInfo{"u8", 1},     TypeInfo{"i8", 1},    TypeInfo{"u16", 2}, TypeInfo{"i16", 2},
                               TypeInfo{"u32", 4},    TypeInfo{"i32", 4},   TypeInfo{"f32", 4}, TypeInfo{"bool", 1},
                               TypeInfo{"string", 0}, TypeInfo{"array", 0}, TypeInfo{"u64", 8}, TypeInfo{"i64", 8},
                               TypeInfo{"f64", 8}};

template <class T>
T load(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

Result<GgufType> take_type(GgufCursor& cursor) {
  QUERN_ASSIGN(const uint32_t type, cursor.take<uint32_t>());
  if (type >= kTypes.size()) return fail(Errc::malformed, "value type {} is not one of GGUF's 0 to {}", type, kTypes.size() - 1);
  return static_cast<GgufType>(type);
}

Result<void> check_booleans(std::span<const std::byte> bytes) {
  for (const std::byte b : bytes)
    if (b > std::byte{1}) return fail(Errc::malformed, "boolean with the value {}", static_cast<unsigned>(b));
  return {};
}

Result<GgufValue> take_array(GgufCursor& cursor, int depth);

Result<GgufValue> take_value(GgufCursor& cursor, GgufType type, int depth) {
  if (type == GgufType::array) return take_array(cursor, depth + 1);
  GgufValue value{.type = type, .bytes = {}};
  if (type == GgufType::string) {
    QUERN_ASSIGN(const std::string_view text, cursor.take_string());
    value.bytes = std::as_bytes(std::span(text));
    return value;
  }
  QUERN_ASSIGN(value.bytes, cursor.take_bytes(gguf_scalar_bytes(type)));
  if (type == GgufType::boolean) QUERN_TRY(check_booleans(value.bytes));
  return value;
}

Result<GgufValue> take_array(GgufCursor& cursor, int depth) {
  if (depth > GgufMetadata::kMaxDepth) return fail(Errc::out_of_range, "arrays nested deeper than {}", GgufMetadata::kMaxDepth);
  GgufValue value{.type = GgufType::array, .bytes = {}};
  QUERN_ASSIGN(value.element_type, take_type(cursor));
  QUERN_ASSIGN(value.count, cursor.take<uint64_t>());
  const size_t scalar = gguf_scalar_bytes(value.element_type);
  const size_t least = scalar ? scalar : value.element_type == GgufType::string ? 8 : 12;
  if (value.count > cursor.remaining() / least)
    return fail(Errc::malformed, "array of {} {} elements in the file's last {} bytes", value.count,
                gguf_type_name(value.element_type), cursor.remaining());
  const size_t begin = cursor.position();
  if (scalar) {
    QUERN_TRY(cursor.take_bytes(value.count * scalar));
  } else {
    for (uint64_t i = 0; i < value.count; ++i) QUERN_TRY(take_value(cursor, value.element_type, depth));
  }
  value.bytes = cursor.since(begin);
  if (value.element_type == GgufType::boolean) QUERN_TRY(check_booleans(value.bytes));
  return value;
}

Result<std::string_view> take_key(GgufCursor& cursor) {
  QUERN_ASSIGN(const std::string_view key, cursor.take_string());
  if (key.empty() || key.size() > kMaxKeyBytes)
    return fail(Errc::malformed, "key of {} bytes, expected 1 to {}", key.size(), kMaxKeyBytes);
  if (find_invalid_utf8(key) != std::string_view::npos)
    return fail(Errc::malformed, "key \"{}\" is not UTF-8", gguf_name_text(key));
  return key;
}

bool is_integer(GgufType type) {
  using enum GgufType;
  return type == u8 || type == i8 || type == u16 || type == i16 || type == u32 || type == i32 || type == u64 || type == i64;
}

std::string kind_text(const GgufValue& value) {
  if (value.type != GgufType::array) return std::string(gguf_type_name(value.type));
  return fmt::format("an array of {}", gguf_type_name(value.element_type));
}

}  // namespace

std::string_view gguf_type_name(GgufType type) { return kTypes[static_cast<size_t>(type)].name; }
size_t gguf_scalar_bytes(GgufType type) { return kTypes[static_cast<size_t>(type)].bytes; }

std::string gguf_name_text(std::string_view name) { return replace_invalid_utf8(name.substr(0, 200)); }

Result<std::span<const std::byte>> GgufCursor::take_bytes(uint64_t count) {
  if (count > remaining())
    return fail(Errc::malformed, "{} bytes are expected at byte {}, and the file ends after {} (truncated)", count, at_,
                remaining());
  const auto bytes = bytes_.subspan(at_, count);
  at_ += count;
  return bytes;
}

Result<std::string_view> GgufCursor::take_string() {
  QUERN_ASSIGN(const uint64_t length, take<uint64_t>());
  QUERN_ASSIGN(const auto bytes, take_bytes(length));
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<int64_t> gguf_to_int64(GgufType type, std::span<const std::byte> bytes) {
  switch (type) {
    case GgufType::u8:
    case GgufType::boolean:
      return load<uint8_t>(bytes);
    case GgufType::i8:
      return load<int8_t>(bytes);
    case GgufType::u16:
      return load<uint16_t>(bytes);
    case GgufType::i16:
      return load<int16_t>(bytes);
    case GgufType::u32:
      return load<uint32_t>(bytes);
    case GgufType::i32:
      return load<int32_t>(bytes);
    case GgufType::i64:
      return load<int64_t>(bytes);
    case GgufType::u64: {
      const auto value = load<uint64_t>(bytes);
      if (!std::in_range<int64_t>(value)) return fail(Errc::out_of_range, "{} does not fit 64 bits with a sign", value);
      return static_cast<int64_t>(value);
    }
    default:
      return fail(Errc::malformed, "expected an integer, found {}", gguf_type_name(type));
  }
}

Result<GgufMetadata> GgufMetadata::parse(GgufCursor& cursor, uint64_t count, std::string_view where) {
  constexpr size_t kLeastPair = 8 + 1 + 4 + 1;  // a key of one character, a type, a byte
  GgufMetadata metadata;
  metadata.where_ = where;
  if (count > cursor.remaining() / kLeastPair)
    return fail(Errc::malformed, "{}: {} metadata pairs in the file's last {} bytes", where, count, cursor.remaining());
  metadata.entries_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const auto key = take_key(cursor);
    if (!key) return with_context(key.error(), fmt::format("{}: metadata pair {}", where, i));
    const auto context = [&] { return fmt::format("{}: {}", where, gguf_name_text(*key)); };
    const auto type = take_type(cursor);
    if (!type) return with_context(type.error(), context());
    const auto value = take_value(cursor, *type, 0);
    if (!value) return with_context(value.error(), context());
    if (!metadata.index_.emplace(*key, metadata.entries_.size()).second)
      return fail(Errc::malformed, "{}: the key is given twice", context());
    metadata.entries_.push_back({*key, *value});
  }
  return metadata;
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto at = index_.find(key);
  return at == index_.end() ? nullptr : &entries_[at->second].value;
}

Result<const GgufValue*> GgufMetadata::require(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return fail(Errc::not_found, "{}: {} is missing", where_, key);
  return value;
}

Result<const GgufValue*> GgufMetadata::require_array(std::string_view key) const {
  QUERN_ASSIGN(const GgufValue* value, require(key));
  if (value->type != GgufType::array) return bad(Errc::malformed, key, "expected an array, found {}", kind_text(*value));
  return value;
}

template <class T>
Result<T> GgufMetadata::integer(std::string_view key) const {
  QUERN_ASSIGN(const GgufValue* value, require(key));
  if (!is_integer(value->type)) return bad(Errc::malformed, key, "expected an integer, found {}", kind_text(*value));
  const auto fitted = [&](auto number) -> Result<T> {
    if (!std::in_range<T>(number))
      return bad(Errc::out_of_range, key, "{} is outside {} to {}", number, std::numeric_limits<T>::min(),
                 std::numeric_limits<T>::max());
    return static_cast<T>(number);
  };
  if (value->type == GgufType::u64) return fitted(load<uint64_t>(value->bytes));
  return fitted(gguf_to_int64(value->type, value->bytes).value());
}

Result<uint32_t> GgufMetadata::u32(std::string_view key) const { return integer<uint32_t>(key); }
Result<uint64_t> GgufMetadata::u64(std::string_view key) const { return integer<uint64_t>(key); }
Result<int32_t> GgufMetadata::i32(std::string_view key) const { return integer<int32_t>(key); }
Result<int64_t> GgufMetadata::i64(std::string_view key) const { return integer<int64_t>(key); }

Result<double> GgufMetadata::f64(std::string_view key) const {
  QUERN_ASSIGN(const GgufValue* value, require(key));
  if (value->type == GgufType::f32) return static_cast<double>(load<float>(value->bytes));
  if (value->type == GgufType::f64) return load<double>(value->bytes);
  return bad(Errc::malformed, key, "expected f32, found {}", kind_text(*value));
}

Result<float> GgufMetadata::f32(std::string_view key) const {
  QUERN_ASSIGN(const double value, f64(key));
  return static_cast<float>(value);
}

Result<bool> GgufMetadata::boolean(std::string_view key) const {
  QUERN_ASSIGN(const GgufValue* value, require(key));
  if (value->type != GgufType::boolean) return bad(Errc::malformed, key, "expected bool, found {}", kind_text(*value));
  return value->bytes[0] != std::byte{0};
}

Result<std::string_view> GgufMetadata::string(std::string_view key) const {
  QUERN_ASSIGN(const GgufValue* value, require(key));
  if (value->type != GgufType::string) return bad(Errc::malformed, key, "expected a string, found {}", kind_text(*value));
  return std::string_view(reinterpret_cast<const char*>(value->bytes.data()), value->bytes.size());
}

Result<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const {
  QUERN_ASSIGN(const GgufValue* value, require_array(key));
  if (!is_integer(value->element_type) && value->element_type != GgufType::boolean)
    return bad(Errc::malformed, key, "expected an array of integers, found {}", kind_text(*value));
  const size_t width = gguf_scalar_bytes(value->element_type);
  std::vector<int64_t> list;
  list.reserve(value->count);
  for (size_t i = 0; i < value->count; ++i) {
    const auto number = gguf_to_int64(value->element_type, value->bytes.subspan(i * width, width));
    if (!number) return bad(number.error().code, key, "element {}: {}", i, number.error().message);
    list.push_back(*number);
  }
  return list;
}

Result<std::vector<double>> GgufMetadata::reals(std::string_view key) const {
  QUERN_ASSIGN(const GgufValue* value, require_array(key));
  if (value->element_type != GgufType::f32 && value->element_type != GgufType::f64)
    return bad(Errc::malformed, key, "expected an array of f32, found {}", kind_text(*value));
  const size_t width = gguf_scalar_bytes(value->element_type);
  std::vector<double> list;
  list.reserve(value->count);
  for (size_t i = 0; i < value->count; ++i) {
    const auto bytes = value->bytes.subspan(i * width, width);
    list.push_back(width == 4 ? static_cast<double>(load<float>(bytes)) : load<double>(bytes));
  }
  return list;
}

Result<std::vector<std::string_view>> GgufMetadata::strings(std::string_view key) const {
  QUERN_ASSIGN(const GgufValue* value, require_array(key));
  if (value->element_type != GgufType::string)
    return bad(Errc::malformed, key, "expected an array of strings, found {}", kind_text(*value));
  std::vector<std::string_view> list;
  list.reserve(value->count);
  GgufCursor cursor(value->bytes);  // walked once by parse: what it takes is there
  for (uint64_t i = 0; i < value->count; ++i) list.push_back(cursor.take_string().value());
  return list;
}

}  // namespace quern
