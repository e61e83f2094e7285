// pdftotext may not be there: a script stands in for it, and the real one is tried where it is.
#include "agent/documents/pdf_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "agent/temporary_folder_test.h"
#include "base/file.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class PdfText : public testing::Test {
 protected:
  void program(std::string_view script) {
    fs::create_directories(folder_.path() / "bin");
    ASSERT_TRUE(write_file(folder_.path() / "bin" / "pdftotext", fmt::format("#!/bin/sh\n{}\n", script)));
    fs::permissions(folder_.path() / "bin" / "pdftotext", fs::perms::owner_all);
  }
  Result<std::string> read(const std::string& bytes, double seconds = 20) const {
    return pdf_text(bytes, {.temporary = folder_.path(),
                            .environment = {"PATH=" + (folder_.path() / "bin").string() + ":/usr/bin:/bin"},
                            .sandbox = SandboxPolicy::Mode::none,
                            .seconds = seconds,
                            .cancelled = {}});
  }
  // A page that says `text`.
  static std::string pdf(const std::string& text) {
    const std::string content = "BT /F1 12 Tf 20 50 Td (" + text + ") Tj ET";
    std::string out = "%PDF-1.4\n";
    std::vector<size_t> offsets;
    for (const std::string& object :
         {std::string("<</Type/Catalog/Pages 2 0 R>>"), std::string("<</Type/Pages/Kids[3 0 R]/Count 1>>"),
          std::string("<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 100]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"),
          fmt::format("<</Length {}>>stream\n{}\nendstream", content.size(), content),
          std::string("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")}) {
      offsets.push_back(out.size());
      out += fmt::format("{} 0 obj{}endobj\n", offsets.size(), object);
    }
    const size_t start = out.size();
    out += fmt::format("xref\n0 {}\n0000000000 65535 f \n", offsets.size() + 1);
    for (const size_t offset : offsets) out += fmt::format("{:010} 00000 n \n", offset);
    return out + fmt::format("trailer<</Size {}/Root 1 0 R>>\nstartxref\n{}\n%%EOF\n", offsets.size() + 1, start);
  }

  TemporaryFolder folder_;
};

TEST_F(PdfText, IsWhatTheProgramSays) {
  program("tail -c 4 \"$4\"; printf '\\f'");
  const auto text = read("%PDF-1.4 …text");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(*text, "text\f");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1) << "nothing is left behind";
}

TEST_F(PdfText, FailuresAreOneLine) {
  program("echo 'Syntax Error: no trailer' >&2; exit 1");
  EXPECT_THAT(read("x").error().message, HasSubstr("pdftotext cannot read it: Syntax Error: no trailer"));
  program("exec sleep 30");
  EXPECT_THAT(read("x", 0.2).error().message, HasSubstr("took longer"));
  program("yes 'a line that is long enough to come to something'");
  EXPECT_EQ(read("x").error().code, Errc::malformed);
}

TEST_F(PdfText, OfTheRealProgram) {
  const char* path = std::getenv("PATH");
  const auto text =
      pdf_text(pdf("The mill is closed in February."),
               {.temporary = folder_.path(), .environment = {fmt::format("PATH={}", path ? path : "/usr/bin")}, .cancelled = {}});
  if (!text && text.error().code == Errc::unsupported) GTEST_SKIP() << text.error().message;
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_THAT(*text, HasSubstr("The mill is closed in February.\n"));
  EXPECT_TRUE(text->ends_with('\f'));
}

}  // namespace
}  // namespace quern
