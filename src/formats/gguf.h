// GGUF: llama.cpp's container, a header of typed metadata and tensor descriptions, then aligned tensor data. Reading is a mapping and views;
// nothing in the header is trusted: counts, lengths, shapes, type ids, offsets, alignment, overlaps and the file's end are checked before
// any view is made. Source: ggml's GGUF specification v3 (v2 is the same); big-endian files and v1 are refused by name.
//
// Tensors: `dtype` is ggml's name of the type in capitals ("F32", "BF16", "Q8_0", "Q4_K", "MXFP4"), so that plain types read as they do in
// safetensors. `shape` is in torch's order, rows of the last dimension contiguous: the reverse of GGUF's ne. Blocks run along that last
// dimension. A type that quern does not decode is refused with its number. Data may have gaps and lie in any order.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "formats/gguf_metadata.h"
#include "formats/safetensors.h"
#include "quant/format.h"

namespace quern {

// What one file's bytes hold; views into them.
struct GgufContents {
  uint32_t version = 3;
  uint32_t alignment = 32;
  GgufMetadata metadata;
  std::vector<StoredTensor> tensors;  // as the file lists them
};

// Errors: malformed (one line that names the file, the tensor or key, what is wrong and what was expected), unsupported (version, byte
// order, a tensor's type), out_of_range (nesting, alignment).
Result<GgufContents> parse_gguf(std::span<const std::byte> file, std::string_view where);

class GgufFile {
 public:
  // A file, or all parts of a split model when `path` is any one of them (NAME-00001-of-0000N.gguf). Metadata is the first part's.
  // Errors: those of parse_gguf, not_found (a file, or a part by its name), io, mismatch (split.no, split.count, split.tensors.count or a
  // tensor in two parts).
  static Result<GgufFile> open(const std::filesystem::path& path);
  GgufFile(GgufFile&&) = default;  // views and names stay where they are; a copy would point into the original
  GgufFile& operator=(GgufFile&&) = default;

  const GgufMetadata& metadata() const { return metadata_; }
  const std::vector<StoredTensor>& tensors() const { return tensors_; }  // part by part, as each lists them
  const StoredTensor* find(std::string_view name) const;
  const std::vector<std::shared_ptr<const MappedFile>>& parts() const { return parts_; }
  const std::filesystem::path& path() const { return parts_.front()->path(); }  // the first part

 private:
  GgufFile() = default;
  std::vector<std::shared_ptr<const MappedFile>> parts_;
  GgufMetadata metadata_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string_view, size_t> index_;
};

// The number of a part of a split model by its file's name, NAME-00002-of-00005.gguf is 2; 0 for other names.
int64_t gguf_part(std::string_view file_name);

// The dtype word of a format that ggml has, and back. Errors: unsupported (ggml has no such type, or the word is none of its names).
Result<std::string> gguf_dtype(QuantFormat format);
Result<QuantFormat> gguf_dtype_format(std::string_view dtype);

}  // namespace quern
