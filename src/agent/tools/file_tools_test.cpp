#include "agent/tools/file_tools.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "agent/temporary_folder_test.h"
#include "agent/tools/root_folder.h"
#include "base/file.h"
#include "base/random.h"
#include "eval/file_world.h"
#include "text/file_tools.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A root folder with a neighbour that no call may reach.
class FileTools : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(root());
    fs::create_directory(outside());
    put(outside() / "secret.txt", "secret");
    const auto added = add_file_tools(registry, root());
    ASSERT_TRUE(added) << added.error().message;
  }
  void TearDown() override {
    EXPECT_EQ(text_of(outside() / "secret.txt"), "secret");
    EXPECT_EQ(std::distance(fs::directory_iterator(outside()), fs::directory_iterator()), 1);
    for (const auto& entry : fs::recursive_directory_iterator(root()))
      EXPECT_FALSE(entry.path().filename().string().starts_with(".quern-")) << entry.path();
  }

  fs::path root() const { return top.path() / "root"; }
  fs::path outside() const { return top.path() / "outside"; }
  static void put(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string text_of(const fs::path& path) { return read_file(path).value_or("(none)"); }

  using Arguments = std::vector<std::pair<std::string, std::string>>;
  static Json object(const Arguments& arguments) {
    Json json = Json::object();
    for (const auto& [name, value] : arguments) json[name] = value;
    return json;
  }
  ToolResult call(std::string_view tool, const Arguments& arguments) { return registry.find(tool)->execute(object(arguments), {}); }
  std::string said(std::string_view tool, const Arguments& arguments) {
    const ToolResult result = call(tool, arguments);
    EXPECT_EQ(result.is_error, result.text.starts_with("error: ")) << result.text;
    return result.text;
  }

  TemporaryFolder top;
  ToolRegistry registry;
};

TEST_F(FileTools, OfferTheNineDefinitionsAndKnowWhichOnesChangeThings) {
  EXPECT_EQ(registry.definitions(), file_tools::definitions());
  for (const std::string& name : registry.names()) {
    EXPECT_EQ(registry.find(name)->changes, file_tools::changes_files(name)) << name;
    EXPECT_EQ(static_cast<bool>(registry.find(name)->preview), file_tools::changes_files(name)) << name;
  }
}

TEST_F(FileTools, DoWhatTheySay) {
  EXPECT_EQ(said("write_file", {{"path", "notes/a.txt"}, {"text", "käse"}}), "wrote notes/a.txt (4 characters)");
  EXPECT_EQ(said("append_file", {{"path", "notes/a.txt"}, {"text", "two"}}), "added a line to notes/a.txt");
  EXPECT_EQ(text_of(root() / "notes/a.txt"), "käse\ntwo\n");
  EXPECT_EQ(said("copy_file", {{"from", "notes/a.txt"}, {"to", "b/c/a.txt"}}), "copied notes/a.txt to b/c/a.txt");
  EXPECT_EQ(said("move_file", {{"from", "notes/a.txt"}, {"to", "d.txt"}}), "moved notes/a.txt to d.txt");
  EXPECT_EQ(said("make_folder", {{"path", "e/f"}}), "made folder e/f");
  EXPECT_EQ(said("list_files", {{"folder", "."}}), "b/\nd.txt\ne/\nnotes/");
  EXPECT_EQ(said("list_files", {{"folder", "notes"}}), "(empty)");
  EXPECT_EQ(said("find_files", {{"pattern", "*.txt"}}), "b/c/a.txt\nd.txt");
  EXPECT_EQ(said("delete_file", {{"path", "notes/"}}), "deleted notes");
  EXPECT_EQ(said("delete_file", {{"path", "./d.txt"}}), "deleted d.txt");
  EXPECT_EQ(said("read_file", {{"path", "b/c/a.txt"}}), "käse\ntwo\n");
  EXPECT_EQ(said("find_files", {{"pattern", "*.pdf"}}), "no files match *.pdf");
}

TEST_F(FileTools, NeverReplaceOnMoveOrCopy) {
  put(root() / "a", "A");
  put(root() / "b", "B");
  for (const auto* tool : {"move_file", "copy_file"}) {
    EXPECT_EQ(said(tool, {{"from", "a"}, {"to", "b"}}), file_tools::already_exists("b"));
    EXPECT_EQ(said(tool, {{"from", "a"}, {"to", "a"}}), file_tools::already_exists("a"));
    EXPECT_EQ(said(tool, {{"from", "a"}, {"to", "."}}), file_tools::already_exists("."));
    EXPECT_EQ(said(tool, {{"from", "none"}, {"to", "new/c"}}), file_tools::no_such_file("none"));
  }
  EXPECT_EQ(text_of(root() / "a") + text_of(root() / "b"), "AB");
  EXPECT_FALSE(fs::exists(root() / "new"));  // a call that fails makes no folder on the way
}

