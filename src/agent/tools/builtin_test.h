// Calling built-in tools in tests: a root folder with a neighbour that no call may reach, and arguments checked as the loop checks them.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "agent/temporary_folder_test.h"
#include "agent/tools/builtin_tools.h"
#include "base/file.h"
#include "text/assistant_parser.h"

namespace quern {

class BuiltinTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(root());
    std::filesystem::create_directory(outside());
    put(outside() / "secret.txt", "secret needle\n");
    std::filesystem::create_symlink("../outside/secret.txt", root() / "link.txt");
    std::filesystem::create_symlink("../outside", root() / "link");
    options.root = root();
    options.memory = top.path() / "memory.db";
  }
  void TearDown() override { EXPECT_EQ(text_of(outside() / "secret.txt"), "secret needle\n"); }

  std::filesystem::path root() const { return top.path() / "root"; }
  std::filesystem::path outside() const { return top.path() / "outside"; }
  static void put(const std::filesystem::path& path, std::string_view text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string text_of(const std::filesystem::path& path) { return read_file(path).value_or("(none)"); }

  const Tool& tool(std::string_view name) {
    if (!registry.find(name)) {
      options.tools = {std::string(name)};
      const auto added = add_builtin_tools(registry, options);
      EXPECT_TRUE(added) << added.error().message;
    }
    return *registry.find(name);
  }
  Json parsed(std::string_view name, std::string_view arguments) {
    const Json json = Json::parse(arguments, "arguments").value();
    const auto fits = check_arguments(tool(name).definition, json);
    EXPECT_TRUE(fits) << fits.error().message;
    return json;
  }
  ToolResult call(std::string_view name, std::string_view arguments, const CallContext& context = {}) {
    const Json json = parsed(name, arguments);
    return tool(name).execute(json, context);
  }
  std::string said(std::string_view name, std::string_view arguments) {
    const ToolResult result = call(name, arguments);
    EXPECT_FALSE(result.is_error) << result.text;
    return result.text;
  }
  std::string refused(std::string_view name, std::string_view arguments) {
    const ToolResult result = call(name, arguments);
    EXPECT_TRUE(result.is_error) << result.text;
    return result.text;
  }

  TemporaryFolder top;
  BuiltinOptions options;
  ToolRegistry registry;
};

}  // namespace quern
