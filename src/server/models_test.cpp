#include "server/models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

namespace quern {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr size_t kGiB = size_t{1} << 30;

// Models that weigh something and hold nothing: files with holes, and a loader of its own.
class ModelPoolTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  ModelEntry model(const std::string& name, size_t gigabytes = 1) {
    const fs::path path = folder_ / name;
    fs::create_directories(path);
    std::ofstream(path / "model.safetensors").put('x');
    fs::resize_file(path / "model.safetensors", gigabytes * kGiB);
    return {.name = name, .path = path};
  }
  std::unique_ptr<ModelPool> pool(std::vector<ModelEntry> models, size_t gigabytes) {
    ModelPool::Options options;
    options.models = std::move(models);
    options.memory = gigabytes * kGiB + kGiB / 2;
    options.load = [this](const ModelEntry& entry, size_t states) { return load(entry, states); };
    options.on_event = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      events_.push_back(line.substr(0, line.find(" in ")));
    };
    auto made = ModelPool::create(std::move(options));
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  Result<std::shared_ptr<ServedModel>> load(const ModelEntry& entry, size_t states) {
    std::unique_lock lock(mutex_);
    ++loads_[entry.name];
    states_[entry.name] = states;
    changed_.wait(lock, [&] { return !held_; });
    if (entry.name == "broken") return fail(Errc::malformed, "broken: no weights");
    if (entry.name == "throws") throw std::runtime_error("no memory");
    auto served = std::make_shared<ServedModel>();
    served->entry = entry;
    return served;
  }
  void hold(bool on) {
    const std::lock_guard lock(mutex_);
    held_ = on;
    changed_.notify_all();
  }
  std::vector<std::string> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  static std::vector<std::string> loaded(const ModelPool& pool) {
    std::vector<std::string> names;
    for (const ModelState& state : pool.list())
      if (state.status == ModelState::Status::loaded) names.push_back(state.entry.name);
    return names;
  }
  static bool eventually(const std::function<bool()>& is) {
    for (int i = 0; i < 500; ++i, std::this_thread::sleep_for(10ms))
      if (is()) return true;
    return false;
  }

  const fs::path folder_ = fs::path(::testing::TempDir()) / fmt::format("quern-models-{}", ::getpid());
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  std::map<std::string, int> loads_;
  std::map<std::string, size_t> states_;
  std::vector<std::string> events_;
};

TEST_F(ModelPoolTest, NamesAliasesAndTheDefault) {
  ModelEntry a = model("a"), b = model("b");
  b.aliases = {"gpt-4o"};
  const auto models = pool({a, b}, 8);
  EXPECT_EQ(*models->resolve(""), "a");
  EXPECT_EQ(*models->resolve("gpt-4o"), "b");
  EXPECT_EQ((*models->acquire("gpt-4o", {}))->entry.name, "b");
  const auto missing = models->acquire("/etc/passwd", {});
  EXPECT_EQ(missing.error().code, Errc::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("there are a, b"));
  a.aliases = {"b"};
  EXPECT_THAT(ModelPool::create({.models = {a, b}}).error().message, HasSubstr("alias b"));
  EXPECT_THAT(ModelPool::create({.models = {b, b}}).error().message, HasSubstr("two models have this name"));
  EXPECT_EQ(ModelPool::create({}).error().code, Errc::invalid_argument);
}

TEST_F(ModelPoolTest, LoadedOnceForAllWhoWait) {
  const auto models = pool({model("a")}, 8);
  hold(true);
  std::atomic<int> progress = 0, got = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      const auto model = models->acquire("a", [&] { return ++progress, true; });
      if (model && (*model)->entry.name == "a") ++got;
    });
  EXPECT_TRUE(eventually([&] { return progress >= 8; })) << "those who wait are told so again and again";
  EXPECT_EQ(models->list()[0].status, ModelState::Status::loading);
  hold(false);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, 4);
  EXPECT_EQ(loads_["a"], 1);
  EXPECT_GT(states_["a"], 6 * kGiB) << "alone, it is given all that is left";
  EXPECT_THAT(events(), ElementsAre("model a loaded"));
}

TEST_F(ModelPoolTest, WhoGivesUpDoesNotWait) {
  const auto models = pool({model("a")}, 8);
  hold(true);
  EXPECT_EQ(models->acquire("a", [] { return false; }).error().code, Errc::denied);
  hold(false);
  EXPECT_TRUE(models->acquire("a", {}));
}

TEST_F(ModelPoolTest, WhatLoadingSaysIsTold) {
  const auto models = pool({model("broken"), model("throws")}, 8);
  EXPECT_THAT(models->acquire("broken", {}).error().message, HasSubstr("broken: no weights"));
  EXPECT_EQ(models->acquire("broken", {}).error().code, Errc::malformed) << "and tried again";
  EXPECT_EQ(loads_["broken"], 2);
  EXPECT_THAT(models->acquire("throws", {}).error().message, HasSubstr("no memory"));
}

