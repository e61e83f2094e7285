#include "text/assistant_stream.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

// The parts of `text`, fed in pieces of `step` bytes: "T[…]C[…]".
std::string parts_of(std::string_view text, size_t step, bool thinking) {
  std::string out;
  int last = -1;
  AssistantStream stream(thinking, [&](AssistantStream::Part part, std::string_view piece) {
    if (static_cast<int>(part) != last) out += std::string(last < 0 ? "" : "]") + "TCX"[static_cast<int>(part)] + "[";
    last = static_cast<int>(part);
    out += piece;
  });
  for (size_t at = 0; at < text.size(); at += step) stream.feed(text.substr(at, step));
  stream.finish();
  return out + (out.empty() ? "" : "]");
}

TEST(AssistantStream, TakesTurnsApartWhereverTheyAreCut) {
  for (size_t step = 1; step < 30; ++step) {
    EXPECT_EQ(parts_of("Hm < 3.\n</think>\n\nWell.\n<tool_call>\n{\"a\": 1}\n</tool_call>\nAnd <tool", step, true),
              "T[Hm < 3.\n]C[Well.\n]X[{\"a\": 1}\n]C[And <tool]");
    EXPECT_EQ(parts_of("<think>\nHm.\n</think>\nWell.", step, false), "T[Hm.\n]C[Well.]");
    EXPECT_EQ(parts_of("a </think> b <<tool_call>x", step, false), "C[a </think> b <]X[x]");
    EXPECT_EQ(parts_of("", step, false), "");
  }
}

}  // namespace
}  // namespace quern
