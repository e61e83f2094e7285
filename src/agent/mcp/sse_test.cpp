#include "agent/mcp/sse.h"

#include <gtest/gtest.h>

#include <vector>

namespace quern {
namespace {

std::vector<std::string> events_of(std::string_view stream, size_t part) {
  SseParser parser(1000);
  std::vector<std::string> events;
  for (size_t at = 0; at < stream.size(); at += part)
    EXPECT_TRUE(
        parser.feed(stream.substr(at, part), [&](const SseEvent& event) { events.push_back(event.type + "|" + event.data); }));
  return events;
}

TEST(Sse, ReadsEventsHoweverTheyArrive) {
  const std::string stream =
      "\xEF\xBB\xBF: a comment\n\nevent: add\ndata: 1\ndata:  2\r\n\r\ndata\n\nid: 7\revent: x\r\rdata:last\nunknown: y\n\ndata: never ends";
  const std::vector<std::string> expected{"add|1\n 2", "message|", "message|last"};
  for (size_t part = 1; part <= stream.size(); ++part) EXPECT_EQ(events_of(stream, part), expected) << part;
}

TEST(Sse, RemembersTheLastIdAndThePause) {
  SseParser parser(1000);
  const auto nothing = [](const SseEvent&) {};
  ASSERT_TRUE(parser.feed("id: 1\nretry: 250\ndata: x\n\nid: 2\ndata: half", nothing));
  EXPECT_EQ(parser.last_id(), "1");  // the second was not complete
  EXPECT_EQ(parser.retry_ms(), 250);
  parser.restart();
  std::vector<std::string> seen;
  ASSERT_TRUE(
      parser.feed("data: whole\n\nretry: -1\nretry: 1x\nid: a\x01"
                  "b\n\n",
                  [&](const SseEvent& e) { seen.push_back(e.data); }));
  EXPECT_EQ(seen, std::vector<std::string>{"whole"});
  EXPECT_EQ(parser.last_id(), "1");
  EXPECT_EQ(parser.retry_ms(), 250);
  ASSERT_TRUE(parser.feed("id\ndata\n\n", nothing));
  EXPECT_EQ(parser.last_id(), "");
}

TEST(Sse, BoundsAnEvent) {
  SseParser parser(1000);
  const auto nothing = [](const SseEvent&) {};
  EXPECT_TRUE(parser.feed("data: " + std::string(900, 'x') + "\n\n", nothing));
  EXPECT_TRUE(parser.feed("data: " + std::string(900, 'x'), nothing));
  EXPECT_FALSE(parser.feed(std::string(200, 'x'), nothing));
  parser.restart();
  EXPECT_TRUE(parser.feed("data: " + std::string(600, 'x') + "\n", nothing));
  EXPECT_FALSE(parser.feed("data: " + std::string(600, 'x') + "\n", nothing));
}

}  // namespace
}  // namespace quern
