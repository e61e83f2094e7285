#include "kernels/short_conv/short_conv.h"

#include "kernels/activations/activations.h"

namespace quern {

void short_conv(Isa isa, const ShortConvArgs& args, int64_t begin, int64_t end) {
  if (isa != Isa::scalar && args.kernel == 4) return avx2::short_conv(args, begin, end);
  scalar::short_conv(args, begin, end);
}

void scalar::short_conv(const ShortConvArgs& a, int64_t begin, int64_t end) {
  const int64_t past = a.kernel - 1;
  for (int64_t t = 0; t < a.tokens; ++t) {
    float* out = a.out + t * a.channels;
    for (int64_t c = begin; c < end; ++c) out[c] = 0;
    for (int64_t j = 0; j < a.kernel; ++j) {
      const int64_t at = t - past + j;
      const float* u = at < 0 ? a.history + (past + at) * a.channels : a.input + at * a.channels;
      for (int64_t c = begin; c < end; ++c) out[c] += a.weight[c * a.kernel + j] * u[c];
    }
    for (int64_t c = begin; c < end; ++c) out[c] = silu(out[c]);
  }
}

}  // namespace quern
