// The official FP8 checkpoints (spec "Checkpoint containers", A.4): weights E4M3, one byte each; `weight_scale_inv` [ceil(rows / 128),
// ceil(cols / 128)], f32 or bf16, which in spite of its name is multiplied:   W[r, c] = e4m3(r, c) * scale[r / 128, c / 128].
// The last blocks of rows and columns may be partial.
#include <array>

#include "quant/families.h"

namespace quern::quant {
namespace {

constexpr int64_t kBlock = 128;

void decode_fp8(const QuantRow& row, int64_t cols, float* out) {
  for (int64_t c = 0; c < cols; ++c)
    out[c] = e4m3_to_f32(load_u8(row.codes + c)) * load_scale(row.scale_type, row.scales, c / kBlock);
}

void magnitude_fp8(const QuantRow& row, int64_t cols, float* out) {
  decode_fp8(row, cols, out);
  for (int64_t c = 0; c < cols; ++c) out[c] = std::abs(out[c]);
}

float dot_fp8(const QuantRow& row, int64_t cols, const Int8Row& x) {
  float total = 0;
  for (int64_t begin = 0; begin < cols; begin += kActivationBlock) {
    float part = 0;
    for (int64_t c = begin; c < std::min(begin + kActivationBlock, cols); ++c)
      part += e4m3_to_f32(load_u8(row.codes + c)) * static_cast<float>(x.codes[c]);
    total += x.scales[begin / kActivationBlock] * (load_scale(row.scale_type, row.scales, begin / kBlock) * part);
  }
  return total;
}

// A block of weights inside a matrix, with the importance of its columns.
struct Source {
  const float* weights;
  int64_t rows, cols, stride;
  const float* importance;
};

double error_at(const Source& s, float scale) {
  double error = 0;
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t c = 0; c < s.cols; ++c) {
      const float value = s.weights[r * s.stride + c];
      const double miss = static_cast<double>(value) - static_cast<double>(e4m3_to_f32(f32_to_e4m3(value / scale)) * scale);
      error += static_cast<double>(s.importance[c]) * miss * miss;
    }
  return error;
}

// A code's relative precision is the same in every octave, so the scale matters only by where the weights fall between two powers of two,
// and by how few become subnormal: eight steps through an octave, the smallest of them mapping the largest weight onto 448.
float find_scale(const Source& s, ScaleSearch search, ScaleType type) {
  float largest = 0;
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t c = 0; c < s.cols; ++c) largest = std::max(largest, std::abs(s.weights[r * s.stride + c]));
  float best = rounded_scale(type, static_cast<double>(largest) / 448);
  if (!(best > 0)) return 1;  // zeros, or so small that no scale holds them
  if (search == ScaleSearch::none) return best;
  double least = error_at(s, best);
  for (int step = 1; step < 8 && least > 0; ++step) {
    const float scale = rounded_scale(type, static_cast<double>(largest) / 448 * std::exp2(step / 8.0));
    const double error = error_at(s, scale);
    if (error < least) least = error, best = scale;
  }
  return best;
}

void encode_fp8(const float* weights, int64_t rows, int64_t cols, const float* importance, ScaleSearch search,
                const MutableQuantRow& row) {
  for (int64_t begin = 0; begin < cols; begin += kBlock) {
    const Source source{weights + begin, rows, std::min(kBlock, cols - begin), cols, importance + begin};
    const float scale = find_scale(source, search, row.scale_type);
    store_scale(row.scale_type, row.scales, begin / kBlock, scale);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < source.cols; ++c)
        store_u8(row.codes + r * cols + begin + c, f32_to_e4m3(source.weights[r * cols + c] / scale));
  }
}

}  // namespace

FormatOps fp8_ops() { return {.decode = decode_fp8, .magnitude = magnitude_fp8, .dot = dot_fp8, .encode = encode_fp8}; }

}  // namespace quern::quant
