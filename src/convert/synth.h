// Synthetic checkpoints: model folders of any size and format whose weights are procedural (procedural.h), for benchmarks and tests.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/thread_pool.h"
#include "convert/output_folder.h"
#include "convert/recipe.h"

namespace quern {

// config.json of a preset (tiny, mini, slice4, slice8, full80); not_found names them.
Result<Json> synth_preset(std::string_view name);

struct SynthOptions {
  Json config;
  Recipe recipe = {};  // one for folders; it has bf16 to start from, and keeps that where it has no rule
  bool with_mtp = false;
  RowOrder order = RowOrder::rows;  // strips: a packed folder
  Replace replace = Replace::never;
  int64_t shard_bytes = kShardBytes;
  OnProgress on_progress = {};
};

// Writes what `quantize` with ScaleSearch::none makes of the bf16 checkpoint that the default options give, byte for byte, without that
// checkpoint: weights are made up window by window. Returns notes for people. Errors: those of ModelConfig::from_json, output_tensors, pack
// and write_folder.
Result<std::vector<std::string>> synthesise(const SynthOptions& options, const std::filesystem::path& out, ThreadPool& pool);

}  // namespace quern
