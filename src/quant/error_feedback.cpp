#include "quant/error_feedback.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cmath>

namespace quern {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

std::optional<ErrorFeedback> error_feedback(Tensor inputs, double damping) {
  const int64_t cols = inputs.cols;
  Eigen::MatrixXd moments = Eigen::MatrixXd::Zero(cols, cols);
  {
    const Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>> x(inputs.data, inputs.rows, cols,
                                                                Eigen::OuterStride<>(inputs.stride));
    // Columns in reverse: the upper factor of a matrix is the lower one of the matrix seen from its other end.
    const Eigen::MatrixXf reversed = x.rowwise().reverse().transpose();
    Eigen::MatrixXf products = Eigen::MatrixXf::Zero(cols, cols);
    products.selfadjointView<Eigen::Lower>().rankUpdate(reversed);
    moments.triangularView<Eigen::Lower>() = products.cast<double>();
  }
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
