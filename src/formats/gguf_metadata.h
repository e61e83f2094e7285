// Metadata of a GGUF file: typed key/value pairs, as views into the file's bytes. Source: ggml's GGUF specification (v2 and v3, little
// endian). A key occurs once; values are scalars, strings, and arrays of one type, which may hold arrays in turn.
//
// Nothing is copied: an array of 150,000 tokens is a span until someone asks for its strings. So what the metadata costs is bounded by the
// file's size. The bytes must outlive the metadata, which is immutable and may be shared between threads.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace quern {

enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

std::string_view gguf_type_name(GgufType type);  // "u32", "array"
size_t gguf_scalar_bytes(GgufType type);         // 0 for strings and arrays

struct GgufValue {
  GgufType type = GgufType::u8;
  std::span<const std::byte> bytes;  // a scalar's; a string's characters; an array's elements as they are stored
  GgufType element_type = GgufType::u8;
  uint64_t count = 0;  // elements of an array
};

// Reads forwards through bytes that nobody has checked.
class GgufCursor {
 public:
  explicit GgufCursor(std::span<const std::byte> bytes) : bytes_(bytes) {}
  // Errors: malformed (the bytes end before).
  template <class T>
  Result<T> take() {
    QUERN_ASSIGN(const auto raw, take_bytes(sizeof(T)));
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  Result<std::span<const std::byte>> take_bytes(uint64_t count);
  Result<std::string_view> take_string();  // u64 length and characters
  size_t position() const { return at_; }
  size_t remaining() const { return bytes_.size() - at_; }
  std::span<const std::byte> since(size_t begin) const { return bytes_.subspan(begin, at_ - begin); }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

class GgufMetadata {
 public:
  struct Entry {
    std::string_view key;
    GgufValue value;
  };
  // `count` pairs from the cursor on; `where` opens every message. Errors: malformed (truncated, a value's type, a key given twice or not
  // text), out_of_range (arrays nested deeper than kMaxDepth).
  static Result<GgufMetadata> parse(GgufCursor& cursor, uint64_t count, std::string_view where);
  static constexpr int kMaxDepth = 4;

  const std::vector<Entry>& entries() const { return entries_; }
  const GgufValue* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  const std::string& where() const { return where_; }

  // Any integer type whose value fits is taken; f32 and f64 are taken for either. Errors: not_found (no such key), malformed (a value of
  // another kind), out_of_range (an integer that does not fit). Each names the key.
  Result<uint32_t> u32(std::string_view key) const;
  Result<uint64_t> u64(std::string_view key) const;
  Result<int32_t> i32(std::string_view key) const;
  Result<int64_t> i64(std::string_view key) const;
  Result<float> f32(std::string_view key) const;
  Result<double> f64(std::string_view key) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string_view> string(std::string_view key) const;
  // Arrays. Integers may be of any integer type, or booleans (0 and 1).
  Result<std::vector<int64_t>> integers(std::string_view key) const;
  Result<std::vector<double>> reals(std::string_view key) const;
  Result<std::vector<std::string_view>> strings(std::string_view key) const;

  // "file: key: …", for a reader's own complaint about a value.
  template <class... Args>
  tl::unexpected<Error> bad(Errc code, std::string_view key, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(code, "{}: {}: {}", where_, key, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  Result<const GgufValue*> require(std::string_view key) const;
  Result<const GgufValue*> require_array(std::string_view key) const;
  template <class T>
  Result<T> integer(std::string_view key) const;

  std::string where_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
};

// A scalar of the file. Integers and booleans: to_int64 fails for u64 past 2^63 (out_of_range) and for other types (malformed).
Result<int64_t> gguf_to_int64(GgufType type, std::span<const std::byte> bytes);

// A name from a file, short and valid UTF-8, for messages.
std::string gguf_name_text(std::string_view name);

}  // namespace quern
