#include "kernels/gated_delta/gated_delta.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/kernel_test.h"
#include "kernels/rms_norm/rms_norm.h"

namespace quern {
namespace {

using namespace kernel_test;

struct Shape {
  int64_t tokens, k_heads, v_heads, k_dim, v_dim;
};
const Shape kShapes[] = {{67, 2, 6, 24, 80}, {9, 1, 3, 48, 32}, {5, 3, 3, 17, 48},
                         {1, 2, 4, 128, 16}, {33, 2, 2, 7, 19}, {3, 1, 2, 300, 16}};

std::string name(const Shape& s, Isa isa) {
  return fmt::format("{} {} tokens, heads {}/{}, dims {}/{}", isa_name(isa), s.tokens, s.k_heads, s.v_heads, s.k_dim, s.v_dim);
}

// One sequence's inputs, laid out as the model does (q | k | v in one row), and what a run of them leaves behind.
struct Inputs {
  Shape shape;
  int64_t stride;
  std::vector<float> qkv, g, beta, state;

  Inputs(Shape s, uint64_t seed) : shape(s), stride(2 * s.k_heads * s.k_dim + s.v_heads * s.v_dim + 1) {
    Random random(seed);
    qkv = random_floats(random, s.tokens * stride + 1);
    for (int64_t t = 0; t < s.tokens; ++t)
      for (int64_t h = 0; h < 2 * s.k_heads; ++h)
        l2_normalise(Isa::scalar, qkv.data() + t * stride + h * s.k_dim, s.k_dim,
                     h < s.k_heads ? 1.0f / std::sqrt(static_cast<float>(s.k_dim)) : 1.0f);
    g = random_floats(random, s.tokens * s.v_heads, 0, 1);
    beta = random_floats(random, s.tokens * s.v_heads, 0, 1);
    state = random_floats(random, s.v_heads * s.k_dim * s.v_dim);
  }
  GatedDeltaArgs args(int64_t first, int64_t tokens) const {
    GatedDeltaArgs a{
        .tokens = tokens, .k_heads = shape.k_heads, .v_heads = shape.v_heads, .k_dim = shape.k_dim, .v_dim = shape.v_dim};
    a.q = qkv.data() + first * stride, a.k = a.q + shape.k_heads * shape.k_dim, a.v = a.k + shape.k_heads * shape.k_dim,
    a.qkv_stride = stride;
    a.g = g.data() + first * shape.v_heads, a.beta = beta.data() + first * shape.v_heads, a.gate_stride = shape.v_heads;
    return a;
  }
};

struct Outputs {
  Guarded out, d, state;
  explicit Outputs(const Inputs& in)
      : out(in.shape.tokens, in.shape.v_heads * in.shape.v_dim, 5),
        d(in.shape.tokens, in.shape.v_heads * in.shape.v_dim, 2),
        state(1, static_cast<int64_t>(in.state.size())) {
    state.fill(in.state);
  }
  GatedDeltaArgs args(const Inputs& in, int64_t first, int64_t tokens) {
    GatedDeltaArgs a = in.args(first, tokens);
    a.state = state.data(), a.d = d.row(first), a.d_stride = d.stride(), a.out = out.row(first), a.out_stride = out.stride();
    return a;
  }
  void run(Isa isa, const Inputs& in, int64_t first, int64_t tokens) {
    const GatedDeltaArgs a = args(in, first, tokens);
    gated_delta(isa, a, 0, a.items());
  }
  void expect_same(Outputs& other) {
    EXPECT_TRUE(same_bits(out.values(), other.out.values()));
    EXPECT_TRUE(same_bits(d.values(), other.d.values()));
    EXPECT_TRUE(same_bits(state.values(), other.state.values()));
    EXPECT_TRUE(out.intact() && d.intact() && state.intact());
  }
};

// The definition in f64, one loop per symbol of the contract.
struct Exact {
  std::vector<double> state, out, d;
  explicit Exact(const Inputs& in) : state(in.state.begin(), in.state.end()) {
    const Shape& s = in.shape;
    const GatedDeltaArgs a = in.args(0, s.tokens);
    for (int64_t t = 0; t < s.tokens; ++t)
      for (int64_t h = 0; h < s.v_heads; ++h) {
        const float* q = a.q + t * in.stride + h / (s.v_heads / s.k_heads) * s.k_dim;
        const float* k = a.k + t * in.stride + h / (s.v_heads / s.k_heads) * s.k_dim;
        for (int64_t j = 0; j < s.v_dim; ++j) {
          double read = 0, o = 0;
          const int64_t first = j / GatedDeltaArgs::kStrip * GatedDeltaArgs::kStrip,
                        columns = std::min(GatedDeltaArgs::kStrip, s.v_dim - first);
          double* S = state.data() + (h * s.v_dim + first) * s.k_dim + (j - first);
          for (int64_t i = 0; i < s.k_dim; ++i)
            S[i * columns] *= static_cast<double>(a.g[t * s.v_heads + h]), read += S[i * columns] * static_cast<double>(k[i]);
          d.push_back((static_cast<double>(a.v[t * in.stride + h * s.v_dim + j]) - read) *
                      static_cast<double>(a.beta[t * s.v_heads + h]));
          for (int64_t i = 0; i < s.k_dim; ++i)
            S[i * columns] += static_cast<double>(k[i]) * d.back(), o += S[i * columns] * static_cast<double>(q[i]);
          out.push_back(o);
        }
      }
  }
};

// Keys are unit vectors and beta <= 1, so a step does not stretch errors; each adds at most k_dim + 4 roundings of values up to `size`.
void expect_close(const std::vector<float>& got, const std::vector<double>& want, const Shape& s, double size) {
  const double bound = kUnit * static_cast<double>((s.k_dim + 4) * (s.tokens + 1)) * size;
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(static_cast<double>(got[i]), want[i], bound) << i;
}

TEST(GatedDelta, ReproducesTheWorkedExampleOfTheSpecification) {
  const float root = std::sqrt(0.5f);
  const float k[] = {.6f, .8f, .8f, -.6f, 1, 0}, q[] = {root, 0, 0, root, .6f * root, .8f * root}, v[] = {1, 2, 3, -1, .5f, .25f};
  const float g[] = {.5f, .25f, .75f}, beta[] = {.5f, .25f, 1};
  const float want_out[] = {.212132034f, .424264069f, -.247487373f, .247487373f, .0636396103f, .254558441f};
  float state[4] = {}, out[6] = {};
  const GatedDeltaArgs a{.tokens = 3,
                         .k_heads = 1,
                         .v_heads = 1,
                         .k_dim = 2,
                         .v_dim = 2,
                         .q = q,
                         .k = k,
                         .v = v,
                         .qkv_stride = 2,
                         .g = g,
                         .beta = beta,
                         .gate_stride = 1,
                         .state = state,
                         .out = out,
                         .out_stride = 2};
  gated_delta(Isa::scalar, a, 0, a.items());
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(out[i], want_out[i], 3e-7f);
  const float want_state[] = {.5f, .25f, -.2625f, .2625f};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(state[i], want_state[i], 3e-7f);
}

TEST(GatedDelta, MatchesTheDefinitionOnOddShapes) {
  for (const Isa isa : versions())
    for (const Shape& s : kShapes) {
      SCOPED_TRACE(name(s, isa));
      const Inputs in(s, 17);
      const Exact want(in);
      Outputs got(in);
      got.run(isa, in, 0, s.tokens);
      const double size = std::sqrt(static_cast<double>(s.k_dim)) * 2;  // |S^T k| <= |S column|, entries up to one
      expect_close(got.out.values(), want.out, s, size);
      expect_close(got.d.values(), want.d, s, size);
      expect_close(got.state.values(), want.state, s, size);
      EXPECT_TRUE(got.out.intact() && got.d.intact() && got.state.intact());
    }
}

TEST(GatedDelta, CutsOfTheTokensChangeNoBit) {
  Random random(2);
  for (const Isa isa : versions())
    for (const Shape& s : kShapes) {
      SCOPED_TRACE(name(s, isa));
      const Inputs in(s, 5);
      Outputs whole(in), single(in), cut(in);
      whole.run(isa, in, 0, s.tokens);
      for (int64_t t = 0; t < s.tokens; ++t) single.run(isa, in, t, 1);
      const int64_t at = random.between(0, s.tokens);
      cut.run(isa, in, 0, at), cut.run(isa, in, at, s.tokens - at);
      whole.expect_same(single);
      whole.expect_same(cut);
    }
}

TEST(GatedDelta, RangesOfItemsChangeNoBit) {
  Random random(3);
  for (const Isa isa : versions())
    for (const Shape& s : kShapes) {
      SCOPED_TRACE(name(s, isa));
      const Inputs in(s, 6);
      Outputs whole(in), split(in);
      whole.run(isa, in, 0, s.tokens);
      const GatedDeltaArgs a = split.args(in, 0, s.tokens);
      in_random_ranges(random, a.items(), [&](int64_t begin, int64_t end) { gated_delta(isa, a, begin, end); });
      whole.expect_same(split);
    }
}

TEST(GatedDelta, ReplayOfTheLogRebuildsTheStateBitForBit) {
  for (const Isa isa : versions())
    for (const Shape& s : kShapes) {
      SCOPED_TRACE(name(s, isa));
      const Inputs in(s, 7);
      Outputs live(in), replayed(in);
      live.run(isa, in, 0, s.tokens);
      GatedDeltaArgs a = in.args(0, s.tokens);
      a.q = a.v = a.beta = nullptr;
      a.d = live.d.data(), a.d_stride = live.d.stride(), a.state = replayed.state.data();
      const std::vector<float> log = live.d.values();
      replay_delta(isa, a, 0, a.items());
      EXPECT_TRUE(same_bits(replayed.state.values(), live.state.values()));
      EXPECT_TRUE(same_bits(live.d.values(), log));
      EXPECT_TRUE(replayed.state.intact());
    }
}

TEST(GatedDelta, TheLogIsOptional) {
  for (const Isa isa : versions()) {
    const Inputs in(kShapes[0], 8);
    Outputs with(in), without(in);
    with.run(isa, in, 0, in.shape.tokens);
    GatedDeltaArgs a = without.args(in, 0, in.shape.tokens);
    a.d = nullptr;
    gated_delta(isa, a, 0, a.items());
    EXPECT_TRUE(same_bits(with.out.values(), without.out.values()));
    EXPECT_TRUE(same_bits(with.state.values(), without.state.values()));
  }
}

TEST(GatedDelta, NoTokensLeaveTheStateAlone) {
  for (const Isa isa : versions()) {
    const Inputs in(kShapes[1], 9);
    Outputs got(in);
    got.run(isa, in, 0, 0);
    EXPECT_TRUE(same_bits(got.state.values(), in.state));
  }
}

TEST(GatedDelta, FourThousandStepsDoNotDrift) {
  for (const Isa isa : versions()) {
    Inputs in({4096, 1, 1, 32, 16}, 10);
    for (float& g : in.g) g = 1 - (1 - g) * 0.01f;  // a long memory: errors of early steps would still be there
    const Exact want(in);
    Outputs got(in);
    got.run(isa, in, 0, 4096);
    const std::vector<float> state = got.state.values();
    for (size_t i = 0; i < state.size(); ++i)
      ASSERT_NEAR(static_cast<double>(state[i]), want.state[i], 1e-5) << isa_name(isa) << " " << i;
  }
}

}  // namespace
}  // namespace quern
