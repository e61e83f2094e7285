// What a loaded model consists of and what running it takes, counted over its tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "model/model.h"

namespace quern {

struct TensorTally {
  int64_t tensors = 0, parameters = 0;
  size_t bytes = 0;
};

struct ModelFacts {
  // By part ("experts", "attention", …), by storage format ("bf16", "q4_k", …), and both.
  std::map<std::string, TensorTally> parts, formats;
  std::map<std::string, std::map<std::string, TensorTally>> part_formats;
  TensorTally total;
  TensorTally packed;                // matrices whose rows lie in strips
  int64_t active_parameters = 0;     // that one decoded token reads
  int64_t prompt_parameters = 0;     // of them, those that a token of a prompt is multiplied with: not the head's
  size_t bytes_per_token = 0;        // of weights, likewise
  size_t kv_bytes_per_position = 0;  // in bf16
  size_t state_bytes = 0;            // of a sequence, whatever its length
};

// What a sequence takes, by the config alone.
size_t kv_bytes_per_position(const ModelConfig& config);  // in bf16
size_t sequence_state_bytes(const ModelConfig& config);   // whatever its length

// Vectors count as the f32 they are held in.
ModelFacts model_facts(const Model& model);

}  // namespace quern