TEST_F(FileTools, RefusePathsThatLeaveTheRoot) {
  fs::create_symlink(outside(), root() / "door");
  fs::create_symlink("../outside/secret.txt", root() / "window");
  fs::create_symlink("/proc/self/root", root() / "magic");
  put(root() / "own.txt", "own");
  const std::string paths[] = {
      "../outside/secret.txt",    "..", "/etc/passwd", "a/../../outside/secret.txt", "door/secret.txt", "magic/etc/passwd",
      std::string("own.txt\0", 8)};
  for (const std::string& path : paths) {
    EXPECT_EQ(said("read_file", {{"path", path}}), file_tools::outside_root(path));
    EXPECT_EQ(said("list_files", {{"folder", path}}).substr(0, 35), file_tools::outside_root(path).substr(0, 35));
    EXPECT_TRUE(call("write_file", {{"path", path}, {"text", "x"}}).is_error);
    EXPECT_TRUE(call("append_file", {{"path", path}, {"text", "x"}}).is_error);
    EXPECT_TRUE(call("move_file", {{"from", path}, {"to", "stolen"}}).is_error);
    EXPECT_TRUE(call("move_file", {{"from", "own.txt"}, {"to", path}}).is_error);
    EXPECT_TRUE(call("copy_file", {{"from", path}, {"to", "stolen"}}).is_error);
    EXPECT_TRUE(call("copy_file", {{"from", "own.txt"}, {"to", path}}).is_error);
    EXPECT_TRUE(call("make_folder", {{"path", path + "/x"}}).is_error);
    EXPECT_TRUE(call("delete_file", {{"path", path}}).is_error);
  }
  EXPECT_EQ(said("read_file", {{"path", "window"}}), file_tools::outside_root("window"));
  EXPECT_TRUE(call("append_file", {{"path", "window"}, {"text", "x"}}).is_error);
  EXPECT_EQ(said("delete_file", {{"path", "."}}), file_tools::outside_root("."));
  EXPECT_EQ(said("find_files", {{"pattern", "*"}}), "own.txt");  // links are not followed
  EXPECT_FALSE(fs::exists(root() / "stolen"));
}

TEST_F(FileTools, FollowLinksThatStayInside) {
  put(root() / "deep/a.txt", "A");
  fs::create_symlink("deep", root() / "short");
  EXPECT_EQ(said("read_file", {{"path", "short/a.txt"}}), "A");
  EXPECT_EQ(said("write_file", {{"path", "short/new/b.txt"}, {"text", "B"}}), "wrote short/new/b.txt (1 characters)");
  EXPECT_EQ(text_of(root() / "deep/new/b.txt"), "B");
}

