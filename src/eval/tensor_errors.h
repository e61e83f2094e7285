// What storing a model otherwise did to its weights: the error of each matrix of the result, relative to the same matrix of the source.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "model/model.h"

namespace quern {

// One matrix, or the experts of a layer together. Errors are infinite where a weight of either model is not finite, never NaN.
struct TensorError {
  std::string name;  // published; "model.layers.3.mlp.experts.*.up_proj.weight"
  QuantFormat source = QuantFormat::bf16, result = QuantFormat::bf16;
  int64_t matrices = 0, weights = 0;
  int64_t bytes = 0;        // in the result
  double relative_rms = 0;  // sqrt(sum (result - source)^2 / sum source^2)
  double worst_matrix = 0;  // the largest of its matrices' own
};

struct TensorErrors {
  std::vector<TensorError> tensors;  // in the order of the forward pass
  double relative_rms = 0;           // of all of them together
  int64_t not_compared = 0;          // published matrices that only one of the models has, or both in different shapes
};

// What a model's matrices take.
struct MatrixTotals {
  int64_t weights = 0, bytes = 0;

  double bits_per_weight() const { return weights > 0 ? 8 * static_cast<double>(bytes) / static_cast<double>(weights) : 0; }
};
MatrixTotals matrix_totals(const Model& model);

// Matrices are compared as they are published, row by row, wherever a GGUF file has the rows of the DeltaNet's input projections. Rows in
// parallel; memory holds two rows a thread.
TensorErrors tensor_errors(const Model& source, const Model& result, ThreadPool& pool,
                           const std::function<void(double done, double total)>& on_progress);

}  // namespace quern
