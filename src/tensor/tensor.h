// Tensor: a two-dimensional f32 view, [rows, cols] with a row stride, over memory that someone else owns. Activations are these;
// Weight is its counterpart for what checkpoints store.
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

// A matrix as the checkpoint stores it: [rows, cols] row-major, rows = outputs. The bytes live in a mapped file and have no alignment.
struct Weight {
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0;
  const std::byte* data = nullptr;

  size_t bytes() const { return static_cast<size_t>(rows) * static_cast<size_t>(cols) * dtype_size(dtype); }
  explicit operator bool() const { return data != nullptr; }
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
