#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "quant/error_feedback.h"
#include "quant/families.h"
#include "quant/quant_matrix.h"

namespace quern {
namespace {

Result<void> check_finite(std::string_view name, std::span<const float> weights, int64_t cols) {
  for (size_t i = 0; i < weights.size(); ++i)
    if (!std::isfinite(weights[i]))
      return fail(Errc::invalid_argument, "{}: the weight in row {}, column {} is {}, expected a finite number", name,
                  static_cast<int64_t>(i) / cols, static_cast<int64_t>(i) % cols, weights[i]);
  return {};
}

// importance with blocks of zeros, or all of it where there is none, replaced by ones.
Result<std::vector<float>> complete_importance(const QuantFormatInfo& info, std::span<const float> importance, int64_t cols) {
  std::vector<float> complete(static_cast<size_t>(cols), 1.0f);
  if (importance.empty()) return complete;
  if (static_cast<int64_t>(importance.size()) != cols)
    return fail(Errc::mismatch, "{}: {} values of importance, expected {}", info.name, importance.size(), cols);
  for (size_t i = 0; i < importance.size(); ++i)
    if (!(importance[i] >= 0) || !std::isfinite(importance[i]))
      return fail(Errc::invalid_argument, "{}: the importance of column {} is {}, expected a finite number from 0", info.name, i,
                  importance[i]);
  for (int64_t begin = 0; begin < cols; begin += info.block_elements) {
    const auto block =
        importance.subspan(static_cast<size_t>(begin), static_cast<size_t>(std::min(info.block_elements, cols - begin)));
    if (std::any_of(block.begin(), block.end(), [](float w) { return w > 0; }))
      std::copy(block.begin(), block.end(), complete.begin() + begin);
  }
  return complete;
}

constexpr float kLargestWithFeedback = 1e15f;

// Where the parts of a block of the row begin.
MutableQuantRow at_block(const QuantFormatInfo& info, const MutableQuantRow& row, int64_t block) {
  const int64_t scale_at = block * scale_type_bytes(row.scale_type);
  return {.codes = row.codes + block * info.block_bytes,
          .scales = info.scale_type == ScaleType::none ? nullptr : row.scales + scale_at,
          .biases = info.has_biases ? row.biases + scale_at : nullptr,
          .scale_type = row.scale_type};
}

// Rows with error feedback, block by block: what comes from earlier blocks is summed up for kFeedbackRows at a time, as a product of matrices.
class FeedbackEncoder {
 public:
  FeedbackEncoder(QuantFormat format, int64_t cols, std::span<const float> importance, std::span<const float> factors,
                  ScaleSearch search)
      : info_(quant_format_info(format)),
        ops_(quant::format_ops(format)),
        importance_(importance),
        factors_(factors.data(), cols, cols),
        search_(search) {}

  // weights [rows.size(), cols]
  void encode(const float* weights, std::span<const MutableQuantRow> rows) {
    const auto count = static_cast<int64_t>(rows.size()), cols = factors_.cols(), step = info_.block_elements;
    RowMajor targets = Eigen::Map<const RowMajor>(weights, count, cols), errors(count, step);
    for (int64_t begin = 0; begin < cols; begin += step) {
      for (int64_t r = 0; r < count; ++r) {
        const MutableQuantRow to = at_block(info_, rows[static_cast<size_t>(r)], begin / step);
        encode_block(weights + r * cols + begin, &targets(r, begin), begin, to, &errors(r, 0));
      }
      const int64_t end = begin + step, rest = cols - end;
      if (rest > 0) targets.rightCols(rest).noalias() += errors * factors_.block(begin, end, step, rest);
    }
  }

