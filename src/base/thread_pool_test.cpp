// With the thread sanitizer these tests are also the proof that a job's memory is handed over and back.
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

namespace quern {
namespace {

TEST(ThreadPool, CoversEveryIndexOnceWithRangesNoLongerThanTheGrain) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t count : {0, 1, 2, 7, 64, 1000})
      for (const int64_t grain : {1, 3, 64, 5000}) {
        std::vector<int> seen(static_cast<size_t>(count), 0);  // plain ints: two threads on one index would be a race
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          EXPECT_LT(begin, end);
          EXPECT_LE(end - begin, grain);
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(count), 1)) << threads << " threads, " << count << " by " << grain;
      }
  }
}

TEST(ThreadPool, DoesNothingForNegativeCounts) {
  ThreadPool pool(2);
  pool.parallel_for(-5, 1, [](int64_t, int64_t) { FAIL(); });
}

TEST(ThreadPool, HandsOverWhatTheCallerWroteAndBackWhatTheTasksWrote) {
  ThreadPool pool(3);
  std::vector<int64_t> values(300, 0);
  for (int64_t round = 1; round <= 3000; ++round) {
    const int64_t add = round;  // on the caller's stack, anew in each round
    pool.parallel_for(300, 7, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] += add;
    });
  }
  EXPECT_EQ(values, std::vector<int64_t>(300, 3000 * 3001 / 2));
}

TEST(ThreadPool, WakesWorkersThatFellAsleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int64_t> sum{0};
    pool.parallel_for(100, 1, [&](int64_t begin, int64_t) { sum += begin; });
    EXPECT_EQ(sum, 4950);
  }
}

TEST(ThreadPool, WhoHasFinishedTakesFromTheOthersShares) {
  ThreadPool pool(2);
  std::atomic<int64_t> done{0};
  pool.parallel_for(100, 1, [&](int64_t begin, int64_t) {
    // One range waits for all the others, those of its own thread's share among them.
    if (begin == 0)
      while (done < 99) std::this_thread::yield();
    ++done;
  });
  EXPECT_EQ(done, 100);
}

TEST(ThreadPool, ACallerThatFellAsleepIsWoken) {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    const auto caller = std::this_thread::get_id();
    std::atomic<int> slow{0};
    pool.parallel_for(3, 1, [&](int64_t, int64_t) {
      if (std::this_thread::get_id() == caller) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ++slow;
    });
    EXPECT_LE(slow, 3);
  }
}

TEST(ThreadPool, StartsAndEndsWithoutAJob) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(1 + i % 4);
}

TEST(ThreadPool, PassesAnExceptionOfATaskToItsCallerAndGoesOn) {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 20; ++round) {
      EXPECT_THROW(pool.parallel_for(64, 1,
                                     [&](int64_t begin, int64_t) {
                                       if (begin % 8 == 3) throw std::runtime_error("no memory");
                                     }),
                   std::runtime_error);
      std::atomic<int> done{0};
      pool.parallel_for(64, 1, [&](int64_t, int64_t) { ++done; });
      EXPECT_EQ(done, 64);
    }
  }
}

TEST(ThreadPoolDeathTest, RefusesACallFromInsideATask) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int threads : {1, 3})
    EXPECT_DEATH(
        {
          ThreadPool pool(threads);
          pool.parallel_for(8, 1, [&](int64_t, int64_t) { pool.parallel_for(2, 1, [](int64_t, int64_t) {}); });
        },
        "inside a task");
}

}  // namespace
}  // namespace quern
