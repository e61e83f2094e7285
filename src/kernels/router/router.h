// route: softmax over all experts in f32, then the k most probable, most probable first, ties to the lowest id; renormalised to sum 1
// when asked (norm_topk_prob).   logits [experts] -> ids [k], weights [k]
#pragma once

#include <cstdint>

namespace quern {

void route(const float* logits, int64_t experts, int64_t k, bool renormalise, int32_t* ids, float* weights);

}  // namespace quern
