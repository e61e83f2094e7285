#include "base/digest.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

TEST(Digest, TheStandardsExamples) {  // FIPS 180-2, appendix B
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, InParts) {
  Digest digest(Digest::Kind::sha1);
  for (const char* part : {"a", "", "bc"}) digest.add(part);
  EXPECT_EQ(digest.hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");  // FIPS 180-1, appendix A
}

}  // namespace
}  // namespace quern