 private:
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  // targets: the weights, with what comes from earlier blocks. Scales are chosen for the goals: what the block's weights would have to be to
  // undo the errors of earlier blocks, if nothing in it were rounded.
  void encode_block(const float* weights, const float* targets, int64_t begin, const MutableQuantRow& to, float* errors) {
    const int64_t count = info_.block_elements, cols = factors_.cols();
    const float* factors = factors_.data() + begin * cols + begin;
    goals_.assign(targets, targets + count);
    for (int64_t i = 0; i < count; ++i) {
      const float goal = goals_[static_cast<size_t>(i)];
      for (int64_t k = i + 1; k < count; ++k) goals_[static_cast<size_t>(k)] += (weights[i] - goal) * factors[i * cols + k];
    }
    ops_.encode(goals_.data(), 1, count, importance_.data() + begin, search_, to);
    ops_.encode_codes(weights, targets, factors, cols, to);
    ops_.decode({to.codes, to.scales, to.biases, to.scale_type}, count, errors);
    for (int64_t i = 0; i < count; ++i) errors[i] = weights[i] - errors[i];
  }

  const QuantFormatInfo& info_;
  quant::FormatOps ops_;
  std::span<const float> importance_;
  std::vector<float> goals_;
  Eigen::Map<const RowMajor> factors_;
  ScaleSearch search_;
};

}  // namespace

Result<QuantBytes> encode(QuantFormat format, int64_t rows, int64_t cols, std::span<const float> weights,
                          const EncodeOptions& options) {
  const QuantFormatInfo& info = quant_format_info(format);
  QUERN_ASSIGN(const QuantLayout layout, quant_layout(format, rows, cols, options.scale_type));
  if (static_cast<int64_t>(weights.size()) != rows * cols)
    return fail(Errc::mismatch, "{}: {} weights, expected {} x {}", info.name, weights.size(), rows, cols);
  QUERN_ASSIGN(const std::vector<float> importance, complete_importance(info, options.importance, cols));
  const bool plain = info.block_elements == 1;
  if (!plain) QUERN_TRY(check_finite(info.name, weights, cols));

  if (!options.feedback.empty() && static_cast<int64_t>(options.feedback.size()) != cols * cols)
    return fail(Errc::mismatch, "{}: {} factors of feedback, expected {} x {}", info.name, options.feedback.size(), cols, cols);

  QuantBytes bytes;
  bytes.codes.resize(static_cast<size_t>(layout.code_bytes));
  bytes.scales.resize(static_cast<size_t>(layout.scale_bytes));
  if (info.has_biases) bytes.biases.resize(bytes.scales.size());
  const ScaleType scale_type = options.scale_type == ScaleType::none ? info.scale_type : options.scale_type;
  std::vector<MutableQuantRow> places;  // of rows that share scales
  for (int64_t r = 0; r < rows; r += info.scale_rows) {
    const int64_t scale_at = r / info.scale_rows * layout.scale_cols * scale_type_bytes(scale_type);
    places.push_back({.codes = bytes.codes.data() + r * layout.row_bytes,
                      .scales = bytes.scales.data() + scale_at,
                      .biases = info.has_biases ? bytes.biases.data() + scale_at : nullptr,
                      .scale_type = scale_type});
  }
  const quant::FormatOps ops = quant::format_ops(format);
  // Weights beyond all reason would make sums of errors infinite.
  const bool feedback = !options.feedback.empty() && ops.encode_codes &&
                        std::all_of(weights.begin(), weights.end(), [](float w) { return std::abs(w) <= kLargestWithFeedback; });
  if (!feedback) {
    for (size_t i = 0; i < places.size(); ++i) {
      const int64_t row = static_cast<int64_t>(i) * info.scale_rows;
      ops.encode(weights.data() + row * cols, std::min(info.scale_rows, rows - row), cols, importance.data(), options.search,
                 places[i]);
    }
    return bytes;
  }
  FeedbackEncoder encoder(format, cols, importance, options.feedback, options.search);
  for (int64_t r = 0; r < rows; r += kFeedbackRows) {
    const auto count = static_cast<size_t>(std::min(kFeedbackRows, rows - r));
    encoder.encode(weights.data() + r * cols, std::span(places).subspan(static_cast<size_t>(r), count));
  }
  return bytes;
}

}  // namespace quern
