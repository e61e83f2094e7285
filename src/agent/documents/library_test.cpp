#include "agent/documents/library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/temporary_folder_test.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class LibraryTest : public testing::Test {
 protected:
  void write(const std::string& path, std::string_view text) {
    fs::create_directories((root() / path).parent_path());
    ASSERT_TRUE(write_file(root() / path, text));
  }
  fs::path root() const { return folder_.path() / "docs"; }
  Library open(LibraryOptions options = {}) const {
    auto library = Library::open({root()}, options);
    EXPECT_TRUE(library) << library.error().message;
    return std::move(*library);
  }
  static std::vector<std::string> names(const Library& library) {
    std::vector<std::string> out;
    for (const LibraryEntry& entry : library.entries()) out.push_back(entry.name);
    return out;
  }

  TemporaryFolder folder_;
};

TEST_F(LibraryTest, WalksWhatIsNeitherHiddenNorIgnored) {
  write("b.md", "b");
  write("a/c.txt", "c");
  write(".hidden/x.md", "x");
  write(".git/config", "x");
  write("out/y.md", "y");
  write("a/z.log", "z");
  write("a/keep.log", "k");
  write(".gitignore", "/out/\n*.log\n");
  write("a/.ignore", "!keep.log\n");
  const Library library = open();
  EXPECT_THAT(names(library), ElementsAre("a/c.txt", "a/keep.log", "b.md"));
  EXPECT_TRUE(library.notes().empty());
  EXPECT_EQ(names(open({.all = true})).size(), 9u);
  EXPECT_EQ(library.entries()[2].place, (root() / "b.md").string());
}

TEST_F(LibraryTest, LinksStayInside) {
  write("inside.md", "in");
  ASSERT_TRUE(write_file(folder_.path() / "secret.md", "out"));
  fs::create_symlink("inside.md", root() / "alias.md");
  fs::create_symlink("../secret.md", root() / "escape.md");
  fs::create_symlink("/etc", root() / "folder");
  fs::create_symlink("nowhere", root() / "broken.md");
  ASSERT_EQ(::mkfifo((root() / "pipe").c_str(), 0600), 0);
  const Library library = open();
  EXPECT_THAT(names(library), ElementsAre("alias.md", "inside.md"));
  EXPECT_THAT(library.notes(),
              ElementsAre(HasSubstr("escape.md: not a regular file in there"), HasSubstr("folder: not a regular")));
}

TEST_F(LibraryTest, ReadsTextAndSaysWhyNot) {
  write("a.md", "text\n");
  write("b.bin", std::string("\0\1\2\3", 4));
  write("c.html", "<p>page</p>");
  write("d.pdf", "%PDF-1.4 …");
  write("e.md", " \n");
  write("f.md", "gr\xFFin and more of it, so that it is text");
  write("g.md", std::string(3 << 20, 'x'));
  const Library library =
      open({.max_file = 2 << 20, .pdf_text = [](const std::string&) -> Result<std::string> { return "one\n\ftwo\n\f"; }});
  EXPECT_THAT(library.notes(), ElementsAre(HasSubstr("g.md: 3 MiB, larger than 2 MiB")));
  std::vector<ReadFile> files;
  for (const LibraryEntry& entry : library.entries()) files.push_back(library.read(entry));
  ASSERT_EQ(files.size(), 6u);
  EXPECT_EQ(files[0].document->content.text, "text\n");
  EXPECT_THAT(files[1].note, HasSubstr("b.bin: not text"));
  EXPECT_FALSE(files[1].document);
  EXPECT_EQ(files[2].document->content.text, "page\n");
  EXPECT_EQ(files[3].document->content.line_at(4), 2);
  EXPECT_THAT(files[4].note, HasSubstr("no text in it"));
  EXPECT_THAT(files[5].note, HasSubstr("1 bytes are not UTF-8"));
  EXPECT_TRUE(files[5].document);
  EXPECT_THAT(open().read(library.entries()[3]).note, HasSubstr("PDF is not read here"));
  fs::remove(root() / "a.md");
  EXPECT_THAT(library.read(library.entries()[0]).note, HasSubstr("cannot be read"));
}

TEST_F(LibraryTest, SeveralPlacesHaveNamesThatDiffer) {
  write("one/a.md", "1");
  write("two/one/a.md", "2");
  write("b.md", "3");
  const auto library = Library::open({root() / "one", root() / "two/one", root() / "b.md", root() / "one/a.md"}, {});
  ASSERT_TRUE(library);
  EXPECT_THAT(names(*library), ElementsAre("one/a.md", "one/a.md (2)", "b.md")) << "and a file that is named twice is there once";
  EXPECT_FALSE(Library::open({root() / "missing"}, {}));
  EXPECT_FALSE(Library::open({"/dev/null"}, {}));
}

TEST_F(LibraryTest, NamesArePrintable) {
  write("a\n\x1b[31m\xFF.md", "x");
  EXPECT_THAT(names(open()), ElementsAre("a??[31m\uFFFD.md"));
}

}  // namespace
}  // namespace quern
