// "quantization" of an MLX folder's config.json: which modules are quantised, and how (spec "Checkpoint containers", C.3).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "quant/format.h"

namespace quern {

enum class MlxMode { affine, mxfp4, mxfp8, nvfp4 };

struct MlxModule {
  int64_t bits = 4, group_size = 64;
  MlxMode mode = MlxMode::affine;

  // Errors: unsupported (bits or a group size that the mode does not have).
  Result<QuantFormat> format() const;
};

class MlxQuantization {
 public:
  // Of a whole config.json, from "quantization" or "quantization_config"; a config with neither gives one that knows no module. Errors:
  // malformed, unsupported (a mode by its name), out_of_range.
  static Result<MlxQuantization> from_config(const Json& config, std::string_view where);

  // The module at a path ("model.layers.0.mlp.gate"). Absent: stored plain by the config's word. A module that config.json does not name
  // has the defaults, if the file has scales for it: that is the caller's to see.
  std::optional<MlxModule> module(std::string_view path) const;

 private:
  std::optional<MlxModule> defaults_;
  std::map<std::string, std::optional<MlxModule>, std::less<>> modules_;
};

}  // namespace quern
