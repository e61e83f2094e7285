#include "agent/tools/text_tools.h"

#include <chrono>

#include "agent/tools/builtin_test.h"
#include "base/random.h"

namespace quern {
namespace {

using testing::HasSubstr;
using testing::Not;

using EditFile = BuiltinTest;

TEST_F(EditFile, ReplacesATextThatIsThereOnce) {
  put(root() / "a/b.txt", "one\ntwo\nthree\nfour\nfive\nsix\n");
  EXPECT_EQ(said("edit_file", R"({"path": "a/b.txt", "old_text": "three\nfo", "new_text": "3\n4\nfo"})"),
            "edited a/b.txt; it now reads:\n    1\tone\n    2\ttwo\n    3\t3\n    4\t4\n    5\tfour\n    6\tfive\n    7\tsix");
  EXPECT_EQ(text_of(root() / "a/b.txt"), "one\ntwo\n3\n4\nfour\nfive\nsix\n");
  EXPECT_EQ(said("edit_file", R"({"path": "a/b.txt", "old_text": "one\ntwo\n3\n4\nfour\nfive\nsix\n", "new_text": ""})"),
            "edited a/b.txt; it now reads empty");
  EXPECT_EQ(text_of(root() / "a/b.txt"), "");
}

TEST_F(EditFile, RefusesATextThatIsNotThereOrNotOnce) {
  put(root() / "a.txt", "x = 1\ny = 2\n  x = 1\n");
  EXPECT_EQ(refused("edit_file", R"({"path": "a.txt", "old_text": "x = 1", "new_text": "z"})"),
            "error: a.txt: old_text occurs 2 times, in lines 1, 3: give more of the text around it");
  EXPECT_EQ(refused("edit_file", R"({"path": "a.txt", "old_text": "y  =  2", "new_text": "z"})"),
            "error: a.txt: old_text does not occur; something like it, with other white space, begins in line 2");
  EXPECT_EQ(refused("edit_file", R"({"path": "a.txt", "old_text": "nothing like it", "new_text": "z"})"),
            "error: a.txt: old_text does not occur");
  EXPECT_THAT(refused("edit_file", R"({"path": "a.txt", "old_text": "", "new_text": "z"})"), HasSubstr("old_text is empty"));
  EXPECT_THAT(refused("edit_file", R"({"path": "a.txt", "new_text": "z"})"), HasSubstr("give either"));
  EXPECT_THAT(refused("edit_file", R"({"path": "a.txt", "old_text": "y", "from_line": 1, "new_text": "z"})"),
              HasSubstr("give either"));
  EXPECT_THAT(refused("edit_file", R"({"path": "a.txt", "old_text": "y", "new_text": "y"})"), HasSubstr("the same"));
  EXPECT_EQ(text_of(root() / "a.txt"), "x = 1\ny = 2\n  x = 1\n");
}

TEST_F(EditFile, ReplacesInsertsAndTakesOutLines) {
  const auto edit = [&](std::string_view before, std::string_view lines) {
    put(root() / "a.txt", before);
    said("edit_file", fmt::format(R"({{"path": "a.txt", {}}})", lines));
    return text_of(root() / "a.txt");
  };
  EXPECT_EQ(edit("1\n2\n3\n", R"("from_line": 2, "new_text": "two")"), "1\ntwo\n3\n");
  EXPECT_EQ(edit("1\n2\n3\n", R"("from_line": 2, "to_line": 3, "new_text": "a\nb\nc\n")"), "1\na\nb\nc\n");
  EXPECT_EQ(edit("1\n2\n3\n", R"("from_line": 1, "to_line": 0, "new_text": "0")"), "0\n1\n2\n3\n");
  EXPECT_EQ(edit("1\n2\n3\n", R"("from_line": 4, "to_line": 3, "new_text": "4")"), "1\n2\n3\n4\n");
  EXPECT_EQ(edit("1\n2", R"("from_line": 3, "to_line": 2, "new_text": "3")"), "1\n2\n3\n");
  EXPECT_EQ(edit("", R"("from_line": 1, "to_line": 0, "new_text": "1")"), "1\n");
  EXPECT_EQ(edit("1\n2\n3", R"("from_line": 3, "new_text": "")"), "1\n2\n");
  put(root() / "a.txt", "1\n2\n");
  EXPECT_EQ(refused("edit_file", R"({"path": "a.txt", "from_line": 4, "new_text": ""})"),
            "error: a.txt: from_line 4 is outside 1 to 3");
  EXPECT_EQ(refused("edit_file", R"({"path": "a.txt", "from_line": 2, "to_line": 9, "new_text": ""})"),
            "error: a.txt: to_line 9 is outside 1 to 2");
  EXPECT_EQ(refused("edit_file", R"({"path": "a.txt", "from_line": 9223372036854775807, "to_line": 0, "new_text": ""})"),
            "error: a.txt: from_line 9223372036854775807 is outside 1 to 3");
}

TEST_F(EditFile, KeepsTheLineEndsOfAFile) {
  put(root() / "dos.txt", "one\r\ntwo\r\nthree\r\n");
  said("edit_file", R"({"path": "dos.txt", "old_text": "one\ntwo", "new_text": "1\n2"})");
  said("edit_file", R"({"path": "dos.txt", "from_line": 3, "new_text": "3\n4"})");
  EXPECT_EQ(text_of(root() / "dos.txt"), "1\r\n2\r\n3\r\n4\r\n");
}

TEST_F(EditFile, StaysInsideAndLeavesOtherFilesAlone) {
  put(root() / "binary", std::string("a\0b", 3));
  put(root() / "latin", "caf\xE9");
  for (const char* path :
       {"../outside/secret.txt", "link.txt", "link/secret.txt", "/etc/passwd", "missing.txt", ".", "binary", "latin"})
    refused("edit_file", fmt::format(R"({{"path": "{}", "old_text": "a", "new_text": "b"}})", path));
  put(root() / "a.txt", "a");
  EXPECT_THAT(refused("edit_file", R"({"path": "a.txt", "old_text": "a", "new_text": "\u0000"})"), HasSubstr("zero"));
  put(root() / "large", std::string(kMostEditBytes + 1, 'x'));
  EXPECT_EQ(refused("edit_file", R"({"path": "large", "from_line": 1, "new_text": ""})"),
            "error: large: 8388609 bytes, more than 8388608");
}

TEST_F(EditFile, APreviewSaysTheSameAndChangesNothing) {
  put(root() / "a.txt", "one\ntwo\n");
  const Json arguments = parsed("edit_file", R"({"path": "a.txt", "old_text": "two", "new_text": "2"})");
  const ToolResult preview = tool("edit_file").preview(arguments, {});
  EXPECT_EQ(text_of(root() / "a.txt"), "one\ntwo\n");
  EXPECT_EQ(tool("edit_file").execute(arguments, {}).text, preview.text);
  EXPECT_TRUE(tool("edit_file").changes);
  EXPECT_FALSE(tool("edit_file").idempotent);
}

using ReadLines = BuiltinTest;

TEST_F(ReadLines, PagesThroughAFile) {
  std::string text;
  for (int i = 1; i <= 1000; ++i) text += fmt::format("line {}\n", i);
  put(root() / "a.txt", text);
  EXPECT_EQ(said("read_lines", R"({"path": "a.txt", "from_line": 999, "lines": 10})"),
            "a.txt, lines 999 to 1000 of 1000:\n  999\tline 999\n 1000\tline 1000");
  EXPECT_THAT(said("read_lines", R"({"path": "a.txt"})"), testing::EndsWith("  200\tline 200"));
  EXPECT_EQ(refused("read_lines", R"({"path": "a.txt", "from_line": 1001})"), "error: a.txt: from_line 1001: it has 1000 lines");
  put(root() / "empty", "");
  EXPECT_EQ(said("read_lines", R"({"path": "empty"})"), "empty is empty");
  EXPECT_FALSE(tool("read_lines").changes);
  EXPECT_EQ(refused("read_lines", R"({"path": "link.txt"})"), "error: outside the task's folder: link.txt");
}

TEST_F(ReadLines, BoundsWhatItShows) {
  put(root() / "wide", std::string(10'000, 'x') + "\nshort\n");
  const std::string wide = said("read_lines", R"({"path": "wide"})");
  EXPECT_THAT(wide, HasSubstr("xx (and 8000 bytes more)\n    2\tshort"));
  std::string text;
  for (int i = 0; i < 2000; ++i) text += std::string(1000, 'y') + "\n";
  put(root() / "long", text);
  const std::string many = said("read_lines", R"({"path": "long", "lines": 2000})");
  EXPECT_LT(many.size(), kMostShownBytes + 200);
  EXPECT_THAT(many, testing::EndsWith("and what follows did not fit)"));
}

using GrepFiles = BuiltinTest;

TEST_F(GrepFiles, FindsLinesByExpressionOrText) {
  put(root() / "a.txt", "alpha\nneedle one\nbeta\n");
  put(root() / "sub/b.md", "Needle two\r\nx.y\nxzy\n");
  put(root() / ".git/config", "needle\n");
  EXPECT_EQ(said("grep_files", R"({"pattern": "n.edle"})"), "a.txt:2: needle one");
  EXPECT_EQ(said("grep_files", R"({"pattern": "^needle \\w+$", "ignore_case": true})"),
            "a.txt:2: needle one\nsub/b.md:1: Needle two");
  EXPECT_EQ(said("grep_files", R"({"pattern": "x.y"})"), "sub/b.md:2: x.y\nsub/b.md:3: xzy");
  EXPECT_EQ(said("grep_files", R"({"pattern": "x.y", "literal": true})"), "sub/b.md:2: x.y");
  EXPECT_EQ(said("grep_files", R"({"pattern": "e", "files": "*.md"})"), "sub/b.md:1: Needle two");
  EXPECT_EQ(said("grep_files", R"({"pattern": "e", "files": "sub/*"})"), "sub/b.md:1: Needle two");
  EXPECT_EQ(said("grep_files", R"({"pattern": "alpha|two", "folder": "sub"})"), "sub/b.md:1: Needle two");
  EXPECT_EQ(said("grep_files", R"({"pattern": "secret"})"), "no line matches in 2 files");
  EXPECT_EQ(said("grep_files", R"({"pattern": "e", "most": 1})"), "a.txt:2: needle one\n(only the first 1 matches are shown)");
}

TEST_F(GrepFiles, ShowsLinesAround) {
  put(root() / "a.txt", "1\n2\n3 x\n4\n5\n6\n7\n8 x\n9 x\n10\n");
  EXPECT_EQ(said("grep_files", R"({"pattern": "x", "context": 1})"),
            "a.txt-2- 2\na.txt:3: 3 x\na.txt-4- 4\n--\na.txt-7- 7\na.txt:8: 8 x\na.txt:9: 9 x\na.txt-10- 10");
}

TEST_F(GrepFiles, SurvivesHostilePatternsAndFiles) {
  put(root() / "a.txt", std::string(5000, 'a') + "\n" + std::string(30, 'a') + "b\n");
  EXPECT_THAT(said("grep_files", R"({"pattern": "^(a+)+$", "files": "a.txt"})"), HasSubstr("a.txt:1: "));
  put(root() / "evil.txt", std::string(5000, 'a') + "!\n");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(said("grep_files", R"({"pattern": "^(a|aa)+$", "files": "evil.txt"})"),
              HasSubstr("(1 lines took the pattern too long"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_THAT(refused("grep_files", R"({"pattern": "a("})"),
              testing::StartsWith("error: the pattern: missing closing parenthesis"));
  EXPECT_THAT(refused("grep_files", R"({"pattern": ""})"), HasSubstr("empty"));
  EXPECT_THAT(refused("grep_files", R"({"pattern": "\\C"})"), HasSubstr("error: the pattern"));
  EXPECT_THAT(refused("grep_files", fmt::format(R"({{"pattern": "{}"}})", std::string(5000, '('))), HasSubstr("longer than 1000"));
  EXPECT_EQ(refused("grep_files", R"({"pattern": "a", "folder": "../outside"})"), "error: outside the task's folder: ../outside");
  EXPECT_EQ(refused("grep_files", R"({"pattern": "a", "folder": "link"})"), "error: outside the task's folder: link");
  put(root() / "b.bin", std::string("needle\0x", 8));
  put(root() / "latin.txt", "caf\xE9 needle\n");
  EXPECT_EQ(said("grep_files", R"({"pattern": "needle"})"), "latin.txt:1: caf\xEF\xBF\xBD needle");
}

TEST_F(GrepFiles, BoundsItsOutputAndStopsWhenCancelled) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::string(3000, 'z') + "\n";
  put(root() / "a.txt", text);
  const std::string many = said("grep_files", R"({"pattern": "z", "most": 1000})");
  EXPECT_LT(many.size(), kMostShownBytes + 1000);
  EXPECT_THAT(many, testing::EndsWith("(more did not fit)"));
  const CallContext cancelled{.cancelled = [] { return true; }, .on_output = {}};
  EXPECT_THAT(call("grep_files", R"({"pattern": "nothing"})", cancelled).text, HasSubstr("(interrupted)"));
}

TEST_F(GrepFiles, AnyBytesAsAPattern) {
  put(root() / "a.txt", "some text (with) [brackets] and \\ more\n");
  Random random(7);
  for (int i = 0; i < 300; ++i) {
    std::string pattern;
    for (int64_t length = random.between(1, 12); length > 0; --length)
      pattern += random.pick(std::string_view("()[]{}*+?.^$|\\abPQE0123<>=!:,-"));
    Json arguments = Json::object();
    arguments["pattern"] = pattern;
    const ToolResult result = tool("grep_files").execute(arguments, {});
    EXPECT_EQ(result.is_error, result.text.starts_with("error: ")) << pattern;
  }
}

}  // namespace
}  // namespace quern
