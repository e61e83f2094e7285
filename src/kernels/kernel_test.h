// What the kernel tests share: seeded inputs, outputs between guard values at an odd offset, exact comparison. Included by tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/random.h"
#include "tensor/dtype.h"

namespace quern::kernel_test {

inline constexpr float kGuard = -12345.678f;
inline constexpr double kUnit = 0x1p-24;  // largest relative error of one f32 rounding

// Every instruction set this machine can run; scalar first.
inline std::vector<Isa> versions() {
  std::vector<Isa> all{Isa::scalar};
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::amx})
    if (cpu_supports(isa)) all.push_back(isa);
  return all;
}

inline std::vector<float> random_floats(Random& random, int64_t count, double low = -1, double high = 1) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(low + (high - low) * random.unit());
  return values;
}

// rows x cols floats with `gap` guard floats after each row and 16 around the whole, starting one float past any vector alignment.
// Starts full of guards: what a kernel did not write still is one.
class Guarded {
 public:
  Guarded(int64_t rows, int64_t cols, int64_t gap = 3)
      : rows_(rows), cols_(cols), stride_(cols + gap), all_(static_cast<size_t>(rows * stride_ + 33), kGuard) {}
  float* data() { return all_.data() + 17; }
  float* row(int64_t r) { return data() + r * stride_; }
  int64_t stride() const { return stride_; }
  void fill(const std::vector<float>& values) {
    for (int64_t r = 0; r < rows_; ++r) std::copy_n(values.begin() + r * cols_, cols_, row(r));
  }
  std::vector<float> values() {
    std::vector<float> out;
    for (int64_t r = 0; r < rows_; ++r) out.insert(out.end(), row(r), row(r) + cols_);
    return out;
  }
  // True while nothing but the rows' own elements was written.
  bool intact() const {
    for (int64_t i = 0; i < static_cast<int64_t>(all_.size()); ++i) {
      const int64_t at = i - 17;
      const bool inside = at >= 0 && at < rows_ * stride_ && at % stride_ < cols_;
      if (!inside && all_[static_cast<size_t>(i)] != kGuard) return false;
    }
    return true;
  }

 private:
  int64_t rows_, cols_, stride_;
  std::vector<float> all_;
};

// Equal in every bit.
inline ::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " values against " << b.size();
  for (size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], 4) != 0)
      return ::testing::AssertionFailure() << "element " << i << ": " << a[i] << " against " << b[i];
  return ::testing::AssertionSuccess();
}

// Cuts [0, count) into random ranges and calls task(begin, end) on them, last range first.
template <class Task>
void in_random_ranges(Random& random, int64_t count, Task task) {
  std::vector<int64_t> cuts{0, count};
  for (int i = 0; i < 4; ++i) cuts.push_back(random.between(0, count));
  std::sort(cuts.begin(), cuts.end());
  for (size_t i = cuts.size() - 1; i > 0; --i) task(cuts[i - 1], cuts[i]);
}

}  // namespace quern::kernel_test
