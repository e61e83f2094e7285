// safetensors: u64 header length, JSON header, tensor data. Reading is a mapping and views; nothing in the header is trusted: sizes,
// offsets, overlaps and holes are checked before any view is made. Source: the format's README; spec of the published checkpoints.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace quern {

// One tensor in a file. dtype is the format's own word ("BF16"); a word this code does not know is refused when the file is opened.
struct StoredTensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

std::string shape_text(std::span<const int64_t> shape);  // "[512, 2048]"

class SafetensorsFile {
 public:
  // Errors: not_found, io, malformed (one line that names the file, the tensor and what is wrong).
  static Result<SafetensorsFile> open(const std::filesystem::path& path);
  // The tensors of a file's bytes, which must outlive them.
  static Result<std::vector<StoredTensor>> parse(std::span<const std::byte> file, std::string_view where, Json* metadata = nullptr);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const Json& metadata() const { return metadata_; }  // "__metadata__", an object of strings, or null
  const std::filesystem::path& path() const { return file_->path(); }
  std::span<const std::byte> mapping() const { return file_->bytes(); }  // the whole file

 private:
  std::shared_ptr<const MappedFile> file_;
  std::vector<StoredTensor> tensors_;
  Json metadata_;
};

// Writes a file whose tensors are given one after the other, in the order announced.
class SafetensorsWriter {
 public:
  struct Entry {
    std::string name, dtype;
    std::vector<int64_t> shape;
  };
  static Result<SafetensorsWriter> create(const std::filesystem::path& path, std::span<const Entry> entries,
                                          const Json& metadata = {});
  // The next bytes of the data section; the sum must be what the entries announced (checked by commit).
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> commit();

 private:
  SafetensorsWriter(AtomicFile file, size_t expected) : file_(std::move(file)), expected_(expected) {}
  AtomicFile file_;
  size_t expected_ = 0, written_ = 0;
};

// Bytes of one element, or 0 for a dtype word the format does not define.
size_t stored_dtype_size(std::string_view dtype);

}  // namespace quern
