#include "quant/error_feedback.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

namespace quern {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr int64_t kTile = 256;  // columns

// Sums of x_i x_j over the rows, in the lower triangle; columns in reverse, because the upper factor of a matrix is the lower one of the
// matrix seen from its other end. Tile by tile.
Eigen::MatrixXd reversed_moments(Tensor inputs, ThreadPool* pool) {
  const int64_t cols = inputs.cols, tiles = (cols + kTile - 1) / kTile;
  const Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>> x(inputs.data, inputs.rows, cols, Eigen::OuterStride<>(inputs.stride));
  Eigen::MatrixXd moments = Eigen::MatrixXd::Zero(cols, cols);
  const auto tile = [&](int64_t at) {
    const int64_t row = at / tiles * kTile, col = at % tiles * kTile;  // counted from the last column
    if (row < col) return;
    const int64_t height = std::min(kTile, cols - row), width = std::min(kTile, cols - col);
    const Eigen::MatrixXf product = x.middleCols(cols - row - height, height).transpose() * x.middleCols(cols - col - width, width);
    moments.block(row, col, height, width) = product.reverse().cast<double>();
  };
  if (!pool) {
    for (int64_t at = 0; at < tiles * tiles; ++at) tile(at);
  } else {
    pool->parallel_for(tiles * tiles, 1, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) tile(at);
    });
  }
  return moments;
}

}  // namespace

std::optional<ErrorFeedback> error_feedback(Tensor inputs, double damping, ThreadPool* pool) {
  const int64_t cols = inputs.cols;
  Eigen::MatrixXd moments = reversed_moments(inputs, pool);
  const double mean = moments.trace() / static_cast<double>(cols);
  if (!(mean > 0) || !std::isfinite(mean)) return std::nullopt;
  moments /= mean;
  moments.diagonal().array() += damping;
  const Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> in_place(moments);
  if (in_place.info() != Eigen::Success) return std::nullopt;

  ErrorFeedback feedback{.importance = std::vector<float>(static_cast<size_t>(cols)),
                         .factors = std::vector<float>(static_cast<size_t>(cols * cols))};
  for (int64_t k = 0; k < cols; ++k) {
    const int64_t column = cols - 1 - k;
    const double own = moments(column, column);
    feedback.importance[static_cast<size_t>(k)] = static_cast<float>(own * own);
    for (int64_t j = 0; j < k; ++j)
      feedback.factors[static_cast<size_t>(j * cols + k)] = static_cast<float>(moments(cols - 1 - j, column) / own);
  }
  return feedback;
}

}  // namespace quern
