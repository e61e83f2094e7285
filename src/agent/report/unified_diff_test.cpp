#include "agent/report/unified_diff.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "agent/temporary_folder_test.h"
#include "base/file.h"
#include "base/random.h"

namespace quern {
namespace {

// What `diff -d -u` prints for the two, below its two lines of names.
std::string from_diff(const TemporaryFolder& top, const std::string& before, const std::string& after) {
  const auto a = top.path() / "a", b = top.path() / "b";
  EXPECT_TRUE(write_file(a, before) && write_file(b, after));
  std::FILE* pipe = ::popen(("LC_ALL=C diff -d -u " + a.string() + " " + b.string()).c_str(), "r");
  std::string text;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  ::pclose(pipe);
  for (int line = 0; line < 2 && !text.empty(); ++line) text.erase(0, text.find('\n') + 1);
  return text;
}

int64_t count_lines(const std::string& text, char mark) {
  int64_t count = text.starts_with(mark);
  for (size_t at = 0; (at = text.find(std::string("\n") + mark, at)) != std::string::npos; ++at) ++count;
  return count;
}

// `before` with the hunks carried out, which must fit it to the letter; "does not apply" where they do not.
std::string applied(const TemporaryFolder& top, const std::string& before, const std::string& hunks) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < before.size();) {
    const size_t end =
        std::min(before.size(), before.find('\n', at) == std::string::npos ? before.size() : before.find('\n', at) + 1);
    lines.push_back(before.substr(at, end - at));
    at = end;
  }
  std::string out;
  size_t line = 0;
  for (size_t at = 0; at < hunks.size();) {
    const size_t end = hunks.find('\n', at) + 1;
    std::string text = hunks.substr(at, end - at);
    at = end;
    if (text.starts_with("@@")) {
      int from = 0, count = 1;
      if (std::sscanf(text.c_str(), "@@ -%d,%d", &from, &count) < 1) return "does not apply";
      const auto start = static_cast<size_t>(count == 0 ? from : from - 1);
      while (line < start && line < lines.size()) out += lines[line++];
      continue;
    }
    if (hunks.compare(at, 2, "\\ ") == 0) {
      text.pop_back();
      at = hunks.find('\n', at) + 1;
    }
    if (text[0] == '+') {
      out += text.substr(1);
      continue;
    }
    if (line >= lines.size() || lines[line] != text.substr(1)) return "does not apply";
    if (text[0] == ' ') out += lines[line];
    ++line;
  }
  while (line < lines.size()) out += lines[line++];
  (void)top;
  return out;
}

TEST(UnifiedDiff, IsWhatDiffPrints) {
  const TemporaryFolder top;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "a\n"},
      {"a\n", ""},
      {"a", "a\n"},
      {"a\n", "a"},
      {"a\nb\nc\n", "a\nB\nc\n"},
      {"", "a"},
      {"a", "b"},
      {"\n\n", "\n"},
      {"a\nb\n", "b\na\n"},
      {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"},
      {"x\na\n", "a\nx\n"},
  };
  for (const auto& [before, after] : cases)
    EXPECT_EQ(unified_diff(before, after).text, from_diff(top, before, after)) << before << after;
  EXPECT_EQ(unified_diff("a\nb\n", "a\nb\n").text, "");
}

TEST(UnifiedDiff, IsAsShortAsDiffsAndAppliesOnRandomTexts) {
  const TemporaryFolder top;
  Random random(5);
  for (int round = 0; round < 120; ++round) {
    const auto letters = static_cast<uint64_t>(2 + round % 8);
    std::string before, after;
    for (uint64_t n = random.below(40); n > 0; --n) before += fmt::format("{}\n", random.below(letters));
    if (round % 2 == 0) {
      for (uint64_t n = random.below(40); n > 0; --n) after += fmt::format("{}\n", random.below(letters));
    } else {  // the same with a few edits
      after = before;
      for (int edit = 0; edit < 3; ++edit)
        after.insert(after.size() - after.size() / 2 * 2 / (edit + 1), fmt::format("{}\n", edit));
    }
    if (round % 5 == 0 && !after.empty()) after.pop_back();
    const UnifiedDiff diff = unified_diff(before, after);
    EXPECT_EQ(applied(top, before, diff.text), after) << before << "---\n" << after << "---\n" << diff.text;
    const std::string theirs = from_diff(top, before, after);
    EXPECT_EQ(applied(top, before, theirs), after);  // the test's own reading of a diff
    EXPECT_EQ(diff.added + diff.removed, count_lines(theirs, '+') + count_lines(theirs, '-')) << diff.text << "---\n" << theirs;
    EXPECT_EQ(diff.added, count_lines(diff.text, '+'));
  }
}

TEST(UnifiedDiff, StaysBoundedOnTextsWithNothingInCommon) {
  const TemporaryFolder top;
  std::string before = "same\n", after = "same\n";
  for (int i = 0; i < 20000; ++i) before += fmt::format("a{}\n", i), after += fmt::format("b{}\n", i);
  const UnifiedDiff diff = unified_diff(before, after);
  EXPECT_EQ(diff.removed, 20000);
  EXPECT_EQ(applied(top, before, diff.text), after);
}

}  // namespace
}  // namespace quern
