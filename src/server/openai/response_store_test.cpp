#include "server/openai/response_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace quern {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ResponseItems items(std::vector<std::string> ids) {
  ResponseItems made;
  for (const std::string& id : ids) made.push_back(std::make_shared<const Json>(Json::Object{{"id", id}, {"type", "message"}}));
  return made;
}

class ResponseStoreTest : public testing::Test {
 protected:
  void SetUp() override { open(); }
  void TearDown() override {
    store.reset();
    std::filesystem::remove_all(folder_);
  }
  void open(ResponseStore::Bounds bounds = {}) {
    store.reset();
    auto opened = ResponseStore::open(folder_ / "responses.db", bounds);
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
  }
  // An answer `id` of the items in_ID and out_ID.
  void put(const std::string& id, const std::string& previous = "", size_t bytes = 0, const std::string& client = "ann") {
    StoredResponse made{.client = client,
                        .previous = previous,
                        .before = {},
                        .input = items({"in_" + id}),
                        .output = items({"out_" + id}),
                        .response = Json::Object{{"id", id}, {"text", std::string(bytes, 'x')}}};
    if (!previous.empty()) made.before = *store->conversation(previous, client);
    const auto kept = store->put(id, made);
    ASSERT_TRUE(kept) << kept.error().message;
  }
  // The ids of what was said up to there.
  std::vector<std::string> said(const std::string& id, const std::string& client = "ann") {
    const auto found = store->conversation(id, client);
    if (!found) return {std::string(found.error().code == Errc::not_found ? "not found" : found.error().message)};
    std::vector<std::string> ids;
    for (const auto& item : *found) ids.push_back(item->find("id")->as_string());
    return ids;
  }
  bool there(const std::string& id) { return store->response(id, "ann").has_value(); }

  std::unique_ptr<ResponseStore> store;

 private:
  const std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / fmt::format("quern-responses-{}", ::getpid());
};

TEST_F(ResponseStoreTest, AConversationIsThereAgainWithItsFile) {
  put("a");
  put("b", "a");
  put("c", "b");
  open();
  EXPECT_THAT(said("c"), ElementsAre("in_a", "out_a", "in_b", "out_b", "in_c", "out_c"));
  EXPECT_EQ(store->response("b", "ann")->find("id")->as_string(), "b");
  EXPECT_EQ(store->input("b", "ann")->front()->find("id")->as_string(), "in_b");
  EXPECT_EQ((*store->find_item("out_b", "ann"))->find("id")->as_string(), "out_b");
  EXPECT_EQ(*store->find_item("out_x", "ann"), nullptr);
  put("d", "a");  // another branch
  EXPECT_THAT(said("d"), ElementsAre("in_a", "out_a", "in_d", "out_d"));
}

TEST_F(ResponseStoreTest, NobodyElseFindsAnything) {
  put("a");
  EXPECT_THAT(said("a", "bob"), ElementsAre("not found"));
  EXPECT_FALSE(store->response("a", "bob"));
  EXPECT_FALSE(store->input("a", "bob"));
  EXPECT_EQ(*store->find_item("in_a", "bob"), nullptr);
  EXPECT_EQ(store->remove("a", "bob").error().code, Errc::not_found);
  EXPECT_TRUE(there("a"));
}

TEST_F(ResponseStoreTest, WhatIsRemovedStaysThePastOfOthersAndGoesWithThem) {
  put("a");
  put("b", "a");
  put("c", "b");
  ASSERT_TRUE(store->remove("a", "ann"));
  ASSERT_TRUE(store->remove("b", "ann"));
  EXPECT_FALSE(there("a"));
  EXPECT_THAT(said("b"), ElementsAre("not found"));
  EXPECT_EQ(*store->find_item("in_b", "ann"), nullptr);
  EXPECT_THAT(said("c"), ElementsAre("in_a", "out_a", "in_b", "out_b", "in_c", "out_c"));
  EXPECT_GT(*store->bytes(), 0);
  ASSERT_TRUE(store->remove("c", "ann"));
  EXPECT_EQ(*store->bytes(), 0);
}

TEST_F(ResponseStoreTest, WhatWasForgottenMeanwhileIsStillThePast) {
  put("a");
  put("b", "a");
  const ResponseItems before = *store->conversation("b", "ann");
  for (const char* id : {"a", "b"}) ASSERT_TRUE(store->remove(id, "ann"));
  ASSERT_TRUE(store->put("c", {.client = "ann",
                               .previous = "b",
                               .before = before,
                               .input = items({"in_c"}),
                               .output = items({"out_c"}),
                               .response = Json::Object{{"id", "c"}}}));
  EXPECT_THAT(said("c"), ElementsAre("in_a", "out_a", "in_b", "out_b", "in_c", "out_c"));
  ASSERT_TRUE(store->remove("c", "ann"));
  EXPECT_EQ(*store->bytes(), 0);
}

TEST_F(ResponseStoreTest, TheLongestUnusedMakesRoom) {
  open({.bytes = 10'000});
  for (const char* id : {"a", "b", "c"}) put(id, "", 2000);
  EXPECT_TRUE(there("a"));  // used
  put("d", "", 2000);
  EXPECT_FALSE(there("b"));
  EXPECT_TRUE(there("a") && there("c") && there("d"));
  put("large", "", 20'000);
  EXPECT_FALSE(there("large"));
  EXPECT_TRUE(there("a") && there("c") && there("d"));
  EXPECT_LE(*store->bytes(), 10'000);
}

TEST_F(ResponseStoreTest, ALongConversationKeepsWhatItsLastAnswerNeeds) {
  open({.bytes = 20'000});
  std::string last;
  for (int i = 0; i < 10; ++i) {
    const std::string id = fmt::format("r{}", i);
    put(id, last, 4000);
    last = id;
  }
  EXPECT_FALSE(there("r0"));
  EXPECT_EQ(said(last).size(), 20u);
  EXPECT_EQ(said(last).front(), "in_r0");
  EXPECT_LE(*store->bytes(), 20'000);
}

TEST_F(ResponseStoreTest, WhatIsNotUsedForItsTimeIsForgotten) {
  put("a");
  open({.unused_s = -1});  // everything is older than that
  put("b");
  EXPECT_EQ(*store->bytes(), 0);
}

TEST_F(ResponseStoreTest, WithoutAFileItIsInMemory) {
  auto opened = ResponseStore::open("", {});
  ASSERT_TRUE(opened);
  ASSERT_TRUE(
      (*opened)->put("a", {.client = "ann", .previous = {}, .before = {}, .input = {}, .output = {}, .response = Json("x")}));
  EXPECT_EQ(*(*opened)->response("a", "ann"), Json("x"));
}

}  // namespace
}  // namespace quern
