#include "kernels/short_conv/short_conv.h"

#include <cmath>
#include <tuple>

#include "kernels/kernel_test.h"

namespace quern {
namespace {

using namespace kernel_test;

struct Inputs {
  int64_t tokens, channels, kernel;
  std::vector<float> u, weight;  // u: the history's columns, then the tokens'

  Inputs(int64_t t, int64_t c, int64_t k, uint64_t seed) : tokens(t), channels(c), kernel(k) {
    Random random(seed);
    u = random_floats(random, (t + k - 1) * c, -2, 2);
    weight = random_floats(random, c * k);
  }
  ShortConvArgs args(int64_t first, int64_t count, float* out) const {
    return {.input = u.data() + (kernel - 1 + first) * channels,
            .tokens = count,
            .channels = channels,
            .kernel = kernel,
            .history = u.data() + first * channels,
            .weight = weight.data(),
            .out = out};
  }
};

TEST(ShortConv, MatchesTheFormulaOnOddShapes) {
  for (const auto& [tokens, channels, kernel] : {std::tuple<int64_t, int64_t, int64_t>{1, 5, 4},
                                                 {2, 9, 4},
                                                 {7, 33, 4},
                                                 {6, 3, 1},
                                                 {13, 8, 2},
                                                 {3, 17, 7},
                                                 {40, 16, 4},
                                                 {67, 13, 4}}) {
    const Inputs in(tokens, channels, kernel, 17);
    for (const Isa isa : versions()) {
      SCOPED_TRACE(isa_name(isa));
      Guarded out(tokens, channels, 0);
      short_conv(isa, in.args(0, tokens, out.data()), 0, channels);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t c = 0; c < channels; ++c) {
          double sum = 0, size = 0;
          for (int64_t j = 0; j < kernel; ++j) {
            const double product = static_cast<double>(in.weight[static_cast<size_t>(c * kernel + j)]) *
                                   static_cast<double>(in.u[static_cast<size_t>((t + j) * channels + c)]);
            sum += product, size += std::abs(product);
          }
          // silu's slope is at most 1.1.
          EXPECT_NEAR(static_cast<double>(out.row(t)[c]), sum / (1 + std::exp(-sum)),
                      1.1 * static_cast<double>(kernel + 8) * kUnit * size)
              << t << " " << c;
        }
      EXPECT_TRUE(out.intact());
    }
  }
}

TEST(ShortConv, CutsOfTokensAndChannelsChangeNoBit) {
  Random random(18);
  const Inputs in(11, 45, 4, 19);
  for (const Isa isa : versions()) {
    SCOPED_TRACE(isa_name(isa));
    Guarded whole(11, 45, 0), single(11, 45, 0), split(11, 45, 0);
    short_conv(isa, in.args(0, 11, whole.data()), 0, 45);
    for (int64_t t = 0; t < 11; ++t) short_conv(isa, in.args(t, 1, single.row(t)), 0, 45);
    in_random_ranges(random, 45, [&](int64_t begin, int64_t end) { short_conv(isa, in.args(0, 11, split.data()), begin, end); });
    EXPECT_TRUE(same_bits(single.values(), whole.values()));
    EXPECT_TRUE(same_bits(split.values(), whole.values()));
    EXPECT_TRUE(single.intact() && split.intact());
  }
}

TEST(ShortConv, NoTokensWriteNothing) {
  const Inputs in(1, 6, 4, 20);
  for (const Isa isa : versions()) {
    Guarded out(1, 6);
    short_conv(isa, in.args(0, 0, out.data()), 0, 6);
    for (const float value : out.values()) EXPECT_EQ(value, kGuard);
  }
}

}  // namespace
}  // namespace quern
