#include "convert/tensor_encoder.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/check.h"
#include "quant/strips.h"

namespace quern {
namespace {

constexpr int64_t kWindow = int64_t{1} << 23;  // weights; at most 32 MiB of codes
constexpr int64_t kGrain = int64_t{1} << 15;   // weights that a task decodes and encodes: a millisecond and more with a search

// The first error in the order of rows, whichever thread comes first.
class FirstError {
 public:
  void set(int64_t row, Error error) {
    const std::lock_guard lock(mutex_);
    if (row_ >= 0 && row_ <= row) return;
    row_ = row, error_ = std::move(error);
  }
  Result<void> result() const {
    if (row_ < 0) return {};
    return tl::unexpected(error_);
  }

 private:
  std::mutex mutex_;
  int64_t row_ = -1;
  Error error_;
};

void copy_bytes(std::byte* to, const std::byte* from, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
}

// Whether its bytes are those of the format already.
bool is_copied(const SourceMatrix& matrix, QuantFormat format) {
  const QuantMatrix* stored = matrix.stored();
  return stored && stored->format() == format && stored->has_own_scale_type() && quant_format_info(format).scale_rows == 1;
}

// Rows [first, first + count) of one matrix.
Result<void> encode_rows(const SourceMatrix& matrix, QuantFormat format, int64_t first, int64_t count, const EncodeOptions& options,
                         const MutableQuantRow& to) {
  QUERN_ASSIGN(const QuantLayout layout, quant_layout(format, count, matrix.cols()));
  const bool biases = quant_format_info(format).has_biases;
  if (is_copied(matrix, format)) {
    const QuantMatrix* stored = matrix.stored();
    const int64_t scale_bytes = layout.scale_bytes / count;
    for (int64_t r = 0; r < count; ++r)
      stored->copy_row(first + r, {to.codes + r * layout.row_bytes, scale_bytes > 0 ? to.scales + r * scale_bytes : nullptr,
                                   biases ? to.biases + r * scale_bytes : nullptr});
    return {};
  }
  std::vector<float> weights(static_cast<size_t>(count * matrix.cols()));
  for (int64_t r = 0; r < count; ++r) matrix.decode_row(first + r, weights.data() + r * matrix.cols());
  QUERN_ASSIGN(const QuantBytes encoded, encode(format, count, matrix.cols(), weights, options));
  copy_bytes(to.codes, encoded.codes.data(), layout.code_bytes);
  copy_bytes(to.scales, encoded.scales.data(), layout.scale_bytes);
  if (biases) copy_bytes(to.biases, encoded.biases.data(), layout.scale_bytes);
  return {};
}

}  // namespace

Result<void> TensorEncoder::encode(const OutputTensor& tensor, Bytes write, Written written) {
  const int64_t cols = tensor.cols(), rows = tensor.weights() / cols;
  if (tensor.matrices.empty()) {
    QUERN_ASSIGN(const QuantBytes encoded, quern::encode(tensor.format, rows, cols, tensor.values));
    QUERN_TRY(write(encoded.codes));
    written(tensor.weights());
    return {};
  }
  starts_.assign(1, 0);
  for (const SourceMatrix& matrix : tensor.matrices) starts_.push_back(starts_.back() + matrix.rows());
  QUERN_CHECK(starts_.back() == rows, starts_.back(), rows);
  QUERN_ASSIGN(const QuantLayout layout, quant_layout(tensor.format, rows, cols));
  scales_.resize(static_cast<size_t>(layout.scale_bytes));
  biases_.resize(quant_format_info(tensor.format).has_biases ? scales_.size() : 0);
  const bool feedback = takes_feedback(tensor), stack = tensor.shape.size() == 3;
  int64_t most = std::max(kStripRows, kWindow / cols / kStripRows * kStripRows);
  if (feedback && stack) {  // whole matrices; some for each thread, because they take unlike times
    const int64_t own = tensor.shape[1];
    most = std::max(int64_t{pool_.size()} * 4, kWindow / cols / own) * own;
  }
  if (feedback) inputs_->reach(tensor.published.front());
  feedback_ = feedback && !stack ? inputs_->feedback(tensor.published.front()) : nullptr;
  if (feedback && !stack) ++(feedback_ ? fed_back_.with : fed_back_.without);
  for (int64_t row = 0; row < rows; row += most) {
    const Window window{tensor, row, std::min(most, rows - row)};
    codes_.resize(static_cast<size_t>(window.count * layout.row_bytes));
    QUERN_TRY(feedback ? encode_with_feedback(window) : encode_window(window));
    if (tensor.order == RowOrder::strips) pack_window(tensor, row, window.count);
    QUERN_TRY(write(codes_));
    written(window.count * cols);
  }
  QUERN_TRY(write(scales_));
  return write(biases_);
}

// Copied matrices have no errors, and plain ones none that are worth it.
bool TensorEncoder::takes_feedback(const OutputTensor& tensor) const {
  if (!inputs_ || !tensor.is_quantised() || quant_format_info(tensor.format).scale_rows > 1) return false;
  return std::none_of(tensor.matrices.begin(), tensor.matrices.end(),
                      [&](const SourceMatrix& matrix) { return is_copied(matrix, tensor.format); });
}

size_t TensorEncoder::matrix_at(int64_t row) const {
  return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), row) - starts_.begin() - 1);
}

