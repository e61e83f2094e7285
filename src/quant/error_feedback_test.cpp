// Error feedback: that its factors are those of the cost, that codes are chosen by them, and that products then miss by less.
#include "quant/error_feedback.h"

#include <limits>

#include "quant/quant_test.h"

namespace quern {
namespace {

using namespace quant_test;

// Inputs [tokens, cols] whose columns go together, as activations do.
std::vector<float> correlated_inputs(Random& random, int64_t tokens, int64_t cols) {
  constexpr int64_t kHidden = 12;
  const std::vector<float> mix = normal_weights(random, kHidden * cols, 1), noise = normal_weights(random, tokens * cols, 0.3);
  std::vector<float> x = noise;
  for (int64_t t = 0; t < tokens; ++t) {
    const std::vector<float> hidden = normal_weights(random, kHidden, 1);
    for (int64_t h = 0; h < kHidden; ++h)
      for (int64_t c = 0; c < cols; ++c)
        x[static_cast<size_t>(t * cols + c)] += hidden[static_cast<size_t>(h)] * mix[static_cast<size_t>(h * cols + c)];
  }
  return x;
}

Tensor as_tensor(std::vector<float>& x, int64_t cols) { return {x.data(), static_cast<int64_t>(x.size()) / cols, cols, cols}; }

// Mean over tokens of the square of what a row of errors does to its product.
double product_error(std::span<const double> errors, const std::vector<float>& x) {
  const size_t cols = errors.size(), tokens = x.size() / cols;
  double sum = 0;
  for (size_t t = 0; t < tokens; ++t) {
    double product = 0;
    for (size_t c = 0; c < cols; ++c) product += errors[c] * static_cast<double>(x[t * cols + c]);
    sum += product * product;
  }
  return sum / static_cast<double>(tokens);
}

TEST(ErrorFeedback, FactorsAreThoseOfTheCost) {
  Random random(3);
  for (const int64_t cols : {1, 2, 7, 64, 300}) {
    std::vector<float> x = correlated_inputs(random, 400, cols);
    double mean_square = 0;  // over the diagonal
    for (const float value : x)
      mean_square += static_cast<double>(value) * static_cast<double>(value) / static_cast<double>(x.size());
    const auto feedback = error_feedback(as_tensor(x, cols), 0.05);
    ASSERT_TRUE(feedback);
    ThreadPool pool(3);
    EXPECT_TRUE(same_bits(error_feedback(as_tensor(x, cols), 0.05, &pool)->factors, feedback->factors));
    const std::vector<float> drawn = normal_weights(random, cols, 1);
    const std::vector<double> errors(drawn.begin(), drawn.end());
    double by_factors = 0, squares = 0;
    for (int64_t k = 0; k < cols; ++k) {
      double missed = errors[static_cast<size_t>(k)];
      for (int64_t j = 0; j < k; ++j)
        missed += errors[static_cast<size_t>(j)] * static_cast<double>(feedback->factors[static_cast<size_t>(j * cols + k)]);
      by_factors += static_cast<double>(feedback->importance[static_cast<size_t>(k)]) * missed * missed;
      squares += errors[static_cast<size_t>(k)] * errors[static_cast<size_t>(k)];
    }
    const double cost = product_error(errors, x) / mean_square + 0.05 * squares;
    EXPECT_NEAR(by_factors, cost, 1e-3 * cost) << cols;
  }
}

TEST(ErrorFeedback, OfInputsThatSayNothingIsAbsent) {
  std::vector<float> zeros(6 * 32), bad(6 * 32, 1.0f);
  EXPECT_FALSE(error_feedback(as_tensor(zeros, 32)));
  EXPECT_FALSE(error_feedback({zeros.data(), 0, 32, 32}));
  bad[40] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(error_feedback(as_tensor(bad, 32)));
  std::vector<float> one(32, 1.0f);  // fewer tokens than columns: damping makes up for it
  EXPECT_TRUE(error_feedback(as_tensor(one, 32)));
}

class EncodeWithFeedback : public ::testing::TestWithParam<QuantFormatInfo> {
 protected:
  static constexpr int64_t kRows = 40, kCols = 512;  // more rows than are encoded together
  void SetUp() override {
    Random random(17);
    inputs_ = correlated_inputs(random, 700, kCols);
    weights_ = normal_weights(random, kRows * kCols);
    feedback_ = error_feedback(as_tensor(inputs_, kCols)).value();
  }
  EncodeOptions options() const { return {.importance = feedback_.importance, .feedback = feedback_.factors}; }
  std::vector<float> encoded(const EncodeOptions& options) const {
    const QuantBytes bytes = encode(GetParam().format, kRows, kCols, weights_, options).value();
    return decode_all(QuantMatrix::make(GetParam().format, kRows, kCols, bytes.parts()).value());
  }
  double cost(const std::vector<float>& result) const {
    double sum = 0;
    for (int64_t r = 0; r < kRows; ++r) {
      std::vector<double> errors;
      for (size_t i = static_cast<size_t>(r * kCols); errors.size() < kCols; ++i)
        errors.push_back(static_cast<double>(weights_[i]) - static_cast<double>(result[i]));
      sum += product_error(errors, inputs_);
    }
    return sum;
  }
  std::vector<float> inputs_, weights_;
  ErrorFeedback feedback_;
};

TEST_P(EncodeWithFeedback, MissesProductsByLess) {
  const std::vector<float> alone = encoded({}), with = encoded(options());
  if (GetParam().block_elements == 1 || GetParam().scale_rows > 1) {  // takes no feedback
    EXPECT_TRUE(same_bits(encoded({.importance = feedback_.importance}), with));
  } else {
    EXPECT_LT(cost(with), 0.06 * cost(alone));
  }
}

// The definition, weight by weight in doubles: each block's scales are those of the encoder for what has to be rounded there; each code is
// among the nearest to that, where codes are chosen one after the other.
TEST_P(EncodeWithFeedback, RoundsWhatEarlierErrorsMadeOfEachWeight) {
  const int64_t step = GetParam().block_elements;
  if (step == 1 || GetParam().scale_rows > 1) GTEST_SKIP() << "takes no feedback";
  const std::vector<float> result = encoded(options());
  for (const int64_t row : {int64_t{0}, kRows - 1}) {
    const float* w = weights_.data() + row * kCols;
    const float* q = result.data() + row * kCols;
    for (int64_t begin = 0; begin < kCols; begin += step) {
      std::vector<float> targets, alone(static_cast<size_t>(step));
      for (int64_t k = begin; k < begin + step; ++k) {
        double target = static_cast<double>(w[k]);
        for (int64_t j = 0; j < k; ++j)
          target += (static_cast<double>(w[j]) - static_cast<double>(q[j])) *
                    static_cast<double>(feedback_.factors[static_cast<size_t>(j * kCols + k)]);
        targets.push_back(static_cast<float>(target));
      }
      double missed = 0, by_itself = 0;
      for (int64_t i = 0; i < step; ++i)
        missed += std::pow(static_cast<double>(targets[static_cast<size_t>(i)]) - static_cast<double>(q[begin + i]), 2);
      const QuantBytes bytes = encode(GetParam().format, 1, step, targets).value();
      QuantMatrix::make(GetParam().format, 1, step, bytes.parts()).value().decode_row(0, alone.data());
      by_itself = squared_error(targets, alone);
      // Scales were chosen for somewhat other targets, and by importance.
      EXPECT_LE(missed, 4 * by_itself) << row << " " << begin;
    }
  }
}

// Of the rows beside it: a matrix may be encoded by ranges that begin at multiples of kFeedbackRows.
TEST_P(EncodeWithFeedback, RowsAreIndependent) {
  if (GetParam().scale_rows > 1) GTEST_SKIP() << "rows share scales";
  const std::vector<float> all = encoded(options());
  const auto end = std::span(weights_).subspan(static_cast<size_t>(kFeedbackRows * kCols));
  const QuantBytes bytes = encode(GetParam().format, kRows - kFeedbackRows, kCols, end, options()).value();
  const std::vector<float> own =
      decode_all(QuantMatrix::make(GetParam().format, kRows - kFeedbackRows, kCols, bytes.parts()).value());
  EXPECT_TRUE(same_bits(std::span(all).subspan(static_cast<size_t>(kFeedbackRows * kCols)), own));
  std::fill_n(weights_.begin(), kCols, 0.5f);  // the first row is another one
  const std::vector<float> others = encoded(options());
  EXPECT_TRUE(same_bits(std::span(all).subspan(kCols), std::span(others).subspan(kCols)));
}

INSTANTIATE_TEST_SUITE_P(Formats, EncodeWithFeedback, ::testing::ValuesIn(quant_formats().begin(), quant_formats().end()),
                         [](const auto& param) {
                           std::string name(param.param.name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(EncodeWithFeedbackOf, FactorsOfAnotherSizeIsRefused) {
  const std::vector<float> weights(64), factors(32 * 32);
  const auto bytes = encode(QuantFormat::mlx_mxfp4, 1, 64, weights, {.feedback = factors});
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, Errc::mismatch);
}

// Sums of their errors would be infinite: they are encoded as they would be without.
TEST(EncodeWithFeedbackOf, HugeWeightsIsThatWithoutFeedback) {
  const std::vector<float> factors(64 * 64, 50.0f);
  for (const QuantFormatInfo& info : quant_formats()) {
    if (info.block_elements > 64) continue;
    for (const float size : {1e37f, 3e38f}) {
      std::vector<float> weights(2 * 64, size);
      for (size_t i = 0; i < weights.size(); i += 3) weights[i] = -size;
      const QuantBytes with = encode(info.format, 2, 64, weights, {.feedback = factors}).value(),
                       alone = encode(info.format, 2, 64, weights).value();
      EXPECT_TRUE(with.codes == alone.codes && with.scales == alone.scales && with.biases == alone.biases) << info.name;
    }
  }
}

}  // namespace
}  // namespace quern
