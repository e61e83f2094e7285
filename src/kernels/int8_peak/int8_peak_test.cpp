#include "kernels/int8_peak/int8_peak.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

TEST(Int8Peak, IsMoreThanAnyProcessorWouldTakeAWeekFor) {
  ThreadPool pool(2);
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx}) {
    if (!cpu_supports(isa)) continue;
    EXPECT_GT(int8_peak(pool, isa), 1e6) << isa_name(isa);
  }
}

#if defined(__x86_64__)
// The loops make the products that they count: 1 x 3 in the first round, (1 ^ 3) x 3 in the next.
TEST(Int8Peak, LoopsMultiply) {
  constexpr int32_t kFirst = 3, kSecond = 6;
  if (cpu_supports(Isa::avx2)) {
    EXPECT_EQ(avx2::multiply_int8(2), 8 * 4 * 4 * (kFirst + kSecond));
  }
  if (cpu_supports(Isa::avx512)) {
    EXPECT_EQ(avx512::multiply_int8(2), 16 * 16 * 4 * (kFirst + kSecond));
  }
}
#endif

}  // namespace
}  // namespace quern
