#include "tensor/tensor.h"

#include <cstdlib>
#include <cstring>

#include "base/system_error.h"

namespace quern {

void Buffer::Free::operator()(float* p) const { std::free(p); }

Tensor Buffer::tensor(int64_t rows, int64_t cols) {
  const int64_t count = rows * cols;
  if (count > capacity_) {
    const size_t bytes = (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64;
    void* memory = std::aligned_alloc(64, bytes);
    if (memory == nullptr) throw SystemError(fmt::format("out of memory: {} bytes for activations", bytes));
    std::memset(memory, 0, bytes);
    data_.reset(static_cast<float*>(memory));
    capacity_ = count;
  }
  return {data_.get(), rows, cols, cols};
}

}  // namespace quern