TEST_F(FileTools, AnswerWhatCannotBeRead) {
  put(root() / "binary", std::string("ab\xFF\xFE", 4));
  put(root() / "zero", std::string("ab\0cd", 5));
  put(root() / "empty", "");
  put(root() / "file", "x");
  ASSERT_EQ(::mkfifo((root() / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(said("read_file", {{"path", "binary"}}), "error: not a text file: binary (byte 2)");
  EXPECT_EQ(said("read_file", {{"path", "zero"}}), "error: not a text file: zero (byte 2)");
  EXPECT_EQ(said("read_file", {{"path", "empty"}}), file_tools::empty_file("empty"));
  EXPECT_EQ(said("read_file", {{"path", "pipe"}}), "error: pipe: not a regular file");  // and does not wait for a writer
  EXPECT_EQ(said("write_file", {{"path", "pipe"}, {"text", "x"}}), "error: pipe: not a regular file");
  EXPECT_EQ(said("read_file", {{"path", "."}}), file_tools::is_a_folder("."));
  EXPECT_EQ(said("read_file", {{"path", "file/below"}}), file_tools::no_such_file("file/below"));
  EXPECT_EQ(said("write_file", {{"path", "file/below"}, {"text", "x"}}), file_tools::no_such_folder("file"));
  EXPECT_EQ(said("list_files", {{"folder", "file"}}), file_tools::no_such_folder("file"));
  EXPECT_EQ(said("list_files", {{"folder", "none"}}), file_tools::no_such_folder("none"));
  EXPECT_THAT(said("write_file", {{"path", std::string(300, 'n')}, {"text", "x"}}), HasSubstr("File name too long"));
  EXPECT_THAT(said("read_file", {{"path", std::string(10000, 'n')}}), HasSubstr("File name too long"));
}

TEST_F(FileTools, ReadTheBeginningOfAHugeFileAndSaySo) {
  std::string text;
  while (text.size() < 3 * kMostReadBytes) text += "€";  // 3 bytes: the limit falls inside a character
  put(root() / "long", text);
  const std::string read = said("read_file", {{"path", "long"}});
  EXPECT_EQ(read, text.substr(0, 65535) + fmt::format("\n(only the first 65535 of {} bytes are shown)", text.size()));
  fs::resize_file(root() / "long", uintmax_t{1} << 40);  // sparse: nobody may try to hold it
  EXPECT_THAT(said("read_file", {{"path", "long"}}), HasSubstr("only the first 65535 of 1099511627776 bytes"));
  EXPECT_EQ(said("append_file", {{"path", "long"}, {"text", "x"}}), "error: long: too long to add to (256 MiB)");
}

TEST_F(FileTools, ListLargeFoldersUpToALimitAndSaySo) {
  for (size_t i = 0; i < kMostListed + 5; ++i) put(root() / fmt::format("{:05}", i), "");
  const std::string listed = said("list_files", {{"folder", "."}});
  EXPECT_EQ(listed.substr(0, 12), "00000\n00001\n");
  EXPECT_THAT(listed, HasSubstr("00999\n(only the first 1000 are listed)"));
  EXPECT_EQ(said("find_files", {{"pattern", "*"}}), listed);
  EXPECT_EQ(said("find_files", {{"pattern", "01004"}}), "01004");
}

TEST_F(FileTools, ShowHostileNamesOnOneLine) {
  put(root() / "a\nb\x1b[2J", "");
  put(root() / "\xFF", "");
  EXPECT_EQ(said("list_files", {{"folder", "."}}), "a?b?[2J\n\xEF\xBF\xBD");
}

TEST_F(FileTools, KeepTheModeOfAFileTheyReplace) {
  put(root() / "script", "old");
  fs::permissions(root() / "script", fs::perms(0750));
  said("append_file", {{"path", "script"}, {"text", "new"}});
  said("copy_file", {{"from", "script"}, {"to", "copy"}});
  EXPECT_EQ(fs::status(root() / "script").permissions(), fs::perms(0750));
  EXPECT_EQ(fs::status(root() / "copy").permissions() & fs::perms::owner_all, fs::perms::owner_all);
}

TEST_F(FileTools, PreviewTheResultWithoutTouchingAnything) {
  put(root() / "a", "A");
  const auto preview = [&](std::string_view tool, const Arguments& arguments) {
    return registry.find(tool)->preview(object(arguments), {}).text;
  };
  EXPECT_EQ(preview("move_file", {{"from", "a"}, {"to", "b/a"}}), file_tools::moved("a", "b/a"));
  EXPECT_EQ(preview("copy_file", {{"from", "a"}, {"to", "a"}}), file_tools::already_exists("a"));
  EXPECT_EQ(preview("write_file", {{"path", "a"}, {"text", "new"}}), file_tools::wrote("a", 3));
  EXPECT_EQ(preview("append_file", {{"path", "c/d"}, {"text", "new"}}), file_tools::appended("c/d"));
  EXPECT_EQ(preview("make_folder", {{"path", "c"}}), file_tools::made_folder("c"));
  EXPECT_EQ(preview("make_folder", {{"path", "a/c"}}), file_tools::no_such_folder("a"));
  EXPECT_EQ(preview("delete_file", {{"path", "a"}}), file_tools::deleted("a"));
  EXPECT_EQ(said("list_files", {{"folder", "."}}), "a");
  EXPECT_EQ(text_of(root() / "a"), "A");
}

// The generator's mocked folder and a real one answer alike, call after call.
TEST_F(FileTools, AgreeWithTheMockedFolderOnRandomCalls) {
  Random random(5);
  FileWorld world;
  const std::vector<std::string> paths = {"a", "b", "c.txt", "a/b", "a/c.txt", "b/a/d", "./b", "b/", "../a", "/a"};
  const std::vector<std::string> tools = registry.names();
  for (int i = 0; i < 3000; ++i) {
    const std::string tool = random.pick(tools);
    Arguments arguments;
    const Json& properties = *registry.find(tool)->definition.find("function")->find("parameters")->find("properties");
    for (const auto& [name, schema] : properties.as_object())
      arguments.emplace_back(name, name == "text"      ? "t"
                                   : name == "pattern" ? "*" + random.pick(paths).substr(0, 1)
                                                       : random.pick(paths));
    // Where a file stands in the way of a folder, the mocked folder has both; and its root can be "deleted" without effect.
    const auto blocked = [&](const auto& argument) {
      const std::string path = RootFolder::normal(argument.second).value_or("");
      for (size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1))
        if (world.files.contains(path.substr(0, at))) return true;
      return path.empty() && tool == "delete_file";
    };
    if (std::any_of(arguments.begin(), arguments.end(), blocked)) continue;
    const std::string want = world.execute(ToolCall{tool, object(arguments)});
    ASSERT_EQ(said(tool, arguments), want) << "call " << i << ": " << tool << " " << object(arguments).dump();
  }
  for (const auto& [path, text] : world.files) EXPECT_EQ(text_of(root() / path), text) << path;
}

}  // namespace
}  // namespace quern
