#include "catalogue/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "agent/temporary_folder_test.h"
#include "base/file.h"
#include "catalogue/hub_cache.h"
#include "catalogue/hub_test.h"
#include "catalogue/part_file.h"
#include "catalogue/pull_record.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Bytes that no two places of share.
std::string noise(size_t size, uint32_t seed = 1) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return text;
}

const std::string& tiny_config() {
  static const std::string text = read_file(QUERN_REPO "/tests/data/tiny/config.json").value();
  return text;
}

std::map<std::string, TestHub::File> usual_files() {
  return {{"config.json", {tiny_config(), false}},
          {"tokenizer.json", {noise(5000, 2), true}},
          {"README.md", {"# a model", false}},
          {"model-00001-of-00002.safetensors", {noise(300'000, 3)}},
          {"model-00002-of-00002.safetensors", {noise(200'000, 4)}},
          {"original/consolidated.safetensors", {noise(1000, 5)}}};
}

class PullTest : public testing::Test {
 protected:
  Result<PullOutcome> pull_from(TestHub& hub, const std::string& what = "org/model", PullWishes wishes = {}) {
    return pull_from(hub.access(), what, std::move(wishes));
  }
  Result<PullOutcome> pull_from(const HubAccess& access, const std::string& what, PullWishes wishes) {
    QUERN_ASSIGN(const ModelReference reference, ModelReference::parse(what));
    QUERN_ASSIGN(const PullPlan plan, plan_pull(access, reference, wishes, {}));
    return pull(catalogue, access, plan, options);
  }
  std::string error_from(TestHub& hub, const std::string& what = "org/model", PullWishes wishes = {}) {
    const auto pulled = pull_from(hub, what, std::move(wishes));
    EXPECT_FALSE(pulled);
    if (pulled) return "";
    EXPECT_EQ(pulled.error().message.find('\n'), std::string::npos);
    EXPECT_FALSE(fs::exists(catalogue.model_folder("model")));  // nothing half-done has its name
    return pulled.error().message;
  }
  std::string content(const std::string& file) { return read_file(catalogue.model_folder("model") / file).value_or("(missing)"); }
  void expect_whole() {
    for (const auto& [path, file] : usual_files()) {
      if (path.starts_with("model") || path.ends_with(".json")) {
        EXPECT_EQ(content(path), file.content) << path;
      }
    }
  }

  TemporaryFolder folder;
  Catalogue catalogue{folder.path() / "models"};
  PullOptions options{.download = {.piece_bytes = 64 << 10}};
};

TEST_F(PullTest, TakesWhatAModelNeeds) {
  TestHub hub(usual_files());
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
  EXPECT_EQ(pulled->path, catalogue.model_folder("model"));
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(pulled->path)) names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                          "quern-source.json", "tokenizer.json"}));
  EXPECT_FALSE(fs::exists(catalogue.partial_folder("model")));
  const auto source = ModelSource::of(pulled->path);
  ASSERT_TRUE(source);
  EXPECT_EQ(source->repository, "org/model");
  EXPECT_EQ(source->commit, TestHub::kCommit);
  EXPECT_GT(hub.requests_of("00001-of-00002.safetensors").size(), 3u) << "in pieces";

  const auto again = pull_from(hub);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(again->already_there);
}

TEST_F(PullTest, GoesOnAfterConnectionsBreak) {
  TestHub hub(usual_files());
  std::atomic<int> count = 0;
  hub.instead = [&](TestPeer& peer, const TestHub::Request& request, const TestHub::File& file) {
    if (++count % 3 == 0) return false;
    TestHub::answer(peer, request, file, TestHub::etag_of(file), 20'000);
    return true;
  };
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
}

TEST_F(PullTest, GoesOnWhereAnEarlierProcessStopped) {
  TestHub hub(usual_files());
  std::atomic<bool> broken = true;
  hub.instead = [&](TestPeer& peer, const TestHub::Request& request, const TestHub::File& file) {
    if (!broken || !request.path.ends_with("00002-of-00002.safetensors")) return false;
    if (request.header("Range").starts_with("bytes=0-")) TestHub::answer(peer, request, file, TestHub::etag_of(file), 30'000);
    return true;  // and of all others nothing
  };
  EXPECT_THAT(error_from(hub), HasSubstr("model-00002-of-00002.safetensors"));
  const auto unfinished = catalogue.unfinished();
  ASSERT_EQ(unfinished.size(), 1u);
  EXPECT_EQ(unfinished[0].name, "model");
  EXPECT_GE(unfinished[0].bytes, 330'000u);
  EXPECT_LT(unfinished[0].bytes, unfinished[0].total);
  broken = false;
  const size_t before = hub.requests_of("00001-of-00002.safetensors").size();
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
  EXPECT_EQ(hub.requests_of("00001-of-00002.safetensors").size(), before) << "it was there";
  EXPECT_LE(pulled->fetched_bytes, 180'000u);
  const auto resumed = hub.requests_of("00002-of-00002.safetensors");
  EXPECT_TRUE(std::any_of(resumed.begin(), resumed.end(),
                          [](const auto& r) { return r.header("Range") == "bytes=30000-65535" && !r.header("If-Range").empty(); }));
}

TEST_F(PullTest, BeginsAnewWhereTheContentHasChangedUnderTheSameName) {
  TestHub hub(usual_files());
  std::atomic<int> count = 0;
  hub.instead = [&](TestPeer& peer, const TestHub::Request& request, const TestHub::File& file) {
    if (!request.path.ends_with("00001-of-00002.safetensors")) return false;
    const int n = ++count;
    TestHub::answer(peer, request, file, n < 3 ? "\"old\"" : "\"new\"");
    return true;
  };
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
}

TEST_F(PullTest, DoesWithoutRanges) {
  TestHub hub(usual_files());
  hub.instead = [&](TestPeer& peer, const TestHub::Request& request, const TestHub::File& file) {
    TestHub::Request plain = request;
    if (const size_t at = plain.head.find("Range: "); at != std::string::npos) plain.head.replace(at, 5, "Xange");
    TestHub::answer(peer, plain, file, TestHub::etag_of(file));
    return true;
  };
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
}

TEST_F(PullTest, AnUnsatisfiableRangeIsAskedForWithout) {
  TestHub hub(usual_files());
  hub.instead = [&](TestPeer& peer, const TestHub::Request& request, const TestHub::File&) {
    if (request.header("Range").empty()) return false;
    peer.answer("416 Range Not Satisfiable", "Content-Range: bytes */7\r\n", "");
    return true;
  };
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
}

TEST_F(PullTest, RefusesWrongContent) {
  auto files = usual_files();
  files["tokenizer.json"].claimed_hash = std::string(64, 'a');
  {
    TestHub hub(files);
    EXPECT_THAT(error_from(hub), testing::AllOf(HasSubstr("tokenizer.json"), HasSubstr("SHA-256"), HasSubstr("aaaa")));
    EXPECT_FALSE(fs::exists(catalogue.partial_folder("model") / "tokenizer.json"));
  }
  files = usual_files();
  files["config.json"].claimed_hash = std::string(40, 'b');
  TestHub hub(files);
  EXPECT_THAT(error_from(hub), testing::AllOf(HasSubstr("config.json"), HasSubstr("git hash")));
}

TEST_F(PullTest, BytesThatAMachineLostAreFetchedAgain) {
  TestHub hub(usual_files());
  std::atomic<bool> broken = true;
  hub.instead = [&](TestPeer&, const TestHub::Request& request, const TestHub::File&) {
    return broken && request.path.ends_with("00002-of-00002.safetensors") && !request.header("Range").starts_with("bytes=0-");
  };
  error_from(hub);
  const fs::path part = catalogue.partial_folder("model") / "model-00002-of-00002.safetensors.part";
  ASSERT_GE(fs::file_size(part), 65536u);
  std::string bytes = read_file(part).value();
  bytes[100] ^= 1;
  ASSERT_TRUE(write_file(part, bytes));
  broken = false;
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
}

TEST_F(PullTest, RefusesLyingSizes) {
  auto files = usual_files();
  files["tokenizer.json"].claimed_size = 4000;
  TestHub shorter(files);
  EXPECT_THAT(error_from(shorter), HasSubstr("tokenizer.json: the server has 5000 bytes of it, the hub lists 4000"));
  files["tokenizer.json"].claimed_size = 6000;
  TestHub longer(files);
  EXPECT_THAT(error_from(longer), HasSubstr("the server has 5000 bytes of it, the hub lists 6000"));
  TestHub endless(usual_files());
  endless.instead = [](TestPeer& peer, const TestHub::Request& request, const TestHub::File&) {
    if (!request.path.ends_with("tokenizer.json")) return false;
    peer.send("HTTP/1.1 200 OK\r\n\r\n");
    while (peer.send(std::string(10'000, 'x'))) {
    }
    return true;
  };
  EXPECT_THAT(error_from(endless), HasSubstr("the server sends more than was asked for"));
}

TEST_F(PullTest, RefusesAnotherPart) {
  TestHub other_part(usual_files());
  other_part.instead = [](TestPeer& peer, const TestHub::Request& request, const TestHub::File& file) {
    if (request.header("Range").empty()) return false;
    peer.answer("206 Partial Content", fmt::format("Content-Range: bytes 5-9/{}\r\n", file.content.size()), "abcde");
    return true;
  };
  EXPECT_THAT(error_from(other_part), HasSubstr("the server sends bytes 5 to 9"));
}

TEST_F(PullTest, AServerThatHangsIsGivenUp) {
  TestHub hub(usual_files());
  hub.instead = [&](TestPeer& peer, const TestHub::Request& request, const TestHub::File&) {
    if (!request.path.ends_with("tokenizer.json")) return false;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
    peer.linger();
    return true;
  };
  HubAccess access = hub.access();
  access.retries = 1;
  access.idle_timeout_s = 0.2;
  const auto pulled = pull_from(access, "org/model", {});
  ASSERT_FALSE(pulled);
  EXPECT_THAT(pulled.error().message, testing::AllOf(HasSubstr("tokenizer.json"), HasSubstr("nothing was heard")));
}

TEST_F(PullTest, AnOverloadedServerIsAskedAgain) {
  TestHub hub(usual_files());
  std::atomic<int> count = 0;
  hub.instead = [&](TestPeer& peer, const TestHub::Request& request, const TestHub::File&) {
    if (!request.path.ends_with("tokenizer.json") || ++count > 2) return false;
    peer.answer(count == 1 ? "503 Service Unavailable" : "429 Too Many Requests", "Retry-After: 0\r\n", "");
    return true;
  };
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(count, 3);
}

TEST_F(PullTest, TheTokenGoesToTheHubAndNowhereElse) {
  TestHub hub(usual_files());
  hub.page_files = 2;
  HubAccess access = hub.access();
  access.token = "hf_secret";
  const auto pulled = pull_from(access, "org/model", {});
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
  for (const auto& request : hub.requests()) EXPECT_EQ(request.header("Authorization"), "Bearer hf_secret") << request.path;
  EXPECT_FALSE(hub.storage_requests().empty());
  bool ranged = false;
  for (const auto& request : hub.storage_requests()) {
    EXPECT_THAT(request.head, testing::Not(HasSubstr("hf_secret")));
    EXPECT_EQ(request.header("Accept-Encoding"), "identity");
    ranged |= !request.header("Range").empty();
  }
  EXPECT_TRUE(ranged) << "which part is wanted is no secret";
}

TEST_F(PullTest, AListInPagesIsReadToItsEnd) {
  TestHub hub(usual_files());
  hub.page_files = 2;
  ASSERT_TRUE(pull_from(hub));
  expect_whole();
  const auto requests = hub.requests();
  const auto pages =
      std::count_if(requests.begin(), requests.end(), [](const auto& r) { return r.path.find("/tree/") != std::string::npos; });
  EXPECT_EQ(pages, 4) << "6 files and a folder";
}

TEST_F(PullTest, AListGoesOnAtTheHubOnly) {
  TestHub hub(usual_files()), other(usual_files());
  hub.page_files = 2;
  hub.link_host = other.endpoint();
  EXPECT_THAT(error_from(hub), HasSubstr("goes on at another host, " + other.endpoint()));
  EXPECT_TRUE(other.requests().empty());
  hub.link_host = std::string(kDefaultEndpoint);  // as a mirror passes it on
  EXPECT_TRUE(pull_from(hub));
}

TEST_F(PullTest, ARenamedRepositoryIsFollowed) {
  TestHub hub(usual_files());
  HubAccess access = hub.access();
  access.token = "hf_secret";
  const auto pulled = pull_from(access, "org/renamed", {.name = "model"});
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
  for (const auto& request : hub.requests()) EXPECT_EQ(request.header("Authorization"), "Bearer hf_secret") << request.path;
}

TEST_F(PullTest, ASignedUrlThatRanOutIsAskedForAgain) {
  TestHub hub(usual_files());
  std::atomic<int> count = 0;
  std::atomic<bool> always = false;
  hub.instead = [&](TestPeer& peer, const TestHub::Request& request, const TestHub::File&) {
    if (!request.path.ends_with("tokenizer.json") || (++count > 1 && !always)) return false;
    return peer.answer("403 Forbidden", "", "<Error><Code>AccessDenied</Code></Error>");
  };
  always = true;
  EXPECT_THAT(error_from(hub), HasSubstr("the host that the hub redirects to answers with status 403"));
  always = false;
  count = 0;
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(count, 2);
}

TEST_F(PullTest, WhatTheHubsToolsHaveIsNotFetchedAgain) {
  TestHub hub(usual_files());
  const auto files = usual_files();
  options.hub_cache = folder.path() / "hub";
  const fs::path there = options.hub_cache / "models--org--model";
  const std::string first = "model-00001-of-00002.safetensors", second = "model-00002-of-00002.safetensors";
  fs::create_directories(there / "blobs");
  fs::create_directories(there / "snapshots" / TestHub::kCommit);
  const fs::path blob = there / "blobs" / sha256_hex(files.at(first).content);
  ASSERT_TRUE(write_file(blob, files.at(first).content));
  ASSERT_TRUE(
      write_file(there / "snapshots" / TestHub::kCommit / second, files.at(second).content));  // where links are not possible
  std::string wrong = files.at("tokenizer.json").content;
  wrong[7] ^= 1;
  ASSERT_TRUE(write_file(there / "blobs" / sha256_hex(files.at("tokenizer.json").content), wrong));
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_whole();
  EXPECT_TRUE(fs::equivalent(pulled->path / first, blob)) << "the same bytes on the disk";
  EXPECT_TRUE(hub.requests_of(".safetensors").empty());
  EXPECT_EQ(hub.requests_of("tokenizer.json").size(), 1u);
  EXPECT_EQ(pulled->cached_bytes, 500'000u);
  EXPECT_EQ(pulled->fetched_bytes, pulled->bytes - 500'000);
  EXPECT_EQ(read_file(there / "blobs" / sha256_hex(files.at("tokenizer.json").content)), wrong) << "it is not ours";
}

TEST_F(PullTest, AnotherDisksCacheIsCopied) {
  TemporaryFolder elsewhere;
  const RepositoryFile file{.path = "a/b.bin", .size = 6, .sha256 = sha256_hex("abcdef"), .git_sha1 = {}};
  const Repository repository{.id = "org/model", .revision = "main", .commit = std::string(TestHub::kCommit), .files = {}};
  const fs::path blobs = elsewhere.path() / "models--org--model/blobs";
  fs::create_directories(blobs);
  const auto take = [&](CacheUse use) {
    return take_from_hub_cache(elsewhere.path(), use, repository, file, folder.path() / file.path, [](uint64_t) { return true; });
  };
  EXPECT_EQ(take(CacheUse::copy), false);
  ASSERT_TRUE(write_file(blobs / file.sha256, "abcdef"));
  EXPECT_EQ(take(CacheUse::copy), true);
  EXPECT_EQ(read_file(folder.path() / file.path), "abcdef");
  EXPECT_FALSE(fs::equivalent(folder.path() / file.path, blobs / file.sha256));
  ASSERT_TRUE(write_file(blobs / file.sha256, "abcdeX"));
  EXPECT_EQ(take(CacheUse::copy), false);
  EXPECT_FALSE(fs::exists(folder.path() / file.path));
}

TEST_F(PullTest, ATokenDoesNotTravelInTheClear) {
  HubAccess access{.endpoint = "http://hub.example", .token = "hf_secret"};
  const auto pulled = pull_from(access, "org/model", {});
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, Errc::denied);
  EXPECT_THAT(pulled.error().message, HasSubstr("without encryption"));
  EXPECT_EQ(HubAccess{.endpoint = "ftp://hub.example"}.check().error().code, Errc::invalid_argument);
}

TEST_F(PullTest, SaysWhyTheHubRefuses) {
  TestHub hub(usual_files());
  for (const auto& [status, headers, says] :
       {std::tuple(401, "X-Error-Code: GatedRepo\r\n", "ask readers to agree"),
        {403, "X-Error-Code: GatedRepo\r\nX-Error-Message: Access to model org/model is restricted\r\n", "ask readers to agree"},
        {403, "X-Error-Message: Token lacks a scope\r\n", "not allowed (private or gated): Token lacks a scope"},
        {401, "", "a token may help (HF_TOKEN)"},
        {401, "X-Error-Message: Invalid credentials in Authorization header\r\n", "does not know the token"},
        {401, "X-Error-Code: RepoNotFound\r\nX-Error-Message: Invalid username or password.\r\n",
         "there is no such repository, or it is private"},
        {404, "X-Error-Code: RepoNotFound\r\n", "there is no such repository, or it is private"},
        {403, "X-Error-Message: Access to this resource is disabled.\r\n", "the hub has disabled access"},
        {404, "X-Error-Code: RevisionNotFound\r\n", "no such revision"},
        {404, "", "no such repository"},
        {500, "X-Error-Message: a\tb\r\n", "status 500"}}) {
    hub.listing_status = status;
    hub.listing_headers = headers;
    EXPECT_THAT(error_from(hub), HasSubstr(says)) << status;
  }
  hub.listing_status = 200;
  EXPECT_THAT(error_from(hub, "org/model", {.revision = "refs/pr/7"}), HasSubstr("no such revision"));
  EXPECT_THAT(error_from(hub, "org/none"), HasSubstr("there is no such repository"));
  hub.instead = [](TestPeer& peer, const TestHub::Request&, const TestHub::File&) { return peer.answer("403 Forbidden", "", ""); };
  EXPECT_THAT(error_from(hub), HasSubstr("org/model/config.json: reading it is not allowed"));
}

TEST_F(PullTest, AHubCannotChooseWhereFilesGo) {
  for (const char* path :
       {"../evil.json", "/etc/evil.json", "a/../../evil.json", "a\\b.json", "", "a//b.json", "a\nb.json", ".", "a/."}) {
    TestHub hub(std::map<std::string, TestHub::File>{{path, {"x"}}});
    EXPECT_THAT(error_from(hub), HasSubstr("a file named")) << path;
  }
  TestHub reserved(std::map<std::string, TestHub::File>{{"pull.json", {"x"}}, {"model.safetensors", {"x"}}});
  EXPECT_THAT(error_from(reserved), HasSubstr("which a pull uses itself"));
  for (const char* name :
       {"", "org", "org/", "/model", "../model", "org/model/x", "org/.hidden", "o rg/model", "org/model:", "org/model:../x"})
    EXPECT_FALSE(ModelReference::parse(name)) << name;
}

TEST_F(PullTest, ReadsOnlyListingsThatMakeSense) {
  for (const char* body : {"", "[]", "{}", R"({"sha":"x"})", R"({"sha":7})"}) {
    const auto commit = parse_commit(body, "org/model");
    ASSERT_FALSE(commit) << body;
    EXPECT_EQ(commit.error().code, Errc::malformed) << body;
  }
  for (const char* body :
       {"", "{}", "7", R"([{"type":"file","path":"a"}])", R"([{"type":"file","path":"a","size":-1}])",
        R"([{"type":"file","size":1}])", R"([{"type":"file","path":"a","size":1e30}])",
        R"([{"type":"file","path":"a","size":1,"oid":"zz"}])", R"([{"type":"file","path":"a","size":1,"lfs":{"oid":"zz"}}])",
        R"([{"type":"file","path":"a","size":1},{"type":"file","path":"a","size":1}])"}) {
    TestServer server([&](TestPeer& peer) {
      const bool tree = peer.read_request().find("/tree/") != std::string::npos;
      peer.answer("200 OK", "", tree ? std::string(body) : fmt::format(R"({{"sha":"{}"}})", TestHub::kCommit));
    });
    const auto pulled = pull_from(HubAccess{.endpoint = server.url(""), .retry_wait_s = 0, .retries = 0}, "org/model", {});
    ASSERT_FALSE(pulled) << body;
    EXPECT_EQ(pulled.error().code, Errc::malformed) << body;
  }
}

TEST_F(PullTest, LooksAtTheDiskFirst) {
  TestHub hub(usual_files());
  options.free_bytes = [](const fs::path&) { return uint64_t{256} << 20; };
  EXPECT_THAT(error_from(hub), HasSubstr("still to be fetched"));
  EXPECT_TRUE(hub.requests_of(".safetensors").empty());
}

TEST_F(PullTest, AModelThatCannotRunIsKnownBeforeItsWeights) {
  auto files = usual_files();
  files["config.json"].content = R"({"architectures":["LlamaForCausalLM"],"model_type":"llama"})";
  TestHub hub(files);
  EXPECT_THAT(error_from(hub), testing::AllOf(HasSubstr("cannot run this model"), HasSubstr("llama")));
  EXPECT_TRUE(hub.requests_of(".safetensors").empty());
  options.any_model = true;
  EXPECT_TRUE(pull_from(hub));
}

TEST_F(PullTest, ChoosesAmongGgufFiles) {
  TestHub hub({{"m-Q4_K_M.gguf", {noise(1000, 1)}},
               {"m-Q8_0-00001-of-00002.gguf", {noise(2000, 2)}},
               {"m-Q8_0-00002-of-00002.gguf", {noise(3000, 3)}},
               {"m-BF16-00001-of-00003.gguf", {noise(1000, 4)}},
               {"config.json", {"{}", false}}});
  EXPECT_THAT(error_from(hub), testing::AllOf(HasSubstr("3 models in GGUF"), HasSubstr("m-Q4_K_M")));
  EXPECT_THAT(error_from(hub, "org/model:Q6"), HasSubstr("no GGUF file Q6"));
  EXPECT_THAT(error_from(hub, "org/model:bf16"), HasSubstr("1 of 3 parts"));
  EXPECT_THAT(error_from(hub, "org/model:m-Q"), HasSubstr("2 models in GGUF"));
  const auto one = pull_from(hub, "org/model:q4_k_m");
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->path, catalogue.model_folder("m-Q4_K_M"));
  const auto split = pull_from(hub, "org/model:m-Q8_0-00001-of-00002.gguf");
  ASSERT_TRUE(split) << split.error().message;
  EXPECT_EQ(split->path, catalogue.model_folder("m-Q8_0"));
  EXPECT_EQ(split->bytes, 5000u);
  EXPECT_EQ(catalogue.models()->size(), 2u);
  EXPECT_FALSE(catalogue.find("org/model")) << "two are from there";
}

TEST_F(PullTest, PatternsChoose) {
  TestHub hub(usual_files());
  const auto pulled = pull_from(hub, "org/model", {.include = {"*.json", "README*"}, .exclude = {"tok*"}});
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content("README.md"), "# a model");
  EXPECT_EQ(content("tokenizer.json"), "(missing)");
  EXPECT_EQ(content("model-00001-of-00002.safetensors"), "(missing)");
  TestHub other(usual_files());
  EXPECT_FALSE(pull_from(other, "org/model", {.name = "x", .include = {"none"}}));
}

TEST_F(PullTest, ANameIsNotTakenFromAnotherModel) {
  TestHub hub(usual_files());
  fs::create_directories(catalogue.model_folder("model"));
  ASSERT_TRUE(write_file(catalogue.model_folder("model") / "precious", "mine"));
  const auto refused = pull_from(hub);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::AllOf(HasSubstr("was not pulled"), HasSubstr("--name")));
  EXPECT_EQ(content("precious"), "mine");
  const auto named = pull_from(hub, "org/model", {.name = "other"});
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_EQ(named->path, catalogue.model_folder("other"));
  fs::create_directories(catalogue.partial_folder("third"));
  ASSERT_TRUE(write_file(catalogue.partial_folder("third") / "precious", "mine"));
  EXPECT_FALSE(pull_from(hub, "org/model", {.name = "third"}));
  EXPECT_FALSE(pull_from(hub, "org/model", {.name = "../third"}));
}

TEST_F(PullTest, ANewerCommitReplacesAndReuses) {
  TestHub hub(usual_files());
  ASSERT_TRUE(pull_from(hub));
  const size_t before = hub.requests_of("00001-of-00002.safetensors").size();
  hub.commit = std::string(40, 'c');
  hub.set("model-00002-of-00002.safetensors", {noise(1000, 9)});
  const auto pulled = pull_from(hub);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_FALSE(pulled->already_there);
  EXPECT_EQ(content("model-00002-of-00002.safetensors"), noise(1000, 9));
  EXPECT_EQ(hub.requests_of("00001-of-00002.safetensors").size(), before);
  EXPECT_EQ(ModelSource::of(pulled->path)->commit, hub.commit.get());
  EXPECT_FALSE(fs::exists(catalogue.partial_folder("model")));
}

TEST_F(PullTest, TwoPullsOfOneNameDoNotMix) {
  TestHub hub(usual_files());
  std::atomic<bool> waiting = false, go = false;
  hub.instead = [&](TestPeer&, const TestHub::Request& request, const TestHub::File&) {
    if (!request.path.ends_with("config.json")) return false;
    waiting = true;
    while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return false;
  };
  HubAccess patient = hub.access();
  patient.idle_timeout_s = 30;
  std::thread first([&] {
    const auto pulled = pull_from(patient, "org/model", {});
    EXPECT_TRUE(pulled) << pulled.error().message;
  });
  while (!waiting) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const auto second = pull_from(hub);
  EXPECT_EQ(second.error().code, Errc::busy);
  EXPECT_EQ(catalogue.remove("model").error().code, Errc::busy);
  go = true;
  first.join();
  expect_whole();
}

TEST_F(PullTest, CancellingKeepsWhatIsThere) {
  TestHub hub(usual_files());
  std::atomic<bool> cancelled = false;
  hub.instead = [&](TestPeer& peer, const TestHub::Request& request, const TestHub::File& file) {
    if (!request.path.ends_with("00002-of-00002.safetensors")) return false;
    TestHub::answer(peer, request, file, TestHub::etag_of(file), 1000);
    cancelled = true;
    peer.linger();
    return true;
  };
  options.download.cancelled = [&] { return cancelled.load(); };
  EXPECT_THAT(error_from(hub), HasSubstr("interrupted"));
  options.download.cancelled = {};
  hub.instead = TestHub::Instead();
  ASSERT_TRUE(pull_from(hub));
  expect_whole();
}

TEST_F(PullTest, ProgressCountsEverything) {
  TestHub hub(usual_files());
  DownloadProgress last;
  options.download.on_progress = [&](const DownloadProgress& progress) {
    EXPECT_LE(progress.done, progress.total);
    last = progress;
  };
  ASSERT_TRUE(pull_from(hub));
  EXPECT_EQ(last.done, last.total);
  EXPECT_EQ(last.files_done, 4u);
  EXPECT_EQ(last.files, 4u);
}

}  // namespace
}  // namespace quern
