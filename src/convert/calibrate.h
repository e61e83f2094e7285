// Calibration: a text through a model, and statistics of what its matrices are multiplied by on the way (input_statistics.h).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "convert/input_statistics.h"
#include "runtime/engine.h"

namespace quern {

// Each document is read from its beginning; the MTP block takes part where the model has one, but for what the head
// would be multiplied by in it.
// Errors: those of Timeline::feed (an id outside the vocabulary, a document longer than the context).
Result<InputStatistics> calibrate(const Engine& engine, std::span<const std::vector<int32_t>> documents,
                                  const std::function<void(double done, double total)>& on_progress);

}  // namespace quern
