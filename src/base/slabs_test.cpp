#include "base/slabs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <thread>

namespace quern {
namespace {

bool all_are(const std::byte* piece, size_t size, int value) {
  return std::all_of(piece, piece + size, [&](std::byte b) { return b == static_cast<std::byte>(value); });
}

TEST(Slabs, PiecesAreZerosAtLinesOfTheCacheAndApart) {
  for (const size_t size : {size_t{1}, size_t{64}, size_t{1000}, size_t{131072}, size_t{3} << 20}) {
    Slabs slabs(size);
    std::vector<Slabs::Piece> pieces;
    for (int i = 0; i < 40; ++i) {
      pieces.push_back(slabs.take());
      std::byte* const piece = pieces.back().get();
      EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % 64, 0U);
      EXPECT_TRUE(all_are(piece, size, 0));
      std::fill_n(piece, size, static_cast<std::byte>(i + 1));
    }
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(all_are(pieces[static_cast<size_t>(i)].get(), size, i + 1)) << size << ", " << i;
  }
}

TEST(Slabs, APieceThatWasDroppedIsTakenAgainAsZeros) {
  Slabs slabs(4096);
  const Slabs::Piece kept = slabs.take();
  Slabs::Piece dropped = slabs.take();
  std::byte* const where = dropped.get();
  std::fill_n(where, 4096, std::byte{7});
  dropped.reset();
  const Slabs::Piece again = slabs.take();
  EXPECT_EQ(again.get(), where);
  EXPECT_TRUE(all_are(where, 4096, 0));
}

TEST(Slabs, AnEmptySlabGoesBackToTheSystemAndOthersStay) {
  constexpr size_t kSize = size_t{512} << 10;  // four to a slab
  Slabs slabs(kSize);
  EXPECT_EQ(slabs.slabs(), 0U);
  std::vector<Slabs::Piece> pieces;
  for (int i = 0; i < 10; ++i) pieces.push_back(slabs.take());
  EXPECT_EQ(slabs.slabs(), 3U);
  pieces.resize(8);
  EXPECT_EQ(slabs.slabs(), 2U);
  pieces.erase(pieces.begin() + 1);  // there is room for one in the first
  pieces.push_back(slabs.take());
  EXPECT_EQ(slabs.slabs(), 2U);
  pieces.clear();
  EXPECT_EQ(slabs.slabs(), 0U);
}

TEST(Slabs, ThreadsTakeAndDropAtTheSameTime) {
  Slabs slabs(size_t{256} << 10);
  std::vector<std::thread> threads;
  for (int t = 1; t <= 4; ++t)
    threads.emplace_back([&slabs, t] {
      std::vector<Slabs::Piece> mine;
      for (int i = 0; i < 200; ++i) {
        mine.push_back(slabs.take());
        EXPECT_EQ(mine.back()[0], std::byte{0});
        mine.back()[0] = static_cast<std::byte>(t);
        if (i % 3 != 0) {
          EXPECT_EQ(mine.front()[0], static_cast<std::byte>(t));
          mine.erase(mine.begin());
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(slabs.slabs(), 0U);
}

}  // namespace
}  // namespace quern
