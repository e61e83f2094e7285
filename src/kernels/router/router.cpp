#include "kernels/router/router.h"

#include <algorithm>
#include <cmath>

namespace quern {

void route(const float* logits, int64_t experts, int64_t k, bool renormalise, int32_t* ids, float* weights) {
  const float highest = *std::max_element(logits, logits + experts);
  double sum = 0;
  for (int64_t e = 0; e < experts; ++e) sum += static_cast<double>(std::exp(logits[e] - highest));
  // Insertion into the short sorted list: a later expert must be strictly greater to pass an earlier one, which settles ties. A NaN
  // compares with nothing and stays where it arrived, so ids are valid whatever the logits are.
  int64_t held = 0;
  for (int64_t e = 0; e < experts; ++e) {
    int64_t at = held;
    while (at > 0 && logits[e] > logits[ids[at - 1]]) --at;
    if (at == k) continue;
    held = std::min(held + 1, k);
    for (int64_t i = held - 1; i > at; --i) ids[i] = ids[i - 1];
    ids[at] = static_cast<int32_t>(e);
  }
  double kept = 0;
  for (int64_t i = 0; i < k; ++i) {
    weights[i] = static_cast<float>(static_cast<double>(std::exp(logits[ids[i]] - highest)) / sum);
    kept += static_cast<double>(weights[i]);
  }
  if (renormalise)
    for (int64_t i = 0; i < k; ++i) weights[i] = static_cast<float>(static_cast<double>(weights[i]) / kept);
}

}  // namespace quern