Result<void> TensorEncoder::encode_window(const Window& window) {
  FirstError error;
  pool_.parallel_for(window.count, std::max<int64_t>(1, kGrain / window.tensor.cols()), [&](int64_t begin, int64_t end) {
    if (const auto done = encode_range(window, begin, end, {.search = search_}); !done) error.set(begin, done.error());
  });
  return error.result();
}

// A matrix of a stack is one thread's; of another tensor, whose feedback_ is there already, each has some rows.
Result<void> TensorEncoder::encode_with_feedback(const Window& window) {
  FirstError error;
  const auto encode = [&](const ErrorFeedback* feedback, int64_t begin, int64_t end) {
    EncodeOptions options{.search = search_};
    if (feedback) options.importance = feedback->importance, options.feedback = feedback->factors;
    if (const auto done = encode_range(window, begin, end, options); !done) error.set(begin, done.error());
  };
  if (window.tensor.shape.size() == 3) {
    const int64_t own = window.tensor.shape[1];
    pool_.parallel_for(window.count / own, 1, [&](int64_t first, int64_t last) {
      for (int64_t m = first; m < last; ++m) {
        const auto feedback = inputs_->expert_feedback(window.tensor.published[matrix_at(window.first + m * own)]);
        ++(feedback ? fed_back_.with : fed_back_.without);
        encode(feedback ? &*feedback : nullptr, m * own, (m + 1) * own);
      }
    });
  } else {
    pool_.parallel_for(window.count, kFeedbackRows, [&](int64_t begin, int64_t end) { encode(feedback_, begin, end); });
  }
  return error.result();
}

// A range may pass from one matrix into the next.
Result<void> TensorEncoder::encode_range(const Window& window, int64_t begin, int64_t end, EncodeOptions options) {
  const OutputTensor& tensor = window.tensor;
  QUERN_ASSIGN(const QuantLayout row, quant_layout(tensor.format, 1, tensor.cols()));
  const bool by_statistics = statistics_ && options.importance.empty();
  while (begin < end) {
    const int64_t at = window.first + begin;
    const size_t matrix = matrix_at(at);
    const SourceMatrix& from = tensor.matrices[matrix];
    const int64_t own_row = at - starts_[matrix], part = std::min(end - begin, from.rows() - own_row);
    const MutableQuantRow to{codes_.data() + begin * row.row_bytes, scales_.data() + at * row.scale_bytes,
                             biases_.data() + (biases_.empty() ? 0 : at * row.scale_bytes)};
    if (by_statistics) options.importance = statistics_->importance(tensor.published[matrix]);
    if (const auto done = encode_rows(from, tensor.format, own_row, part, options, to); !done) {
      const bool stack = tensor.shape.size() == 3;
      const std::string expert = stack ? fmt::format(", expert {}", at / tensor.shape[1]) : "";
      return fail(done.error().code, "{}{}, rows from {}: {}", tensor.name, expert, stack ? at % tensor.shape[1] : at,
                  done.error().message);
    }
    begin += part;
  }
  return {};
}

// The window's rows, codes_ and their scales and biases, to strips.
void TensorEncoder::pack_window(const OutputTensor& tensor, int64_t first, int64_t count) {
  const QuantLayout strip = quant_layout(tensor.format, kStripRows, tensor.cols()).value();
  const ScaleType type = quant_format_info(tensor.format).scale_type;
  packed_.resize(codes_.size());
  pool_.parallel_for(
      count / kStripRows, std::max<int64_t>(1, kGrain / kStripRows / tensor.cols()), [&](int64_t begin, int64_t end) {
        std::vector<std::byte> scales(static_cast<size_t>(strip.scale_bytes)), biases(biases_.empty() ? 0 : scales.size());
        for (int64_t s = begin; s < end; ++s) {
          std::byte* const own_scales = scales_.data() + (first / kStripRows + s) * strip.scale_bytes;
          std::byte* const own_biases = biases_.empty() ? nullptr : biases_.data() + (first / kStripRows + s) * strip.scale_bytes;
          to_strip(tensor.format, tensor.cols(), {codes_.data() + s * strip.code_bytes, own_scales, own_biases, type},
                   {packed_.data() + s * strip.code_bytes, scales.data(), biases.empty() ? nullptr : biases.data(), type});
          copy_bytes(own_scales, scales.data(), strip.scale_bytes);
          if (own_biases) copy_bytes(own_biases, biases.data(), strip.scale_bytes);
        }
      });
  codes_.swap(packed_);
}

}  // namespace quern
