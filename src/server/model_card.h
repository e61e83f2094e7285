// What is told of a model before it is loaded: read from its files' heads, once.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "server/models.h"

namespace quern {

// What could not be read is empty or 0: a model that is broken is listed, and says why when it is asked for.
struct ModelCard {
  std::string architecture, format;  // "qwen3_next"; "gguf" or "safetensors"
  std::string quantization;          // as far as its files say: "mxfp4", "bfloat16", "unknown"
  int64_t parameters = 0, context = 0, hidden = 0, layers = 0, vocabulary = 0;
  std::string modified_at, digest;  // the digest names this path at this time, not its content
  bool thinking = false;
};

// May be shared between threads; what it gives stays as long as it does.
class ModelCards {
 public:
  const ModelCard& of(const ModelEntry& entry);

 private:
  std::mutex mutex_;
  std::map<std::string, ModelCard> cards_;  // by path
};

// "2026-01-31T12:00:00.123456Z"
std::string utc_time(std::chrono::system_clock::time_point time);

}  // namespace quern
