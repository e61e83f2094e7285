// Tensor: a two-dimensional f32 view, [rows, cols] with a row stride, over memory that someone else owns. Activations are these;
// QuantMatrix (quant/) is the counterpart for what checkpoints store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/check.h"
#include "tensor/dtype.h"

namespace quern {

struct Tensor {
  float* data = nullptr;
  int64_t rows = 0, cols = 0;
  int64_t stride = 0;  // floats from one row to the next

  float* row(int64_t i) const { return data + i * stride; }
  Tensor row_range(int64_t begin, int64_t end) const {
    QUERN_CHECK(0 <= begin && begin <= end && end <= rows, begin, end, rows);
    return {data + begin * stride, end - begin, cols, stride};
  }
  Tensor col_range(int64_t begin, int64_t end) const {
    QUERN_CHECK(0 <= begin && begin <= end && end <= cols, begin, end, cols);
    return {data + begin, rows, end - begin, stride};
  }
};

// Owns floats for tensors, 64-byte aligned, zeroed. Grows only: made large enough once, it is not allocated again.
class Buffer {
 public:
  Buffer() = default;
  Tensor tensor(int64_t rows, int64_t cols);

 private:
  struct Free {
    void operator()(float* p) const;
  };
  std::unique_ptr<float[], Free> data_;
  int64_t capacity_ = 0;
};

}  // namespace quern
