// short_conv: y[t][c] = silu(sum_j w[c][j] * u[t - K + 1 + j][c]), a causal depthwise convolution; u before the first token is history.
//   input [tokens, channels]   history [K - 1, channels], oldest first   weight [channels, K]   out [tokens, channels]
// Channels [begin, end) are computed.
#pragma once

#include <cstdint>

#include "base/cpu_features.h"

namespace quern {

struct ShortConvArgs {
  const float* input = nullptr;
  int64_t tokens = 0, channels = 0, kernel = 0;
  const float* history = nullptr;
  const float* weight = nullptr;
  float* out = nullptr;
};

void short_conv(Isa isa, const ShortConvArgs& args, int64_t begin, int64_t end);

namespace scalar {
void short_conv(const ShortConvArgs& args, int64_t begin, int64_t end);
}
namespace avx2 {
// Kernels of four taps; the dispatch sees to it. Channels past the last whole eight of all go to the scalar version.
void short_conv(const ShortConvArgs& args, int64_t begin, int64_t end);
}  // namespace avx2

}  // namespace quern
