// OutputPlan: the files of a converted folder and the lines of its config.json, before a byte of them is written. In MLX's layout
// the MTP block goes to mtp.safetensors, out of reach of tools that take every model*.safetensors.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "convert/output_tensors.h"

namespace quern {

constexpr int64_t kShardBytes = 5'000'000'000;  // of a safetensors file, as Hugging Face splits them

struct OutputFile {
  std::string name;
  std::vector<OutputTensor> tensors;

  int64_t weights() const;
  int64_t bytes() const;
};

struct OutputPlan {
  OutputLayout layout = OutputLayout::published;
  std::vector<OutputFile> files;   // the index names all but mtp.safetensors
  Json config;                     // of config.json
  Json index;                      // of model.safetensors.index.json
  std::vector<std::string> notes;  // of the tensors
};

// config: of the source, as config.json has it; no file becomes larger than shard_bytes unless one tensor is.
OutputPlan plan_output(OutputTensors tensors, const Json& config, int64_t shard_bytes);

}  // namespace quern
