#include "server/http/retry_estimate.h"

#include <algorithm>
#include <cmath>

namespace quern {

namespace {
constexpr double kNewest = 1.0 / 8;  // what the latest answer counts for
}

void RetryEstimate::count(double seconds) {
  const std::lock_guard lock(mutex_);
  answer_s_ = answer_s_ > 0 ? answer_s_ + kNewest * (seconds - answer_s_) : seconds;
}

int RetryEstimate::seconds(int64_t running, int64_t waiting) const {
  const std::lock_guard lock(mutex_);
  const double rounds = 1 + static_cast<double>(waiting) / static_cast<double>(std::max<int64_t>(running, 1));
  return static_cast<int>(std::ceil(std::clamp<double>(rounds * answer_s_ / 2, kLeast, kMost)));
}

}  // namespace quern
