// What running generations take of the memory, and who gives way where it is short.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "runtime/engine_impl.h"
#include "runtime/memory_plan.h"
#include "runtime/prefix_cache.h"
#include "runtime/schedulers_test.h"

namespace quern {
namespace {

TEST_F(Schedulers, AdmitOnlyWhatTheMemoryHolds) {
  const auto e = engine(10'000);
  const size_t each = sequence_bytes(*e, 4 + 60), limit = 3 * each + each / 2;
  Scheduler scheduler(*e, {.memory = limit});
  std::vector<Ended> ended(10);
  std::vector<std::vector<int32_t>> want;
  for (size_t i = 0; i < ended.size(); ++i) want.push_back(alone(*e, request(text(4, static_cast<int32_t>(i)), 60)));
  std::mutex mutex;
  std::vector<size_t> taken;
  for (size_t i = 0; i < ended.size(); ++i) {
    Job j = job(request(text(4, static_cast<int32_t>(i)), 60));
    j.request.on_token = [&](const GeneratedToken&) {
      const SchedulerStats stats = scheduler.stats();
      const std::lock_guard lock(mutex);
      taken.push_back(stats.memory);
      EXPECT_LE(stats.running, 3);
      return true;
    };
    submit(scheduler, std::move(j), ended[i]);
  }
  for (size_t i = 0; i < ended.size(); ++i) {
    ASSERT_TRUE(ended[i].wait());
    EXPECT_EQ(ended[i].wait()->tokens, want[i]);
  }
  EXPECT_EQ(*std::max_element(taken.begin(), taken.end()), 3 * each);
  // Too much even alone: the prompt is refused, and what would be generated is cut.
  const size_t page = sequence_bytes(*e, 65) - sequence_bytes(*e, 64);
  const int64_t fits = 64 * static_cast<int64_t>((limit - constant_bytes(*e)) / page);
  EXPECT_EQ(scheduler.submit(job(request(text(static_cast<size_t>(fits) + 1, 1), 1))).error().code, Errc::out_of_range);
  Ended cut;
  submit(scheduler, job(request(text(static_cast<size_t>(fits) - 10, 1), 1000)), cut);
  ASSERT_TRUE(cut.wait());
  EXPECT_EQ(cut.wait()->tokens.size(), 10u);
  EXPECT_EQ(cut.wait()->finish, FinishReason::length);
}

// Answers of unknown length begin together, though not all could come to their max_tokens; where they do, the last begun give way.
TEST_F(Schedulers, GiveWayWhereMemoryIsShortAndGoOnWithTheSameBits) {
  const auto e = engine(10'000);
  constexpr int64_t kEach = 700;
  const size_t limit = 2 * sequence_bytes(*e, 300 + kEach) + sequence_bytes(*e, 400);
  std::vector<GenerateRequest> requests;
  std::vector<std::vector<int32_t>> want;
  for (int32_t i = 0; i < 5; ++i) {
    requests.push_back(request(text(static_cast<size_t>(40 + 60 * i), i), kEach, static_cast<uint64_t>(i)));
    want.push_back(alone(*e, requests.back()));
  }
  for (const bool cached : {false, true}) {
    PrefixCache cache(*e->impl().runner, {.memory = size_t{64} << 20});
    Scheduler scheduler(*e, {.prefill_tokens = 100, .memory = limit, .growth = 64, .cache = cached ? &cache : nullptr});
    std::vector<Ended> ended(requests.size());
    std::atomic<int64_t> most_at_once = 0;
    for (size_t i = 0; i < requests.size(); ++i) {
      Job j = job(requests[i], fmt::format("client {}", i), i == 4 ? 1 : 0);
      j.request.on_token = [&, n = size_t{0}](const GeneratedToken&) mutable {
        const SchedulerStats stats = scheduler.stats();
        if (++n > 1) {
          EXPECT_LE(stats.memory, limit);
        }
        most_at_once = std::max<int64_t>(most_at_once, stats.running);
        return true;
      };
      submit(scheduler, std::move(j), ended[i]);
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      ASSERT_TRUE(ended[i].wait()) << ended[i].wait().error().message;
      EXPECT_EQ(ended[i].wait()->tokens, want[i]) << "request " << i << (cached ? ", with a cache" : "");
      EXPECT_EQ(ended[i].times(), 1);
    }
    scheduler.between_steps([] {});
    EXPECT_GT(most_at_once, 2) << "as many as could be held with all their max_tokens";
    EXPECT_GE(scheduler.stats().gave_way, 2);
    EXPECT_EQ(scheduler.stats().parked, 0);
    EXPECT_EQ(scheduler.stats().memory, 0u);
  }
}

// Whoever gave way can be cancelled, and ends when all ends.
TEST_F(Schedulers, EndWhatGaveWay) {
  const auto e = engine(10'000);
  const size_t limit = sequence_bytes(*e, 600);
  const auto parked = [](Scheduler& scheduler) {
    while (scheduler.stats().parked == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  Ended first, second, third;
  {
    Scheduler scheduler(*e, {.memory = limit, .growth = 64});
    const auto slow = [&](int32_t of) {
      Job j = job(request(text(20, of), 5000));
      j.request.on_token = [](const GeneratedToken&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return true;
      };
      return j;
    };
    submit(scheduler, slow(1), first);
    const auto id = submit(scheduler, slow(2), second);
    parked(scheduler);
    scheduler.cancel(id);
    ASSERT_TRUE(second.wait());
    EXPECT_EQ(second.wait()->finish, FinishReason::cancelled);
    EXPECT_GT(second.wait()->tokens.size(), 64u);
    EXPECT_EQ(first.times(), 0);
    submit(scheduler, slow(3), third);
  }
  for (Ended* end : {&first, &third}) {
    EXPECT_EQ(end->times(), 1);
    EXPECT_EQ(end->wait()->finish, FinishReason::cancelled);
  }
}

}  // namespace
}  // namespace quern
