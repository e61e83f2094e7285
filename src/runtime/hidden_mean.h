// HiddenMean: the mean of hidden states that come a few rows at a time; in f64, in order, so that it does not depend on how many at a time.
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace quern {

class HiddenMean {
 public:
  void add(Tensor rows) {
    sum_.resize(static_cast<size_t>(rows.cols));
    for (int64_t t = 0; t < rows.rows; ++t)
      for (int64_t i = 0; i < rows.cols; ++i) sum_[static_cast<size_t>(i)] += static_cast<double>(rows.row(t)[i]);
    rows_ += rows.rows;
  }
  std::vector<float> mean() const {
    std::vector<float> mean;
    for (const double sum : sum_) mean.push_back(static_cast<float>(sum / static_cast<double>(rows_)));
    return mean;
  }

 private:
  std::vector<double> sum_;
  int64_t rows_ = 0;
};

}  // namespace quern
