// Synthetic checkpoints: every weight a pure function of its tensor's name and index, so that a model of any size can be made anywhere,
// bit for bit the same, and compared with published reference outputs. The distribution by name keeps activations and routing lively.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "base/json.h"
#include "formats/config_json.h"

namespace quern {

// Element i of tensor `name` whose values lie in [low, high): SplitMix64 of FNV-1a(name) and i, 24 bits, scaled in f32, rounded to bf16.
class ProceduralTensor {
 public:
  ProceduralTensor(std::string_view name, int64_t last_dimension);
  uint16_t bf16(uint64_t i) const;

 private:
  uint64_t key_;
  float low_, width_;
};

// config.json of a preset (tiny, mini, slice4, slice8, full80); not_found names them.
Result<Json> synth_preset(std::string_view name);

struct SynthOptions {
  Json config;  // becomes OUT/config.json
  bool with_mtp = false;
  size_t shard_bytes = size_t{4} << 30;
  std::function<void(double done, double total)> on_progress;
};
// Writes config.json and model*.safetensors (bf16, per-expert tensors) into folder `out`, which is made; streams, a few MB of memory.
Result<void> synthesise(const SynthOptions& options, const std::filesystem::path& out);

}  // namespace quern
