// A model in one line: what its weights are stored as, and whether quern runs it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace quern {

struct ModelSummary {
  std::string format;          // of most of its weights' bytes: "q4_k", "mxfp4", …; empty where it does not load
  double bits_per_weight = 0;  // of all
  int64_t parameters = 0, active_parameters = 0, context = 0;
  uint64_t weights_bytes = 0;
  std::string problem;  // one line: why it does not load; empty: it does
};

// Loads the model, which maps its files and checks every tensor's shape, and reads next to nothing of them.
ModelSummary summarise_model(const std::filesystem::path& model);

}  // namespace quern
