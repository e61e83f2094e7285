// Writing GGUF v3: metadata as typed key/value pairs, then tensors one after the other, streamed into a file that appears under its name
// when it is complete. Only the header is held in memory. The reader's counterpart is formats/gguf.h.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/file.h"
#include "formats/gguf_metadata.h"
#include "quant/format.h"

namespace quern {

// Key/value pairs in the file's own encoding, in the order they are added. Adding a key twice is a bug in the caller (checked).
class GgufKeyValues {
 public:
  void u16(std::string_view key, uint16_t value);
  void u32(std::string_view key, uint32_t value);
  void i32(std::string_view key, int32_t value);
  void u64(std::string_view key, uint64_t value);
  void f32(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void string(std::string_view key, std::string_view value);
  void strings(std::string_view key, std::span<const std::string_view> values);
  void i32s(std::string_view key, std::span<const int32_t> values);
  void booleans(std::string_view key, const std::vector<bool>& values);
  void value(std::string_view key, const GgufValue& value);  // as another file has it

  bool has(std::string_view key) const { return keys_.contains(std::string(key)); }
  uint64_t count() const { return keys_.size(); }
  std::string_view bytes() const { return bytes_; }
  // A reader's view, valid until the next pair is added.
  Result<GgufMetadata> view(std::string_view where) const;

 private:
  void key(std::string_view key, GgufType type);
  void array(std::string_view key, GgufType element, uint64_t count);

  std::string bytes_;
  std::unordered_set<std::string> keys_;
};

class GgufWriter {
 public:
  static constexpr uint32_t kAlignment = 32;
  struct Entry {
    std::string name;
    QuantFormat format = QuantFormat::f32;
    std::vector<int64_t> shape;  // torch's order, 1 to 4 dimensions, blocks along the last
  };
  // general.alignment is written if `metadata` lacks it. Errors: invalid_argument (a name twice or empty, an alignment other than 32, a
  // number of dimensions), mismatch and out_of_range (as quant_layout), unsupported (a format that ggml has no type for), io.
  static Result<GgufWriter> create(const std::filesystem::path& path, const GgufKeyValues& metadata,
                                   std::span<const Entry> entries);
  // The next bytes of the tensors, in the order announced and without gaps: what aligns the next tensor is written here. More than was
  // announced, or less at commit, is a bug in the caller (checked).
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> commit();

 private:
  GgufWriter(AtomicFile file, std::vector<uint64_t> sizes) : file_(std::move(file)), sizes_(std::move(sizes)) {}
  AtomicFile file_;
  std::vector<uint64_t> sizes_;  // bytes of each tensor
  size_t tensor_ = 0;            // the one being written
  uint64_t written_ = 0;         // of it
};

}  // namespace quern
