// Which forms of the family's largest model a machine has room for.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

namespace quern {

struct ModelSize {
  std::string recipe;             // as `quern quantize --format` calls it
  bool gguf = false;              // a GGUF file; otherwise a folder
  size_t weights_bytes = 0;       // without the MTP block
  size_t bytes_per_token = 0;     // of weights that one decoded token reads
  size_t sequence_bytes = 0;      // of one conversation, whatever its length
  size_t kv_bytes_per_token = 0;  // and for each of its tokens, in bf16

  // Weights and one conversation of that many tokens.
  size_t needed(size_t tokens) const { return weights_bytes + sequence_bytes + tokens * kv_bytes_per_token; }
};

// The 80B model (Qwen3-Next-80B-A3B) by those recipes, largest first: computed from its shapes, exactly what `quantize` writes.
Result<std::vector<ModelSize>> sizes_of_80b();

}  // namespace quern
