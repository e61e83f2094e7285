// Procedural weights: every element a pure function of its tensor's name and index, so that a checkpoint of any size can be made anywhere,
// bit for bit the same, and compared with published reference outputs. The distribution by name keeps activations and routing lively.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace quern {

// Element i of tensor `name` whose values lie in [low, high): SplitMix64 of FNV-1a(name) and i, 24 bits, scaled in f32, rounded to bf16.
// May be shared between threads.
class ProceduralTensor {
 public:
  ProceduralTensor(std::string_view name, int64_t last_dimension);
  // Elements first, first + 1, … of a bf16 tensor, as f32.
  void decode(uint64_t first, std::span<float> out) const;

 private:
  uint64_t key_;
  float low_, width_;
};

}  // namespace quern
