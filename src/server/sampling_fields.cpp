#include "server/sampling_fields.h"

#include "server/shape.h"
#include "server/unique_id.h"

namespace quern {

SamplingFields SamplingFields::read(const Json& body) {
  SamplingFields fields;
  fields.temperature = number_of(body, "temperature");
  fields.top_p = number_of(body, "top_p");
  fields.min_p = number_of(body, "min_p");
  fields.top_k = integer_of(body, "top_k");
  fields.repetition_penalty = number_of(body, "repetition_penalty");
  fields.presence_penalty = number_of(body, "presence_penalty");
  fields.frequency_penalty = number_of(body, "frequency_penalty");
  fields.seed = integer_of(body, "seed");
  return fields;
}

SamplingParams SamplingFields::over(SamplingParams params) const {
  if (temperature) params.temperature = *temperature;
  if (top_p) params.top_p = *top_p;
  if (min_p) params.min_p = *min_p;
  if (top_k) params.top_k = *top_k;
  if (repetition_penalty) params.repetition_penalty = *repetition_penalty;
  if (presence_penalty) params.presence_penalty = *presence_penalty;
  if (frequency_penalty) params.frequency_penalty = *frequency_penalty;
  params.seed = seed ? static_cast<uint64_t>(*seed) : random_seed();
  return params;
}

}  // namespace quern
