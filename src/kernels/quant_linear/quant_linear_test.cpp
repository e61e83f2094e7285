#include "kernels/quant_linear/quant_linear.h"

#include <limits>

#include "kernels/kernel_test.h"

namespace quern {
namespace {

using namespace kernel_test;

struct Shape {
  int64_t tokens, cols, rows;
};

// A matrix in one format, and activations in the order it wants.
struct Inputs {
  Shape shape;
  QuantBytes bytes;
  QuantMatrix weight;
  Int8Activations x, natural;

  Inputs(QuantFormat format, Shape s, uint64_t seed, double scale = 1) : shape(s) {
    Random random(seed);
    const std::vector<float> w = random_floats(random, s.rows * s.cols, -0.6 * scale, scale),
                             values = random_floats(random, s.tokens * s.cols, -2, 3);
    bytes = encode(format, s.rows, s.cols, w, {.search = ScaleSearch::none}).value();
    weight = QuantMatrix::make(format, s.rows, s.cols, bytes.parts()).value();
    quantise(values);
  }
  void quantise(const std::vector<float>& values) {
    x.resize(shape.tokens, shape.cols), natural.resize(shape.tokens, shape.cols);
    for (int64_t t = 0; t < shape.tokens; ++t) {
      x.quantize(t, values.data() + t * shape.cols, code_order(weight.format()));
      natural.quantize(t, values.data() + t * shape.cols);
    }
  }
  QuantLinearArgs args(Guarded& out, int64_t first_token, int64_t tokens) const {
    return {.x = &x,
            .first_token = first_token,
            .tokens = tokens,
            .weight = &weight,
            .out = out.row(first_token),
            .out_stride = out.stride()};
  }
  std::vector<float> dots() const {
    std::vector<float> out;
    for (int64_t t = 0; t < shape.tokens; ++t)
      for (int64_t r = 0; r < shape.rows; ++r) out.push_back(weight.dot(r, natural, t));
    return out;
  }
};

template <class Body>
void for_each_version(Body body) {
  for (const Isa isa : versions())
    for (const QuantFormatInfo& info : quant_formats()) {
      if (!has_quant_linear(isa, info.format)) continue;
      SCOPED_TRACE(::testing::Message() << isa_name(isa) << " " << info.name);
      body(isa, info);
    }
}

TEST(QuantLinear, IsTheScalarDotProductBitForBitOnRandomShapes) {
  Random random(5);
  for_each_version([&](Isa isa, const QuantFormatInfo& info) {
    for (int round = 0; round < 8; ++round) {
      const Shape s{random.between(1, 21), info.block_elements * random.between(1, 1500 / info.block_elements),
                    random.between(1, 40)};
      SCOPED_TRACE(::testing::Message() << s.tokens << "x" << s.cols << "x" << s.rows);
      const Inputs in(info.format, s, random.next());
      Guarded out(s.tokens, s.rows);
      quant_linear(isa, in.args(out, 0, s.tokens), 0, s.rows);
      ASSERT_TRUE(out.intact());
      ASSERT_TRUE(same_bits(out.values(), in.dots()));
    }
  });
}

TEST(QuantLinear, ManyTokensAndRangesOfRowsHaveTheBitsOfOne) {
  Random random(6);
  for_each_version([&](Isa isa, const QuantFormatInfo& info) {
    const Shape s{300, info.block_elements * (1024 / info.block_elements), 37};
    const Inputs in(info.format, s, 7);
    Guarded all(s.tokens, s.rows), parts(s.tokens, s.rows);
    quant_linear(isa, in.args(all, 0, s.tokens), 0, s.rows);
    for (int64_t t = 0; t < s.tokens;) {
      const int64_t count = std::min<int64_t>(random.between(1, 90), s.tokens - t);
      in_random_ranges(random, s.rows,
                       [&](int64_t begin, int64_t end) { quant_linear(isa, in.args(parts, t, count), begin, end); });
      t += count;
    }
    EXPECT_TRUE(all.intact() && parts.intact());
    EXPECT_TRUE(same_bits(parts.values(), all.values()));
  });
}

TEST(QuantLinear, ExtremeCodesAndScalesAddUpAsTheScalarSumsDo) {
  for_each_version([&](Isa isa, const QuantFormatInfo& info) {
    Random random(8);
    const int64_t cols = info.block_elements * (512 / info.block_elements);
    Inputs in(info.format, {9, cols, 16}, 9, 1e-30);
    std::vector<float> values = random_floats(random, 9 * cols, -1, 1);
    for (size_t i = 0; i < values.size(); ++i) {
      if (i % 3 == 0) values[i] = i % 2 == 0 ? 1.0f : -1.0f;  // codes of +-127
      if (i / 32 % 5 == 1) values[i] = 0;                     // whole blocks
      if (i / 32 % 5 == 2) values[i] *= 1e-38f;               // below what has a code
    }
    in.quantise(values);
    Guarded out(9, 16);
    quant_linear(isa, in.args(out, 0, 9), 0, 16);
    EXPECT_TRUE(same_bits(out.values(), in.dots()));
    // Every byte 0xFF and 0x00 where codes lie, as far as scales stay numbers.
    for (const unsigned fill : {0xFFU, 0x00U}) {
      const int64_t row_bytes = in.weight.layout().row_bytes;
      if (info.scale_type != ScaleType::none)
        for (int64_t i = 0; i < 16 * row_bytes; ++i) in.bytes.codes[static_cast<size_t>(i)] = static_cast<std::byte>(fill);
      quant_linear(isa, in.args(out, 0, 9), 0, 16);
      EXPECT_TRUE(same_bits(out.values(), in.dots())) << fill;
    }
  });
}

TEST(QuantLinear, ANonFiniteActivationOrScaleSpoilsItsOwnResultsOnly) {
  for_each_version([&](Isa isa, const QuantFormatInfo& info) {
    const int64_t cols = info.block_elements * (512 / info.block_elements);
    Inputs in(info.format, {3, cols, 17}, 11);
    Random random(12);
    std::vector<float> values = random_floats(random, 3 * cols);
    values[static_cast<size_t>(cols + 5)] = std::numeric_limits<float>::infinity();
    in.quantise(values);
    Guarded out(3, 17);
    quant_linear(isa, in.args(out, 0, 3), 0, 17);
    for (int64_t r = 0; r < 17; ++r) {
      EXPECT_EQ(out.row(0)[r], in.weight.dot(r, in.natural, 0));
      EXPECT_TRUE(std::isnan(out.row(1)[r])) << r;
      EXPECT_EQ(out.row(2)[r], in.weight.dot(r, in.natural, 2));
    }
  });
}

TEST(QuantizeActivations, IsTheScalarOneBitForBit) {
  Random random(13);
  for (const Isa isa : versions())
    for (const CodeOrder order : {CodeOrder::natural, CodeOrder::even_odd})
      for (const int64_t cols : {1, 31, 32, 33, 100, 256, 300}) {
        Int8Activations want, got;
        want.resize(2, cols), got.resize(2, cols);
        std::vector<float> values = random_floats(random, 2 * cols, -3, 3);
        values[0] = 3e38f;
        if (cols > 64) values[33] = std::numeric_limits<float>::quiet_NaN(), values[65] = -std::numeric_limits<float>::infinity();
        if (cols > 128)
          for (size_t i = 96; i < 128; ++i) values[i] = i % 2 == 0 ? 1e-37f : -1e-40f;
        for (int64_t t = 0; t < 2; ++t) {
          want.quantize(t, values.data() + t * cols, order);
          quantize_activations(isa, values.data() + t * cols, order, got, t);
          const Int8Row a = want.row(t), b = got.row(t);
          const int64_t blocks = want.blocks();
          EXPECT_EQ(std::memcmp(a.codes, b.codes, static_cast<size_t>(blocks * kActivationBlock)), 0)
              << isa_name(isa) << " " << cols;
          EXPECT_EQ(std::memcmp(a.sums, b.sums, static_cast<size_t>(blocks * 2 * 2)), 0) << isa_name(isa) << " " << cols;
          for (int64_t i = 0; i < blocks; ++i)
            EXPECT_TRUE(a.scales[i] == b.scales[i] || (std::isnan(a.scales[i]) && std::isnan(b.scales[i]))) << i;
        }
      }
}

}  // namespace
}  // namespace quern
