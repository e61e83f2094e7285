#include "kernels/linear/linear.h"

#include <cmath>

#include "kernels/kernel_test.h"

namespace quern {
namespace {

using namespace kernel_test;

struct Shape {
  int64_t tokens, k, rows;
};

// Inputs of one shape; the weight starts at an odd address and ends where its memory ends.
QuantFormat format_of(DType dtype) {
  return dtype == DType::f32 ? QuantFormat::f32 : dtype == DType::f16 ? QuantFormat::f16 : QuantFormat::bf16;
}

struct Inputs {
  Shape shape;
  DType dtype;
  std::vector<float> x;
  int64_t x_stride;
  std::vector<std::byte> bytes;
  QuantMatrix weight;

  Inputs(Shape s, DType type, uint64_t seed) : shape(s), dtype(type), x_stride(s.k + 5) {
    Random random(seed);
    x = random_floats(random, s.tokens * x_stride + 1);
    const std::vector<float> w = random_floats(random, s.rows * s.k);
    bytes.resize(w.size() * dtype_size(dtype) + 1);
    for (size_t i = 0; i < w.size(); ++i) {
      const uint16_t half = dtype == DType::bf16 ? f32_to_bf16(w[i]) : f32_to_f16(w[i]);
      if (dtype == DType::f32)
        std::memcpy(bytes.data() + 1 + 4 * i, &w[i], 4);
      else
        std::memcpy(bytes.data() + 1 + 2 * i, &half, 2);
    }
    weight = QuantMatrix::make(format_of(dtype), s.rows, s.k, {.codes = std::span<const std::byte>(bytes).subspan(1)}).value();
  }
  LinearArgs args(Guarded& out, int64_t first_token, int64_t tokens) const {
    return {.x = x.data() + 1 + first_token * x_stride,
            .tokens = tokens,
            .x_stride = x_stride,
            .weight = &weight,
            .out = out.row(first_token),
            .out_stride = out.stride()};
  }
};

std::vector<float> run(Isa isa, const Inputs& in) {
  Guarded out(in.shape.tokens, in.shape.rows);
  linear(isa, in.args(out, 0, in.shape.tokens), 0, in.shape.rows);
  EXPECT_TRUE(out.intact());
  return out.values();
}

const DType kDTypes[] = {DType::f32, DType::f16, DType::bf16};

TEST(Linear, MatchesExactSumsWithinRoundingOnOddShapes) {
  for (const Isa isa : versions())
    for (const DType dtype : kDTypes)
      for (const Shape s :
           {Shape{1, 1, 1}, {1, 7, 3}, {2, 8, 9}, {3, 15, 17}, {5, 67, 13}, {7, 130, 31}, {11, 257, 8}, {64, 33, 12}}) {
        SCOPED_TRACE(::testing::Message() << isa_name(isa) << " " << dtype_name(dtype) << " " << s.tokens << "x" << s.k << "x"
                                          << s.rows);
        const Inputs in(s, dtype, 17);
        const std::vector<float> got = run(isa, in);
        for (int64_t t = 0; t < s.tokens; ++t)
          for (int64_t n = 0; n < s.rows; ++n) {
            double exact = 0, magnitude = 0;
            for (int64_t k = 0; k < s.k; ++k) {
              const double product =
                  static_cast<double>(in.x[static_cast<size_t>(1 + t * in.x_stride + k)]) *
                  static_cast<double>(load_f32(dtype, in.bytes.data() + 1 + n * s.k * static_cast<int64_t>(dtype_size(dtype)), k));
              exact += product, magnitude += std::abs(product);
            }
            // A sum of k rounded products: at most k + 1 roundings touch any of them (Higham, section 3.1).
            ASSERT_NEAR(static_cast<double>(got[static_cast<size_t>(t * s.rows + n)]), exact,
                        static_cast<double>(s.k + 1) * kUnit * magnitude);
          }
      }
}

TEST(Linear, ATokenAloneHasTheBitsItHasAmongOthers) {
  for (const Isa isa : versions())
    for (const DType dtype : kDTypes)
      for (const Shape s : {Shape{23, 77, 29}, {140, 1031, 6}}) {  // the second takes more than one block of tokens
        const Inputs in(s, dtype, 3);
        Guarded out(s.tokens, s.rows);
        for (int64_t t = 0; t < s.tokens; ++t) linear(isa, in.args(out, t, 1), 0, s.rows);
        EXPECT_TRUE(same_bits(out.values(), run(isa, in))) << isa_name(isa) << " " << dtype_name(dtype);
      }
}

TEST(Linear, GroupsOfAnySizeHaveTheSameBits) {
  for (const Isa isa : versions())
    for (int64_t group = 2; group <= 9; ++group) {
      const Inputs in({37, 45, 21}, DType::bf16, 4);
      Guarded out(37, 21);
      for (int64_t t = 0; t < 37; t += group) linear(isa, in.args(out, t, std::min<int64_t>(group, 37 - t)), 0, 21);
      EXPECT_TRUE(same_bits(out.values(), run(isa, in))) << isa_name(isa) << " groups of " << group;
    }
}

TEST(Linear, SplittingTheRowsChangesNoBit) {
  Random random(9);
  for (const Isa isa : versions())
    for (const DType dtype : kDTypes)
      for (const int64_t tokens : {1, 2, 3, 4, 10}) {
        const Inputs in({tokens, 61, 43}, dtype, 5);
        Guarded out(tokens, 43);
        in_random_ranges(random, 43, [&](int64_t begin, int64_t end) { linear(isa, in.args(out, 0, tokens), begin, end); });
        EXPECT_TRUE(same_bits(out.values(), run(isa, in))) << isa_name(isa) << " " << tokens << " tokens";
      }
}

TEST(Linear, DecodesBlockFormatsAndMultipliesThemAsF32) {
  Random random(21);
  for (const QuantFormatInfo& info : quant_formats()) {
    const int64_t rows = 19, k = info.block_elements == 256 ? 512 : 384, tokens = 6;
    const std::vector<float> w = random_floats(random, rows * k), x = random_floats(random, tokens * k);
    const QuantBytes bytes = encode(info.format, rows, k, w, {.search = ScaleSearch::none}).value();
    const QuantMatrix coded = QuantMatrix::make(info.format, rows, k, bytes.parts()).value();
    std::vector<float> decoded(w.size());
    for (int64_t r = 0; r < rows; ++r) coded.decode_row(r, decoded.data() + r * k);
    const QuantMatrix plain = QuantMatrix::make(QuantFormat::f32, rows, k, {.codes = std::as_bytes(std::span(decoded))}).value();
    for (const Isa isa : versions()) {
      Guarded out(tokens, rows), expected(tokens, rows);
      LinearArgs args{
          .x = x.data(), .tokens = tokens, .x_stride = k, .weight = &coded, .out = out.row(0), .out_stride = out.stride()};
      in_random_ranges(random, rows, [&](int64_t begin, int64_t end) { linear(isa, args, begin, end); });
      args.weight = &plain, args.out = expected.row(0);
      linear(isa, args, 0, rows);
      EXPECT_TRUE(same_bits(out.values(), expected.values())) << isa_name(isa) << " " << info.name;
    }
  }
}

TEST(Linear, WritesOnlyTheRowsOfItsRange) {
  for (const Isa isa : versions()) {
    const Inputs in({6, 19, 30}, DType::bf16, 6);
    Guarded out(6, 30);
    linear(isa, in.args(out, 0, 6), 11, 18);
    const std::vector<float> got = out.values();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i] != kGuard, i % 30 >= 11 && i % 30 < 18) << isa_name(isa) << " " << i;
    EXPECT_TRUE(out.intact());
  }
}

TEST(Linear, NoTokensAndNoRowsWriteNothing) {
  for (const Isa isa : versions()) {
    const Inputs in({4, 16, 8}, DType::f32, 7);
    Guarded out(4, 8);
    linear(isa, in.args(out, 0, 0), 0, 8);
    linear(isa, in.args(out, 0, 4), 5, 5);
    for (const float value : out.values()) EXPECT_EQ(value, kGuard);
  }
}

}  // namespace
}  // namespace quern
