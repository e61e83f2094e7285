// The protocol's own example servers (tests/npm names them and their versions): what quern takes them to say is what they say.
#include <fcntl.h>
#include <sys/file.h>

#include <thread>

#include "agent/mcp/mcp_test.h"
#include "agent/sandbox/process.h"
#include "agent/sandbox/shell.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/http/server_test.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class RealServers : public McpTest {
 protected:
  // Installs them into the build folder, once; tests that run beside one another wait.
  void SetUp() override {
    if (!find_program("npm", "/", options.environment) || !find_program("node", "/", options.environment))
      GTEST_SKIP() << "nodejs and npm are not installed";
    const fs::path source = fs::path(QUERN_REPO) / "tests" / "npm";
    packages_ = fs::path(QUERN_BUILD) / "tests" / "npm";
    fs::create_directories(packages_);
    const UniqueFd lock(::open((packages_ / "lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
    const std::string wanted = sha256_hex(read_file(source / "package-lock.json").value());
    if (const auto installed = read_file(packages_ / "installed"); installed && *installed == wanted) return;
    for (const char* name : {"package.json", "package-lock.json"})
      fs::copy_file(source / name, packages_ / name, fs::copy_options::overwrite_existing);
    const auto npm =
        run_shell({.command = "npm ci --ignore-scripts --no-audit --no-fund --loglevel=error 2>&1", .folder = packages_});
    ASSERT_TRUE(npm) << npm.error().message;
    ASSERT_EQ(npm->exit_code, 0) << npm->output;
    ASSERT_TRUE(write_file(packages_ / "installed", wanted));
  }

  McpServerConfig config(const std::string& name, std::vector<std::string> arguments) const {
    McpServerConfig config;
    config.name = name;
    config.command = {"node", (packages_ / "node_modules/@modelcontextprotocol" / ("server-" + name) / "dist/index.js").string()};
    config.command.insert(config.command.end(), arguments.begin(), arguments.end());
    config.start_timeout_s = 60;
    return config;
  }

  void use_everything() {
    EXPECT_EQ(text("everything__echo", R"({"message": "grüß dich"})"), "Echo: grüß dich");
    EXPECT_THAT(text("everything__get-sum", R"({"a": 2, "b": 40.5})"), HasSubstr("42.5"));
    EXPECT_THAT(text("everything__get-tiny-image"), HasSubstr("(image, image/png, about "));
    EXPECT_THAT(text("everything__get-structured-content", R"({"location": "Chicago"})"), HasSubstr("temperature"));
    EXPECT_THAT(text("everything__get-resource-links", R"({"count": 2})"), HasSubstr("(a resource: demo://resource/"));
    EXPECT_THAT(error("everything__get-sum", R"({"a": "x", "b": 1})"), HasSubstr("error"));
    output.clear();
    EXPECT_THAT(text("everything__trigger-long-running-operation", R"({"duration": 1, "steps": 4})"), HasSubstr("completed"));
    EXPECT_THAT(output, Contains(StartsWith("everything: 2 of 4")));
    EXPECT_THAT(text("everything__list_resources"), HasSubstr("demo://resource/static/document/architecture.md  architecture.md"));
    EXPECT_THAT(text("everything__read_resource", R"({"uri": "demo://resource/static/document/architecture.md"})"),
                HasSubstr("# "));
    EXPECT_THAT(error("everything__read_resource", R"({"uri": "demo://nowhere"})"), HasSubstr("not found"));
    EXPECT_THAT(text("everything__list_prompts"), HasSubstr("simple-prompt"));
    EXPECT_THAT(text("everything__get_prompt", R"({"name": "args-prompt", "arguments": {"city": "Bern"}})"), HasSubstr("Bern"));
  }

  fs::path packages_;
};

TEST_F(RealServers, EverythingOverStandardInputAndOutput) {
  McpServerConfig everything = config("everything", {"stdio"});
  everything.resources = everything.prompts = true;
  const auto server = start(everything);
  ASSERT_TRUE(server);
  EXPECT_EQ(server->protocol_version(), "2025-06-18");
  use_everything();
  EXPECT_THAT(warnings(), IsEmpty());
  const auto start = std::chrono::steady_clock::now();
  context.cancelled = [&] { return std::chrono::steady_clock::now() - start > std::chrono::milliseconds(500); };
  EXPECT_THAT(error("everything__trigger-long-running-operation", R"({"duration": 60, "steps": 60})"), HasSubstr("interrupted"));
  context.cancelled = nullptr;
  EXPECT_EQ(text("everything__echo", R"({"message": "still there"})"), "Echo: still there");
}

TEST_F(RealServers, EverythingOverHttp) {
  uint16_t port = 0;
  {
    port = TestServer([](TestPeer&) {}).port();
  }  // free a moment ago
  ProcessOptions options_of_node;
  const McpServerConfig program = config("everything", {"streamableHttp"});
  options_of_node.arguments = program.command;
  options_of_node.folder = folder.path();
  options_of_node.environment = options.environment;
  options_of_node.environment.push_back(fmt::format("PORT={}", port));
  auto node = ChildProcess::spawn(options_of_node);
  ASSERT_TRUE(node) << node.error().message;
  std::string printed;
  for (int i = 0; i < 600 && printed.find("listening") == std::string::npos; ++i) {
    node->wait_for_output(0.1);
    node->read(ChildProcess::Stream::output, printed);
  }
  ASSERT_THAT(printed, HasSubstr("listening"));
  McpServerConfig everything;
  everything.name = "everything";
  everything.url = fmt::format("http://127.0.0.1:{}/mcp", port);
  everything.resources = everything.prompts = true;
  ASSERT_TRUE(start(everything));
  use_everything();
  EXPECT_THAT(warnings(), IsEmpty());
  node->kill();
  EXPECT_THAT(error("everything__echo", R"({"message": "x"})"), HasSubstr("cannot connect: Connection refused"));
}

TEST_F(RealServers, FilesOfTheRoot) {
  ASSERT_TRUE(write_file(folder.path() / "a.txt", "one\ntwo\n"));
  McpServerConfig files = config("filesystem", {});  // no folder of its own: it asks for the run's root
  files.trusted = true;
  ASSERT_TRUE(start(files));
  EXPECT_FALSE(registry.find("filesystem__read_text_file")->changes);
  EXPECT_TRUE(registry.find("filesystem__write_file")->changes);
  EXPECT_TRUE(registry.find("filesystem__write_file")->idempotent);
  const auto path = [&](std::string_view name) { return (folder.path() / name).string(); };
  EXPECT_THAT(text("filesystem__list_allowed_directories"), HasSubstr(folder.path().string()));
  EXPECT_EQ(text("filesystem__read_text_file", fmt::format(R"({{"path": "{}"}})", path("a.txt"))), "one\ntwo\n");
  text("filesystem__write_file", fmt::format(R"({{"path": "{}", "content": "new"}})", path("b.txt")));
  EXPECT_EQ(read_file(path("b.txt")).value(), "new");
  EXPECT_THAT(call("filesystem__read_text_file", R"({"path": "/etc/passwd"})").text, HasSubstr("denied"));
  EXPECT_THAT(warnings(), IsEmpty());
}

TEST_F(RealServers, MemoryThatOutlivesItsServer) {
  McpServerConfig memory = config("memory", {});
  memory.environment = {{"MEMORY_FILE_PATH", (folder.path() / "memory.json").string()}};
  ASSERT_TRUE(start(memory));
  text("memory__create_entities", R"({"entities": [{"name": "Ann", "entityType": "person", "observations": ["likes tea"]}]})");
  registry = ToolRegistry();
  ASSERT_TRUE(start(memory));
  EXPECT_THAT(text("memory__search_nodes", R"({"query": "tea"})"), HasSubstr("Ann"));
  EXPECT_THAT(warnings(), IsEmpty());
}

}  // namespace
}  // namespace quern
