#include "quant/activations.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "quant/rounding.h"

namespace quern {
namespace {

// x [count], count <= 32, to one block.
void quantize_block(const float* x, int64_t count, int8_t* codes, float& scale, int16_t* sums) {
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    finite = finite && std::isfinite(x[i]);
    largest = std::max(largest, std::abs(x[i]));
  }
  std::fill_n(codes, kActivationBlock, int8_t{0});
  scale = finite ? largest / 127 : std::numeric_limits<float>::quiet_NaN();
  const float inverse = finite && largest >= 0x1p-119f ? 1 / scale : 0;
  if (inverse == 0 && finite) scale = 0;
  if (inverse > 0)
    for (int64_t i = 0; i < count; ++i) codes[i] = static_cast<int8_t>(quant::round_within(x[i] * inverse, -127, 127));
  for (int64_t half = 0; half < 2; ++half) {
    int sum = 0;
    for (int64_t i = 0; i < 16; ++i) sum += codes[16 * half + i];
    sums[half] = static_cast<int16_t>(sum);
  }
}

}  // namespace

void Int8Activations::resize(int64_t tokens, int64_t cols) {
  QUERN_CHECK(tokens >= 0 && cols >= 0, tokens, cols);
  tokens_ = tokens, cols_ = cols, blocks_ = (cols + kActivationBlock - 1) / kActivationBlock;
  const auto blocks = static_cast<size_t>(tokens * blocks_);
  codes_.resize(std::max(codes_.size(), blocks * kActivationBlock));
  scales_.resize(std::max(scales_.size(), blocks));
  sums_.resize(std::max(sums_.size(), blocks * 2));
}

void Int8Activations::quantize(int64_t token, const float* x) {
  QUERN_CHECK(0 <= token && token < tokens_, token, tokens_);
  for (int64_t b = 0; b < blocks_; ++b) {
    const int64_t at = token * blocks_ + b;
    quantize_block(x + b * kActivationBlock, std::min(kActivationBlock, cols_ - b * kActivationBlock),
                   codes_.data() + at * kActivationBlock, scales_[static_cast<size_t>(at)], sums_.data() + at * 2);
  }
}

}  // namespace quern
