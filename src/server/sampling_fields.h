// How a request wants its tokens drawn, where it says so; the model's own defaults stand for the rest.
#pragma once

#include <cstdint>
#include <optional>

#include "base/json.h"
#include "runtime/engine.h"

namespace quern {

struct SamplingFields {
  std::optional<double> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k, seed;

  // Of a checked body whose members have these very names.
  static SamplingFields read(const Json& body);
  // Without a seed each call has another one.
  SamplingParams over(SamplingParams defaults) const;
};

}  // namespace quern
