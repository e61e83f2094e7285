#include "base/compress.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"

namespace quern {
namespace {

std::vector<std::byte> random_bytes(Random& random, size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.below(7));
  return bytes;
}
std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }

TEST(Compress, GivesBackWhatItWasGiven) {
  Random random(1);
  for (const size_t size : {0u, 1u, 31u, 100000u}) {
    const auto bytes = random_bytes(random, size);
    const std::string frame = compress(bytes);
    std::vector<std::byte> back(size);
    ASSERT_TRUE(decompress(bytes_of(frame), back)) << size;
    EXPECT_EQ(back, bytes);
    if (size > 1000) {
      EXPECT_LT(frame.size(), size / 2);
    }
  }
}

TEST(Compress, RefusesWhatIsNotThatFrame) {
  Random random(2);
  const auto bytes = random_bytes(random, 5000);
  const std::string frame = compress(bytes);
  std::vector<std::byte> back(bytes.size()), longer(bytes.size() + 1), shorter(bytes.size() - 1);
  EXPECT_FALSE(decompress(bytes_of(frame), longer));
  EXPECT_FALSE(decompress(bytes_of(frame), shorter));
  EXPECT_FALSE(decompress(bytes_of(frame + "x"), back));
  EXPECT_FALSE(decompress({}, back));
  for (size_t cut = 0; cut < frame.size(); ++cut) EXPECT_FALSE(decompress(bytes_of(frame.substr(0, cut)), back)) << cut;
  int unnoticed = 0;
  for (size_t at = 0; at < frame.size(); ++at) {
    std::string damaged = frame;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    if (decompress(bytes_of(damaged), back) && back != bytes) ++unnoticed;
  }
  EXPECT_EQ(unnoticed, 0);
}

TEST(Planes, PutTheBytesOfNumbersSideBySide) {
  Random random(3);
  for (const size_t width : {1u, 2u, 4u})
    for (const size_t size : {0u, 1u, 3u, 4u, 1001u, 4096u}) {
      const auto bytes = random_bytes(random, size);
      std::vector<std::byte> planes(size), back(size);
      split_planes(bytes, width, planes);
      if (size >= 2 * width) {
        EXPECT_EQ(planes[1], bytes[width]);
      }
      join_planes(planes, width, back);
      EXPECT_EQ(back, bytes) << width << " " << size;
    }
}

}  // namespace
}  // namespace quern
