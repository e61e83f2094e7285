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
  const ActivationScale found = activation_scale(finite ? largest : std::numeric_limits<float>::quiet_NaN());
  const float inverse = found.inverse;
  scale = found.scale;
  if (inverse > 0)
    for (int64_t i = 0; i < count; ++i) codes[i] = static_cast<int8_t>(quant::round_within(x[i] * inverse, -127, 127));
  for (int64_t half = 0; half < 2; ++half) {
    int sum = 0;
    for (int64_t i = 0; i < 16; ++i) sum += codes[16 * half + i];
    sums[half] = static_cast<int16_t>(sum);
  }
}

// A block in even_odd order.
void evens_first(int8_t* codes) {
  for (int8_t* eight = codes; eight < codes + kActivationBlock; eight += 8) {
    int8_t copy[8];
    std::copy_n(eight, 8, copy);
    for (int i = 0; i < 4; ++i) eight[i] = copy[2 * i], eight[i + 4] = copy[2 * i + 1];
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

MutableInt8Row Int8Activations::mutable_row(int64_t token) {
  QUERN_CHECK(0 <= token && token < tokens_, token, tokens_);
  return {codes_.data() + token * blocks_ * kActivationBlock, scales_.data() + token * blocks_, sums_.data() + token * blocks_ * 2};
}

void Int8Activations::copy_row(int64_t token, const Int8Activations& from, int64_t from_token) {
  QUERN_CHECK(from.cols_ == cols_ && 0 <= from_token && from_token < from.tokens_, from.cols_, cols_, from_token, from.tokens_);
  const MutableInt8Row to = mutable_row(token);
  const Int8Row row = from.row(from_token);
  std::copy_n(row.codes, blocks_ * kActivationBlock, to.codes);
  std::copy_n(row.scales, blocks_, to.scales);
  std::copy_n(row.sums, blocks_ * 2, to.sums);
}

void Int8Activations::quantize(int64_t token, const float* x, CodeOrder order) {
  const MutableInt8Row row = mutable_row(token);
  for (int64_t b = 0; b < blocks_; ++b) {
    int8_t* codes = row.codes + b * kActivationBlock;
    quantize_block(x + b * kActivationBlock, std::min(kActivationBlock, cols_ - b * kActivationBlock), codes, row.scales[b],
                   row.sums + b * 2);
    if (order == CodeOrder::even_odd) evens_first(codes);
  }
}

}  // namespace quern