TEST_F(ModelPoolTest, TheLongestUnusedMakesRoom) {
  const auto models = pool({model("a", 2), model("b", 2), model("c", 2)}, 5);
  EXPECT_TRUE(models->acquire("a", {}));
  EXPECT_TRUE(models->acquire("b", {}));
  EXPECT_TRUE(models->acquire("a", {}));
  EXPECT_THAT(loaded(*models), ElementsAre("a", "b"));
  EXPECT_TRUE(models->acquire("c", {}));
  EXPECT_THAT(loaded(*models), ElementsAre("a", "c"));
  EXPECT_THAT(events(), ElementsAre("model a loaded", "model b loaded", "model b unloaded: makes room for c", "model c loaded"));
}

TEST_F(ModelPoolTest, WhatIsInUseOrPinnedStays) {
  ModelEntry pinned = model("pinned", 2);
  pinned.pinned = true;
  const auto models = pool({pinned, model("b", 2), model("c", 2), model("huge", 4)}, 5);
  EXPECT_TRUE(models->acquire("pinned", {}));
  auto b = models->acquire("b", {});
  const auto refused = models->acquire("c", {});
  EXPECT_EQ(refused.error().code, Errc::busy);
  EXPECT_THAT(refused.error().message, HasSubstr("try again later"));
  EXPECT_EQ(models->acquire("huge", {}).error().code, Errc::out_of_range) << "never beside what is pinned";
  EXPECT_THAT(loaded(*models), ElementsAre("pinned", "b")) << "nothing was let go of for nothing";
  b = {};
  EXPECT_TRUE(models->acquire("c", {}));
  EXPECT_THAT(loaded(*models), ElementsAre("pinned", "c"));
}

TEST_F(ModelPoolTest, UnloadedAsSoonAsNobodyUsesIt) {
  const auto models = pool({model("a")}, 8);
  auto first = models->acquire("a", {});
  ASSERT_TRUE(models->unload("a"));
  std::this_thread::sleep_for(50ms);
  EXPECT_THAT(loaded(*models), ElementsAre("a")) << "in use";
  auto second = models->acquire("a", {});
  EXPECT_EQ(first->get(), second->get());
  first = {};
  EXPECT_EQ(models->list()[0].users, 1);
  second = {};
  EXPECT_TRUE(eventually([&] { return loaded(*models).empty(); }));
  EXPECT_TRUE(models->unload("a")) << "not there: nothing to do";
  EXPECT_TRUE(models->acquire("a", {}));
  EXPECT_EQ(loads_["a"], 2);
  EXPECT_FALSE(models->unload("z"));
}

TEST_F(ModelPoolTest, KeptForItsTime) {
  ModelEntry a = model("a"), b = model("b");
  a.keep = 50ms;
  const auto models = pool({a, b}, 8);
  EXPECT_TRUE(models->acquire("a", {}));
  EXPECT_GE(models->list()[0].expires_s, 0);
  EXPECT_TRUE(models->acquire("b", {}));
  EXPECT_LT(models->list()[1].expires_s, 0);
  EXPECT_TRUE(eventually([&] { return loaded(*models) == std::vector<std::string>{"b"}; }));
  {
    const auto used = models->acquire("b", {});
    ASSERT_TRUE(models->keep("b", 0s));
    std::this_thread::sleep_for(30ms);
    EXPECT_THAT(loaded(*models), ElementsAre("b"));
  }
  EXPECT_TRUE(eventually([&] { return loaded(*models).empty(); }));
}

TEST_F(ModelPoolTest, DrainingLoadsNothingAndOutlivesWhoHoldsOne) {
  auto models = pool({model("a"), model("b")}, 8);
  auto held = models->acquire("a", {});
  models->drain(0);
  EXPECT_EQ(models->acquire("b", {}).error().code, Errc::busy);
  EXPECT_TRUE(models->acquire("a", {})) << "which is there";
  models.reset();
  EXPECT_EQ((*held)->entry.name, "a");
}

TEST_F(ModelPoolTest, ManyWantManyModels) {
  const auto models = pool({model("a", 2), model("b", 2), model("c", 2)}, 5);
  std::atomic<int> got = 0, busy = 0, wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string name(1, static_cast<char>('a' + (t + i) % 3));
        const auto model = models->acquire(name, {});
        if (!model)
          ++(model.error().code == Errc::busy ? busy : wrong);
        else if ((*model)->entry.name != name)
          ++wrong;
        else
          ++got;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(got + busy, 200);
  EXPECT_GT(got, 0);
  for (const ModelState& state : models->list()) EXPECT_EQ(state.users, 0);
}

TEST(ModelBytes, FoldersFilesAndPartsOfFiles) {
  const fs::path folder = fs::path(::testing::TempDir()) / fmt::format("quern-bytes-{}", ::getpid());
  fs::create_directories(folder / "m");
  const auto write = [&](const std::string& name, size_t bytes) { std::ofstream(folder / name) << std::string(bytes, 'x'); };
  write("m/model-00001-of-00002.safetensors", 10);
  write("m/model-00002-of-00002.safetensors", 20);
  write("m/config.json", 1000);
  write("one.gguf", 7);
  write("two-00001-of-00002.gguf", 3);
  write("two-00002-of-00002.gguf", 4);
  EXPECT_EQ(model_bytes(folder / "m"), 30u);
  EXPECT_EQ(model_bytes(folder / "one.gguf"), 7u);
  EXPECT_EQ(model_bytes(folder / "two-00001-of-00002.gguf"), 7u);
  EXPECT_EQ(model_bytes(folder / "none"), 0u);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace quern
