// A weight matrix in any of the storage formats (format.h): checked view, decoding, dot product with int8 activations, encoding. Scalar
// code, the definition that fast kernels are tested against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/activations.h"
#include "quant/format.h"
#include "quant/row.h"

namespace quern {

// How the rows of a matrix follow one another: each by itself, or sixteen at a time (strips.h).
enum class RowOrder : uint8_t { rows, strips };

// A view [rows, cols], rows = outputs, over bytes that someone else owns. Any bit pattern is a value: scales that are infinite or NaN
// decode to infinities and NaNs. May be shared between threads.
class QuantMatrix {
 public:
  struct Parts {
    std::span<const std::byte> codes;
    std::span<const std::byte> scales = {};  // MLX, FP8
    std::span<const std::byte> biases = {};  // MLX affine
    ScaleType scale_type = ScaleType::none;  // none: the format's own
    RowOrder order = RowOrder::rows;
  };
  QuantMatrix() = default;  // no matrix
  // Errors: those of quant_layout, and mismatch (a part has not the bytes that the shape takes; the message names the part; strips of
  // a format that has none, or of rows that are no multiple of sixteen).
  static Result<QuantMatrix> make(QuantFormat format, int64_t rows, int64_t cols, const Parts& parts);

  QuantFormat format() const { return format_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  const QuantLayout& layout() const { return layout_; }
  size_t bytes() const { return parts_.codes.size() + parts_.scales.size() + parts_.biases.size(); }
  // Whether scales are of the type that the format's own tools write. Of matrices that have it, bytes can be copied between files.
  bool has_own_scale_type() const;
  explicit operator bool() const { return parts_.codes.data() != nullptr; }
  RowOrder order() const { return parts_.order; }
  QuantRow row(int64_t r) const;    // only where the order is rows
  QuantRow strip(int64_t s) const;  // rows [16 s, 16 s + 16), only where the order is strips
  // Row `r` by itself, whatever the order: layout().row_bytes of codes, and layout().scale_cols scales and biases.
  void copy_row(int64_t r, const MutableQuantRow& to) const;
  // Rows [first, first + count). strip() is only for ranges that begin with one.
  QuantMatrix row_range(int64_t first, int64_t count) const;

  // out [cols]. Bit for bit what the format's own implementation computes in f32; MLX affine: without MLX's roundings to bf16.
  void decode_row(int64_t r, float* out) const;
  // Sum over k of row[k] * x[k] for token `token` of x, whose cols must be this matrix's. Blocks are added from left to right in f32:
  // the error is at most (cols + 4) * 2^-24 * sum of magnitude * |x|.
  float dot(int64_t r, const Int8Activations& x, int64_t token) const;
  // out [cols]: |scale * code| + |offset| of each weight, which rounding errors of decoding and of dot products are in proportion to.
  void magnitude_row(int64_t r, float* out) const;

 private:
  int64_t rows_together() const;  // that lie or have their scales together
  template <class Use>
  auto with_row(int64_t r, Use use) const;

  QuantFormat format_ = QuantFormat::f32;
  int64_t rows_ = 0, cols_ = 0;
  // Of rows that lie or have their scales together (strips, FP8), those before the first that are not of this view.
  int64_t rows_before_ = 0;
  QuantLayout layout_;
  Parts parts_;
};

enum class ScaleSearch : uint8_t {
  none,  // scales from the largest magnitude or the range, as the format's reference encoder has them; MLX: its very bytes
  full,  // scales, mins and codes that minimise the squared error
};

struct EncodeOptions {
  // [cols]: what a squared error of that column costs, for instance the mean square of its activations; finite, not negative. Empty: all
  // alike. Where a block's importance is all zero, it counts as all alike.
  std::span<const float> importance = {};
  // [cols, cols]: how errors of earlier weights change what later ones of their row have to be (error_feedback.h), finite. Empty: not at all. Plain
  // formats and FP8 take none, nor do weights beyond 1e15.
  std::span<const float> feedback = {};
  ScaleSearch search = ScaleSearch::full;
  ScaleType scale_type = ScaleType::none;  // none: the format's own
};

// An encoded matrix that owns its bytes.
struct QuantBytes {
  std::vector<std::byte> codes, scales, biases;

  QuantMatrix::Parts parts(ScaleType scale_type = ScaleType::none, RowOrder order = RowOrder::rows) const {
    return {.codes = codes, .scales = scales, .biases = biases, .scale_type = scale_type, .order = order};
  }
};

// weights [rows, cols] row-major. Rows are independent of one another (FP8: strips of 128 rows), so that a large matrix may be encoded by
// ranges of rows, on as many threads, and the parts be put one after the other (with feedback, ranges
// that begin at multiples of kFeedbackRows).
// Scales saturate where their type is too narrow; weights beyond what remains are clipped (f16, bf16: become infinite).
// Errors: those of quant_layout, mismatch (importance has not cols values, weights not rows * cols, feedback not
// cols * cols), invalid_argument (a weight or an importance that is not finite, a negative importance; the message says where). f32, f16 and bf16
// take any weight.
Result<QuantBytes> encode(QuantFormat format, int64_t rows, int64_t cols, std::span<const float> weights,
                          const EncodeOptions& options = {});

}  // namespace quern
