// What the tests of MCP clients share: the servers of tests/, run with what a test wants to see of them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "agent/mcp/mcp_tools.h"
#include "agent/temporary_folder_test.h"
#include "text/conversation.h"

extern char** environ;

namespace quern {

class McpTest : public testing::Test {
 protected:
  McpTest() {
    options.root = folder.path();
    options.environment = mcp_environment(environ);
    options.on_warning = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      warnings_.push_back(line);
    };
    options.on_log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      logs_.push_back(line);
    };
    context.on_output = [this](std::string_view line) { output.emplace_back(line); };
  }

  // tests/mcp_server.py, whose comments say what it does.
  static McpServerConfig python(std::vector<std::string> arguments = {}) {
    McpServerConfig config;
    config.name = "test";
    config.command = {"python3", QUERN_REPO "/tests/mcp_server.py"};
    config.command.insert(config.command.end(), arguments.begin(), arguments.end());
    return config;
  }

  std::shared_ptr<McpClient> start(const McpServerConfig& config) {
    auto server = add_mcp_tools(registry, config, options, context);
    EXPECT_TRUE(server) << server.error().message;
    return server ? *server : nullptr;
  }
  std::string start_error(const McpServerConfig& config) {
    const auto server = add_mcp_tools(registry, config, options, context);
    EXPECT_FALSE(server);
    if (server) return "";
    EXPECT_EQ(server.error().message.find('\n'), std::string::npos);
    return server.error().message;
  }

  ToolResult call(const std::string& tool, std::string_view arguments = "{}") {
    const Tool* found = registry.find(tool);
    EXPECT_TRUE(found) << tool;
    return found ? found->execute(Json::parse(arguments, "arguments").value(), context) : ToolResult{};
  }
  std::string text(const std::string& tool, std::string_view arguments = "{}") {
    const ToolResult result = call(tool, arguments);
    EXPECT_FALSE(result.is_error) << result.text;
    return result.text;
  }
  std::string error(const std::string& tool, std::string_view arguments = "{}") {
    const ToolResult result = call(tool, arguments);
    EXPECT_TRUE(result.is_error) << result.text;
    EXPECT_EQ(result.text.find('\n'), std::string::npos) << result.text;
    return result.text;
  }

  std::vector<std::string> warnings() {
    const std::lock_guard lock(mutex_);
    return warnings_;
  }
  std::vector<std::string> logs() {
    const std::lock_guard lock(mutex_);
    return logs_;
  }

  TemporaryFolder folder;
  McpToolsOptions options;
  CallContext context;
  ToolRegistry registry;
  std::vector<std::string> output;

 private:
  std::mutex mutex_;
  std::vector<std::string> warnings_, logs_;
};

}  // namespace quern
