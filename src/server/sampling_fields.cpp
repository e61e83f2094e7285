#include "server/sampling_fields.h"

#include <random>

namespace quern {

SamplingParams SamplingFields::over(SamplingParams params) const {
  if (temperature) params.temperature = *temperature;
  if (top_p) params.top_p = *top_p;
  if (min_p) params.min_p = *min_p;
  if (top_k) params.top_k = *top_k;
  if (repetition_penalty) params.repetition_penalty = *repetition_penalty;
  if (presence_penalty) params.presence_penalty = *presence_penalty;
  if (frequency_penalty) params.frequency_penalty = *frequency_penalty;
  if (seed) {
    params.seed = static_cast<uint64_t>(*seed);
  } else {
    std::random_device device;
    params.seed = uint64_t{device()} << 32 | device();
  }
  return params;
}

}  // namespace quern
