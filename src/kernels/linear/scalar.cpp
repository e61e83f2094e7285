#include "kernels/linear/linear.h"

namespace quern::scalar {

void linear(const PlainLinearArgs& a, int64_t begin, int64_t end) {
  for (int64_t n = begin; n < end; ++n) {
    const std::byte* row = a.weight + n * a.k * static_cast<int64_t>(dtype_size(a.dtype));
    for (int64_t t = 0; t < a.tokens; ++t) {
      float sum = 0;
      for (int64_t k = 0; k < a.k; ++k) sum += a.x[t * a.x_stride + k] * load_f32(a.dtype, row, k);
      a.out[t * a.out_stride + n] = sum;
    }
  }
}

}  // namespace quern::scalar
