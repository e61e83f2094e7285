// int8 activations: what dot products with quantised weights read. One layout serves every weight format, so that a token's activations
// are quantised once though a file mixes formats:
//   codes   i8   in -127..127, [tokens, blocks * 32], the last block filled up with zeros
//   scales  f32  [tokens, blocks]: x is scale * code, scale = (largest |x| of the 32) / 127
//   sums    i16  [tokens, blocks * 2]: of each 16 codes, for the formats with mins or biases
// A super-block of 256 weights is eight such blocks: eight scales cost a fast kernel one multiplication for each 32 weights, and an outlier
// spoils 32 values instead of 256. |x - scale * code| <= scale / 2, but for rounding. A block with an infinity or a NaN in it has a NaN
// scale and codes of 0: its dot products are NaN, as they would be in f32. Blocks whose largest |x| is below 2^-119 become zeros.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace quern {

inline constexpr int64_t kActivationBlock = 32;

// How codes follow one another. natural: as the values do. even_odd: of each 8 the even ones, then the odd ones, for kernels that take the
// low and the high nibbles of a word of 4-bit weights apart.
enum class CodeOrder : uint8_t { natural, even_odd };

// What values of a block are divided by, and its reciprocal, 0 where every code is 0.
struct ActivationScale {
  float scale = 0, inverse = 0;
};
// largest: the largest |x| of the block; an infinity or NaN where one of them is no finite number.
inline ActivationScale activation_scale(float largest) {
  if (!std::isfinite(largest)) return {std::numeric_limits<float>::quiet_NaN(), 0};
  if (largest < 0x1p-119f) return {};
  return {largest / 127, 1 / (largest / 127)};
}

// One token's activations.
struct Int8Row {
  const int8_t* codes = nullptr;
  const float* scales = nullptr;
  const int16_t* sums = nullptr;
};

struct MutableInt8Row {
  int8_t* codes = nullptr;
  float* scales = nullptr;
  int16_t* sums = nullptr;
};

// Owns the quantised activations of some tokens. Grows only. Distinct rows may be quantised by distinct threads, and rows be read by any.
class Int8Activations {
 public:
  void resize(int64_t tokens, int64_t cols);
  // Row `token` from x [cols].
  void quantize(int64_t token, const float* x, CodeOrder order = CodeOrder::natural);
  // Row `token` as row `from_token` of `from`, which has as many columns.
  void copy_row(int64_t token, const Int8Activations& from, int64_t from_token);
  // Row `token`, for kernels that quantise.
  MutableInt8Row mutable_row(int64_t token);

  int64_t tokens() const { return tokens_; }
  int64_t cols() const { return cols_; }
  int64_t blocks() const { return blocks_; }  // of a row
  Int8Row row(int64_t token) const {
    return {codes_.data() + token * blocks_ * kActivationBlock, scales_.data() + token * blocks_,
            sums_.data() + token * blocks_ * 2};
  }

 private:
  int64_t tokens_ = 0, cols_ = 0, blocks_ = 0;
  std::vector<int8_t> codes_;
  std::vector<float> scales_;
  std::vector<int16_t> sums_;
};

}  // namespace quern
