// Checkpoint: the tensors of a Hugging Face folder by name, from model.safetensors or from the shards that
// model.safetensors.index.json names. Shards the index does not name are not opened (stale ones happen), but for mtp.safetensors where
// those have no tensors of the MTP block: MLX folders keep it apart, out of reach of tools that take every model*.safetensors.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/safetensors.h"

namespace quern {

class Checkpoint {
 public:
  // Errors: not_found, io, malformed, mismatch (an index that its files contradict).
  static Result<Checkpoint> open(const std::filesystem::path& folder);

  const StoredTensor* find(std::string_view name) const;
  const std::vector<const StoredTensor*>& tensors() const { return tensors_; }
  const std::filesystem::path& folder() const { return folder_; }
  size_t total_bytes() const;

 private:
  void add(SafetensorsFile file);
  Result<void> add_mtp();

  std::filesystem::path folder_;
  std::vector<SafetensorsFile> files_;
  std::vector<const StoredTensor*> tensors_;
  std::unordered_map<std::string_view, const StoredTensor*> by_name_;
};

}  // namespace quern
