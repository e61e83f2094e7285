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

// Weights and inputs that all formats are tried on.
class EncodeWithFeedback : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 40, kCols = 512;  // more rows than are encoded together; two of the largest blocks
  EncodeWithFeedback()
      : random_(17), inputs_(correlated_inputs(random_, 300, kCols)), weights_(normal_weights(random_, kRows * kCols)) {
    feedback_ = error_feedback(as_tensor(inputs_, kCols)).value();
  }
  static bool takes_feedback(const QuantFormatInfo& info) { return info.block_elements > 1 && info.scale_rows == 1; }
  EncodeOptions options() const { return {.importance = feedback_.importance, .feedback = feedback_.factors}; }
  std::vector<float> encoded(QuantFormat format, const EncodeOptions& options, int64_t first = 0) const {
    const auto weights = std::span(weights_).subspan(static_cast<size_t>(first * kCols));
    const QuantBytes bytes = encode(format, kRows - first, kCols, weights, options).value();
    return decode_all(QuantMatrix::make(format, kRows - first, kCols, bytes.parts()).value());
  }
  double cost(const std::vector<float>& result) const {
    double sum = 0;
    for (size_t row = 0; row < weights_.size(); row += kCols) {
      std::vector<double> errors;
      for (size_t i = row; i < row + kCols; ++i)
        errors.push_back(static_cast<double>(weights_[i]) - static_cast<double>(result[i]));
      sum += product_error(errors, inputs_);
    }
    return sum;
  }
  // What the definition says has to be rounded in place of weight k, given what those before it became; in doubles.
  float target(const float* weights, const float* result, int64_t k) const {
    double sum = static_cast<double>(weights[k]);
    for (int64_t j = 0; j < k; ++j)
      sum += (static_cast<double>(weights[j]) - static_cast<double>(result[j])) *
             static_cast<double>(feedback_.factors[static_cast<size_t>(j * kCols + k)]);
    return static_cast<float>(sum);
  }

  Random random_;
  std::vector<float> inputs_, weights_;
  ErrorFeedback feedback_;
};

TEST_F(EncodeWithFeedback, MissesProductsByLess) {
  for (const QuantFormatInfo& info : quant_formats()) {
    const std::vector<float> with = encoded(info.format, options());
    if (takes_feedback(info)) {
      EXPECT_LT(cost(with), 0.06 * cost(encoded(info.format, {}))) << info.name;
    } else {
      EXPECT_TRUE(same_bits(encoded(info.format, {.importance = feedback_.importance}), with)) << info.name;
    }
  }
}

// The definition, weight by weight: what a block misses of its targets is what its format misses of such numbers.
TEST_F(EncodeWithFeedback, RoundsWhatEarlierErrorsMadeOfEachWeight) {
  for (const QuantFormatInfo& info : quant_formats()) {
    if (!takes_feedback(info)) continue;
    const std::vector<float> result = encoded(info.format, options());
    const int64_t step = info.block_elements, row = kRows - 1;
    const float *w = weights_.data() + row * kCols, *q = result.data() + row * kCols;
    for (int64_t begin = 0; begin < kCols; begin += step) {
      std::vector<float> targets, alone(static_cast<size_t>(step));
      for (int64_t k = begin; k < begin + step; ++k) targets.push_back(target(w, q, k));
      const QuantBytes bytes = encode(info.format, 1, step, targets).value();
      QuantMatrix::make(info.format, 1, step, bytes.parts()).value().decode_row(0, alone.data());
      // Scales were chosen for somewhat other targets, and by importance.
      const auto got = std::span(q + begin, static_cast<size_t>(step));
      EXPECT_LE(squared_error(targets, got), 4 * squared_error(targets, alone)) << info.name << " " << begin;
    }
  }
}

// Of the rows beside it: a matrix may be encoded by ranges that begin at multiples of kFeedbackRows.
TEST_F(EncodeWithFeedback, RowsAreIndependent) {
  for (const QuantFormatInfo& info : quant_formats()) {
    if (info.scale_rows > 1) continue;
    const std::vector<float> all = encoded(info.format, options());
    EXPECT_TRUE(same_bits(std::span(all).subspan(kFeedbackRows * kCols), encoded(info.format, options(), kFeedbackRows)))
        << info.name;
    const std::vector<float> before(weights_.begin(), weights_.begin() + kCols);
    std::fill_n(weights_.begin(), kCols, 0.5f);  // the first row is another one
    const std::vector<float> others = encoded(info.format, options());
    EXPECT_TRUE(same_bits(std::span(all).subspan(kCols), std::span(others).subspan(kCols))) << info.name;
    std::copy(before.begin(), before.end(), weights_.begin());
  }
}

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
