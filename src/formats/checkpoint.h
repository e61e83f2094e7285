// Checkpoint: the tensors of a model by name. A folder has them in model.safetensors or in the shards that model.safetensors.index.json
// names (shards the index does not name are not opened: stale ones happen), but for mtp.safetensors where those have no tensors of the MTP
// block: MLX folders keep it apart, out of reach of tools that take every model*.safetensors. A GGUF file, or the parts of a split one, has
// them and all else.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/gguf.h"
#include "formats/safetensors.h"

namespace quern {

// The GGUF file that a model's path means: itself, unless it is a folder; in a folder without safetensors, the only model there, split or
// not. Absent: the folder has none, or safetensors. Errors: not_found (nothing there), mismatch (a folder with several).
Result<std::optional<std::filesystem::path>> gguf_of_model(const std::filesystem::path& model);

class Checkpoint {
 public:
  // Errors: not_found, io, malformed, mismatch (an index that its files contradict).
  static Result<Checkpoint> open(const std::filesystem::path& model);
  Checkpoint() = default;
  Checkpoint(Checkpoint&&) = default;  // what was found stays where it is; a copy would point into the original
  Checkpoint& operator=(Checkpoint&&) = default;

  const StoredTensor* find(std::string_view name) const;
  const std::vector<const StoredTensor*>& tensors() const { return tensors_; }
  const std::filesystem::path& path() const { return path_; }
  const GgufMetadata* gguf() const { return gguf_ ? &gguf_->metadata() : nullptr; }  // nullptr: safetensors
  size_t total_bytes() const;
  std::vector<std::filesystem::path> files() const;          // that the tensors are in
  std::vector<std::span<const std::byte>> mappings() const;  // of those files, whole

 private:
  Result<void> open_safetensors();
  void add(SafetensorsFile file);
  Result<void> add_mtp();

  std::filesystem::path path_;
  std::vector<SafetensorsFile> files_;
  std::optional<GgufFile> gguf_;
  std::vector<const StoredTensor*> tensors_;
  std::unordered_map<std::string_view, const StoredTensor*> by_name_;
};

}  // namespace quern
