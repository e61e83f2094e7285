#include "kernels/quant_linear/quant_linear.h"

#include <limits>

#include "kernels/kernel_test.h"
#include "quant/quant_test.h"
#include "quant/strips.h"

namespace quern {
namespace {

using namespace kernel_test;

struct Shape {
  int64_t tokens, cols, rows;
};

// One way in which a matrix may be stored.
struct Stored {
  const QuantFormatInfo& info;
  RowOrder order;
};

// A matrix, and activations.
struct Inputs {
  Shape shape;
  QuantBytes bytes;
  QuantMatrix weight;
  Int8Activations even_odd, natural;

  // Strips: as many rows as there are whole ones, one at least.
  Inputs(const Stored& stored, Shape s, uint64_t seed, double scale = 1) : shape(s) {
    const QuantFormat format = stored.info.format;
    if (stored.order == RowOrder::strips) shape.rows = s.rows = std::max(s.rows / kStripRows, int64_t{1}) * kStripRows;
    Random random(seed);
    const std::vector<float> w = random_floats(random, s.rows * s.cols, -0.6 * scale, scale),
                             values = random_floats(random, s.tokens * s.cols, -2, 3);
    bytes = encode(format, s.rows, s.cols, w, {.search = ScaleSearch::none}).value();
    weight = QuantMatrix::make(format, s.rows, s.cols, bytes.parts()).value();
    if (stored.order == RowOrder::strips) {
      bytes = quant_test::in_strips(weight);
      weight = QuantMatrix::make(format, s.rows, s.cols, bytes.parts(ScaleType::none, RowOrder::strips)).value();
    }
    quantise(values);
  }
  void quantise(const std::vector<float>& values) {
    even_odd.resize(shape.tokens, shape.cols), natural.resize(shape.tokens, shape.cols);
    for (int64_t t = 0; t < shape.tokens; ++t) {
      even_odd.quantize(t, values.data() + t * shape.cols, CodeOrder::even_odd);
      natural.quantize(t, values.data() + t * shape.cols);
    }
  }
  // Rows [begin, end) times a run of tokens, in the form that the matrix wants.
  void multiply(Isa isa, Guarded& out, int64_t first_token, int64_t tokens, int64_t begin, int64_t end) const {
    const InputForm form = input_form(isa, weight);
    PackedTokens packed;
    if (is_tiles(form)) {
      packed.resize(shape.tokens, shape.cols);
      for (int64_t i = 0; i < token_tiles(tokens); ++i) {
        const TokenTile tile = token_tile(first_token, tokens, i);
        std::vector<Int8Row> rows;
        for (int64_t t = 0; t < tile.count; ++t) rows.push_back(natural.row(tile.first + t));
        packed.pack(form, tile, rows.data());
      }
    }
    quant_linear(isa,
                 {.x = is_tiles(form)                     ? nullptr
                       : form == InputForm::even_odd_rows ? &even_odd
                                                          : &natural,
                  .tiles = is_tiles(form) ? &packed : nullptr,
                  .first_token = first_token,
                  .tokens = tokens,
                  .weight = &weight,
                  .out = out.row(first_token),
                  .out_stride = out.stride()},
                 begin, end);
  }
  std::vector<float> dots() const {
    std::vector<float> out;
    for (int64_t t = 0; t < shape.tokens; ++t)
      for (int64_t r = 0; r < shape.rows; ++r) out.push_back(weight.dot(r, natural, t));
    return out;
  }
};

// All tokens at once, and each alone, which decoding has a way of its own for.
::testing::AssertionResult computes_its_dots(Isa isa, const Inputs& in) {
  const Shape& s = in.shape;
  Guarded all(s.tokens, s.rows), alone(s.tokens, s.rows);
  in.multiply(isa, all, 0, s.tokens, 0, s.rows);
  for (int64_t t = 0; t < s.tokens; ++t) in.multiply(isa, alone, t, 1, 0, s.rows);
  const std::vector<float> dots = in.dots();
  const auto same = [&](Guarded& got) {
    const std::vector<float> values = got.values();
    for (size_t i = 0; i < dots.size(); ++i)
      if (std::memcmp(&values[i], &dots[i], sizeof(float)) != 0 && !(std::isnan(values[i]) && std::isnan(dots[i]))) return false;
    return got.intact();
  };
  if (!same(all)) return ::testing::AssertionFailure() << "all tokens at once";
  if (!same(alone)) return ::testing::AssertionFailure() << "each token alone";
  return ::testing::AssertionSuccess();
}

template <class Body>
void for_each_version(Body body) {
  for (const Isa isa : versions())
    for (const QuantFormatInfo& info : quant_formats()) {
      if (!has_quant_linear(isa, info.format)) continue;
      for (const RowOrder order : {RowOrder::rows, RowOrder::strips}) {
        if (order == RowOrder::strips && !has_strips(info.format)) continue;
        SCOPED_TRACE(::testing::Message() << isa_name(isa) << " " << info.name << (order == RowOrder::strips ? " in strips" : ""));
        body(isa, Stored{info, order});
      }
    }
}

TEST(QuantLinear, IsTheScalarDotProductBitForBitOnRandomShapes) {
  Random random(5);
  for_each_version([&](Isa isa, const Stored& stored) {
    for (int round = 0; round < 8; ++round) {
      const Shape s{random.between(1, 21), stored.info.block_elements * random.between(1, 1500 / stored.info.block_elements),
                    random.between(1, 40)};
      SCOPED_TRACE(::testing::Message() << s.tokens << "x" << s.cols << "x" << s.rows);
      const Inputs in(stored, s, random.next());
      ASSERT_TRUE(computes_its_dots(isa, in));
    }
  });
}

TEST(QuantLinear, ManyTokensAndRangesOfRowsHaveTheBitsOfOne) {
  Random random(6);
  for_each_version([&](Isa isa, const Stored& stored) {
    const Inputs in(stored, {300, stored.info.block_elements * (1024 / stored.info.block_elements), 37}, 7);
    const Shape& s = in.shape;
    const int64_t unit = stored.order == RowOrder::strips ? kStripRows : 1;
    Guarded all(s.tokens, s.rows), parts(s.tokens, s.rows);
    in.multiply(isa, all, 0, s.tokens, 0, s.rows);
    for (int64_t t = 0; t < s.tokens;) {
      const int64_t count = std::min<int64_t>(random.between(1, 90), s.tokens - t);
      in_random_ranges(random, s.rows / unit,
                       [&](int64_t begin, int64_t end) { in.multiply(isa, parts, t, count, begin * unit, end * unit); });
      t += count;
    }
    EXPECT_TRUE(all.intact() && parts.intact());
    EXPECT_TRUE(same_bits(parts.values(), all.values()));
  });
}

TEST(QuantLinear, ExtremeCodesAndScalesAddUpAsTheScalarSumsDo) {
  for_each_version([&](Isa isa, const Stored& stored) {
    Random random(8);
    const int64_t cols = stored.info.block_elements * (512 / stored.info.block_elements);
    Inputs in(stored, {9, cols, 16}, 9, 1e-30);
    std::vector<float> values = random_floats(random, 9 * cols, -1, 1);
    for (size_t i = 0; i < values.size(); ++i) {
      if (i % 3 == 0) values[i] = i % 2 == 0 ? 1.0f : -1.0f;  // codes of +-127
      if (i / 32 % 5 == 1) values[i] = 0;                     // whole blocks
      if (i / 32 % 5 == 2) values[i] *= 1e-38f;               // below what has a code
    }
    in.quantise(values);
    EXPECT_TRUE(computes_its_dots(isa, in));
    // Every byte 0xFF and 0x00 where codes lie, as far as scales stay numbers.
    for (const unsigned fill : {0xFFU, 0x00U}) {
      const int64_t row_bytes = in.weight.layout().row_bytes;
      if (stored.info.scale_type != ScaleType::none)
        for (int64_t i = 0; i < 16 * row_bytes; ++i) in.bytes.codes[static_cast<size_t>(i)] = static_cast<std::byte>(fill);
      EXPECT_TRUE(computes_its_dots(isa, in)) << fill;
    }
    // The ends of the range of scales: the smallest, the largest, and in MXFP4 the one that is NaN.
    if (stored.info.scale_type != ScaleType::e8m0) return;
    for (const unsigned scale : {0U, 1U, 254U, 255U}) {
      in.bytes.scales[5] = static_cast<std::byte>(scale);
      EXPECT_TRUE(computes_its_dots(isa, in)) << scale;
    }
  });
}

TEST(QuantLinear, ANonFiniteActivationOrScaleSpoilsItsOwnResultsOnly) {
  for_each_version([&](Isa isa, const Stored& stored) {
    const int64_t cols = stored.info.block_elements * (512 / stored.info.block_elements);
    Inputs in(stored, {3, cols, 17}, 11);
    const int64_t rows = in.shape.rows;
    Random random(12);
    std::vector<float> values = random_floats(random, 3 * cols);
    values[static_cast<size_t>(cols + 5)] = std::numeric_limits<float>::infinity();
    in.quantise(values);
    Guarded out(3, rows);
    in.multiply(isa, out, 0, 3, 0, rows);
    for (int64_t r = 0; r < rows; ++r) {
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
