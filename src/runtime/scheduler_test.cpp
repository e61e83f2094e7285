// Many generations at once: that each has the bits it has alone, whose turn it is, how they end. The model is `tiny`, whose words mean
// nothing.
#include "runtime/scheduler.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "constrain/constraint.h"
#include "runtime/engine_impl.h"
#include "runtime/memory_plan.h"
#include "runtime/prefix_cache.h"
#include "runtime/schedulers_test.h"

namespace quern {
namespace {

// What somebody sees of a generation, every bit of it.
struct Seen {
  std::vector<int32_t> ids;
  std::string text;
  std::vector<double> logprobs;
  FinishReason finish = FinishReason::stop;
  bool operator==(const Seen&) const = default;
};

std::function<bool(const GeneratedToken&)> watch(Seen& seen) {
  return [&seen](const GeneratedToken& token) {
    seen.ids.push_back(token.id);
    seen.text += token.text;
    seen.logprobs.push_back(token.logprob.value_or(1));
    for (const TokenProbability& p : token.top) seen.logprobs.push_back(p.logprob);
    return true;
  };
}

struct Asked {
  GenerateRequest request;
  std::string constraint;  // a pattern
};

Asked random_request(Random& random, const std::vector<int32_t>& shared) {
  Asked asked;
  GenerateRequest& r = asked.request;
  r.prompt.assign(shared.begin(), shared.begin() + static_cast<std::ptrdiff_t>(random.below(shared.size())));
  for (int64_t i = random.between(1, 90); i > 0; --i) r.prompt.push_back(static_cast<int32_t>(random.below(500)));
  r.max_tokens = random.between(0, 40);
  r.sampling.seed = random.next();
  if (random.chance(0.7)) r.sampling.temperature = 0.5 + random.unit();
  if (random.chance(0.3)) r.sampling.top_k = random.between(1, 50);
  if (random.chance(0.3)) r.sampling.top_p = random.unit();
  if (random.chance(0.2)) r.sampling.repetition_penalty = 1.3;
  if (random.chance(0.2)) r.sampling.frequency_penalty = 0.7;
  if (random.chance(0.3)) r.top_logprobs = static_cast<int>(random.below(4));
  if (random.chance(0.3)) r.stop = {std::string(1, static_cast<char>('a' + random.below(26)))};
  if (random.chance(0.3))
    asked.constraint = random.chance(0.5) ? "[a-f]{3,20}(stop|go)[a-z]*" : "abcdefghijklmnopqrstuvwxyz[aeiou]{5}abcabcabc";
  else
    r.ignore_eos = random.chance(0.7);
  return asked;
}

std::unique_ptr<Matcher> matcher(const Engine& e, const std::string& pattern) {
  if (pattern.empty()) return nullptr;
  auto machine = compile_regex(pattern);
  EXPECT_TRUE(machine) << machine.error().message;
  return std::make_unique<Matcher>(std::move(*machine), e.vocabulary());
}

TEST_F(Schedulers, GiveEverybodyTheBitsTheyHaveAlone) {
  const auto e = engine({}, 2);
  for (const uint64_t seed : {1, 2, 3}) {
    Random random(seed);
    const std::vector<int32_t> shared = text(200, 3);
    std::vector<Asked> asked;
    std::vector<Seen> want;
    for (int i = 0; i < 40; ++i) {
      asked.push_back(random_request(random, shared));
      GenerateRequest r = asked.back().request;
      const auto constraint = matcher(*e, asked.back().constraint);
      r.constraint = constraint.get();
      r.on_token = watch(want.emplace_back());
      Session session(*e);
      auto out = session.generate(r);
      ASSERT_TRUE(out) << out.error().message;
      want.back().finish = out->finish;
    }
    std::vector<Seen> seen(asked.size());
    std::vector<Ended> ended(asked.size()), disturbance(30);
    {
      Scheduler scheduler(*e,
                          {.max_running = seed == 1 ? 7 : 256, .prefill_tokens = seed == 2 ? 24 : 512, .memory = size_t{1} << 30});
      // Others come and go meanwhile.
      std::thread others([&, rest = Random(seed + 100)]() mutable {
        for (Ended& end : disturbance) {
          Asked other = random_request(rest, shared);
          other.request.max_tokens = 200;
          const auto id = submit(scheduler, job(other.request, "other"), end);
          std::this_thread::sleep_for(std::chrono::microseconds(rest.below(3000)));
          if (rest.chance(0.8)) scheduler.cancel(id);
        }
      });
      for (size_t i = 0; i < asked.size(); ++i) {
        Job j = job(asked[i].request, fmt::format("client {}", i % 3), static_cast<int>(random.below(2)));
        j.constraint = matcher(*e, asked[i].constraint);
        j.request.on_token = watch(seen[i]);
        submit(scheduler, std::move(j), ended[i]);
        if (random.chance(0.5)) std::this_thread::sleep_for(std::chrono::microseconds(random.below(3000)));
      }
      for (size_t i = 0; i < asked.size(); ++i) {
        auto& out = ended[i].wait();
        ASSERT_TRUE(out) << out.error().message;
        seen[i].finish = out->finish;
        EXPECT_EQ(out->text, seen[i].text);
      }
      others.join();
    }
    for (size_t i = 0; i < asked.size(); ++i) {
      EXPECT_TRUE(seen[i] == want[i]) << "seed " << seed << ", request " << i << ": " << seen[i].text << " for " << want[i].text;
      EXPECT_EQ(ended[i].times(), 1);
      EXPECT_EQ(ended[i].has_constraint(), !asked[i].constraint.empty());
    }
    for (const Ended& end : disturbance) EXPECT_EQ(end.times(), 1);
  }
}

TEST_F(Schedulers, BeginHigherPrioritiesFirstAndLetClientsTakeTurns) {
  const auto e = engine();
  Scheduler scheduler(*e, {.max_running = 1, .memory = size_t{1} << 30});
  Gate gate;
  Ended first;
  submit(scheduler, gated(job(request({1}, 2)), gate), first);
  gate.wait_until_reached();
  std::mutex mutex;
  std::vector<std::string> order;
  std::vector<Ended> ended(9);
  size_t next = 0;
  const auto add = [&](const std::string& client, int priority, const std::string& name) {
    Job j = job(request({1, 2}, 1), client, priority);
    j.request.on_token = [&, name](const GeneratedToken&) {
      const std::lock_guard lock(mutex);
      order.push_back(name);
      return true;
    };
    submit(scheduler, std::move(j), ended[next++]);
  };
  for (const char* name : {"a1", "a2", "a3", "a4"}) add("a", 0, name);
  for (const char* name : {"b1", "b2"}) add("b", 0, name);
  add("c", 0, "c1");
  add("c", -1, "late");
  add("a", 7, "urgent");
  EXPECT_EQ(scheduler.stats().waiting, 9);
  gate.open();
  for (Ended& end : ended) ASSERT_TRUE(end.wait());
  EXPECT_EQ(order, (std::vector<std::string>{"urgent", "a1", "b1", "c1", "a2", "b2", "a3", "a4", "late"}));
}

// One client's long prompts do not keep another's short one waiting until they have been read.
TEST_F(Schedulers, ReadPromptsOfClientsInTurns) {
  const auto e = engine(4096);
  Scheduler scheduler(*e, {.prefill_tokens = 32, .memory = size_t{1} << 30});
  Gate gate;
  Ended stream;  // somebody's stream waits for steps
  submit(scheduler, gated(job(request({1}, 2000)), gate), stream);
  gate.wait_until_reached();
  std::vector<Ended> ended(4);
  std::atomic<int64_t> read_before_short = -1, read = 0;
  for (size_t i = 0; i < 3; ++i) {
    Job j = job(request(text(1500, static_cast<int32_t>(i)), 1), "long");
    j.request.on_prefill = [&, held = int64_t{0}](int64_t done, int64_t) mutable {
      read += done - std::exchange(held, done);
      return true;
    };
    submit(scheduler, std::move(j), ended[i]);
  }
  Job j = job(request(text(60, 9), 1), "short");
  j.request.on_token = [&](const GeneratedToken&) {
    read_before_short = read.load();
    return true;
  };
  submit(scheduler, std::move(j), ended[3]);
  gate.open();
  for (Ended& end : ended) ASSERT_TRUE(end.wait());
  EXPECT_GE(read_before_short, 0);
  EXPECT_LE(read_before_short, 200);
}

TEST_F(Schedulers, SayBusyWhenTheQueueIsFull) {
  const auto e = engine();
  Scheduler scheduler(*e, {.max_running = 1, .max_waiting = 2, .memory = size_t{1} << 30});
  Gate gate;
  std::vector<Ended> ended(3);
  submit(scheduler, gated(job(request({1}, 2)), gate), ended[0]);
  gate.wait_until_reached();
  submit(scheduler, job(request({1}, 1)), ended[1]);
  submit(scheduler, job(request({1}, 1)), ended[2]);
  const auto refused = scheduler.submit(job(request({1}, 1)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::busy);
  EXPECT_EQ(scheduler.stats().refused, 1);
  gate.open();
  for (Ended& end : ended) EXPECT_TRUE(end.wait());
  EXPECT_TRUE(scheduler.submit(job(request({1}, 1))));
}

TEST_F(Schedulers, RefuseAtOnceWhatCannotBe) {
  const auto e = engine(100);
  Scheduler scheduler(*e, {.memory = size_t{1} << 30});
  EXPECT_EQ(scheduler.submit(job(request({}, 1))).error().code, Errc::invalid_argument);
  EXPECT_EQ(scheduler.submit(job(request({512}, 1))).error().code, Errc::out_of_range);
  EXPECT_EQ(scheduler.submit(job(request(text(101, 1), 1))).error().code, Errc::out_of_range);
  GenerateRequest r = request({1}, 1);
  r.sampling.logit_bias = {{-1, 0.0f}};
  EXPECT_EQ(scheduler.submit(job(r)).error().code, Errc::out_of_range);
  EXPECT_EQ(scheduler.stats().waiting, 0);
}

TEST_F(Schedulers, CancelWhatRunsAndWhatWaitsBeforeTheNextStep) {
  const auto e = engine();
  Scheduler scheduler(*e, {.max_running = 1, .memory = size_t{1} << 30});
  Gate gate;
  Ended running, waiting, after;
  const auto id = submit(scheduler, gated(job(request({1, 2}, 100'000)), gate), running);
  gate.wait_until_reached();
  const auto waiting_id = submit(scheduler, job(request({1, 2, 3}, 5)), waiting);
  submit(scheduler, job(request({1, 2, 3}, 5)), after);
  scheduler.cancel(id);
  scheduler.cancel(waiting_id);
  scheduler.cancel(4711);
  gate.open();
  ASSERT_TRUE(running.wait());
  EXPECT_EQ(running.wait()->finish, FinishReason::cancelled);
  EXPECT_EQ(running.wait()->tokens.size(), 1u) << "the step that was under way";
  ASSERT_TRUE(waiting.wait());
  EXPECT_EQ(waiting.wait()->finish, FinishReason::cancelled);
  EXPECT_EQ(waiting.wait()->prompt_tokens, 3);
  ASSERT_TRUE(after.wait());
  EXPECT_EQ(after.wait()->tokens, alone(*e, request({1, 2, 3}, 5)));
  scheduler.cancel(id);
  scheduler.between_steps([] {});
  EXPECT_EQ(running.times(), 1);
  const SchedulerStats stats = scheduler.stats();
  EXPECT_EQ(stats.cancelled, 2);
  EXPECT_EQ(stats.finished, 1);
  EXPECT_EQ(stats.memory, 0u);
}

TEST_F(Schedulers, EndWhenACallbackSaysSo) {
  const auto e = engine();
  Scheduler scheduler(*e, {.prefill_tokens = 16, .memory = size_t{1} << 30});
  Ended by_token, by_prefill;
  Job j = job(request({1, 2}, 100));
  j.request.on_token = [n = 0](const GeneratedToken&) mutable { return ++n < 3; };
  submit(scheduler, std::move(j), by_token);
  j = job(request(text(300, 2), 100));
  j.request.on_prefill = [](int64_t done, int64_t) { return done < 100; };
  submit(scheduler, std::move(j), by_prefill);
  EXPECT_EQ(by_token.wait()->finish, FinishReason::cancelled);
  EXPECT_EQ(by_token.wait()->tokens.size(), 3u);
  EXPECT_EQ(by_prefill.wait()->finish, FinishReason::cancelled);
  EXPECT_EQ(by_prefill.wait()->tokens.size(), 0u);
}

TEST_F(Schedulers, KeepAnErrorToTheJobThatHasIt) {
  const auto e = engine();
  Scheduler scheduler(*e, {.memory = size_t{1} << 30});
  Ended good, bad;
  Job j = job(request({1, 2, 3}, 30));
  j.request.ignore_eos = false;
  j.constraint = matcher(*e, "[0-9]{3}");  // no token of this vocabulary has a digit
  submit(scheduler, job(request({4, 5, 6}, 30)), good);
  submit(scheduler, std::move(j), bad);
  ASSERT_FALSE(bad.wait());
  EXPECT_EQ(bad.wait().error().code, Errc::unsupported);
  ASSERT_TRUE(good.wait());
  EXPECT_EQ(good.wait()->tokens, alone(*e, request({4, 5, 6}, 30)));
  EXPECT_EQ(scheduler.stats().failed, 1);
}

TEST_F(Schedulers, GoOnInASessionAndOneJobAtATime) {
  const auto e = engine();
  Session reference(*e);
  std::vector<int32_t> prompt = {1, 2, 3, 4, 5};
  GenerateRequest r = request(prompt, 12);
  r.draw_on = true;
  auto first = reference.generate(r);
  r.prompt.insert(r.prompt.end(), first->tokens.begin(), first->tokens.end());
  r.prompt.push_back(9);
  const auto second = reference.generate(r);

  Scheduler scheduler(*e, {.memory = size_t{1} << 30});
  const auto session = std::make_shared<Session>(*e);
  Ended one, two, other;
  Gate gate;
  Job j = gated(job(request(prompt, 12)), gate);
  j.request.draw_on = true, j.session = session;
  submit(scheduler, std::move(j), one);
  gate.wait_until_reached();
  Job next = job(r);  // waits for the session
  next.session = session;
  submit(scheduler, std::move(next), two);
  submit(scheduler, job(request({7}, 3)), other);
  gate.open();
  ASSERT_TRUE(two.wait()) << two.wait().error().message;
  EXPECT_EQ(one.wait()->tokens, first->tokens);
  EXPECT_EQ(two.wait()->tokens, second->tokens);
  EXPECT_EQ(two.wait()->reused_tokens, 16);
  EXPECT_EQ(two.wait()->reused_tokens, second->reused_tokens);
  ASSERT_TRUE(other.wait());
  scheduler.between_steps([&] { EXPECT_EQ(session->tokens(), reference.tokens()); });
}

// Turn after turn of two conversations, beside a stream: what was read or said before is not read again, and changes nothing.
TEST_F(Schedulers, GoOnFromWhatTheCacheHolds) {
  const auto e = engine(8192);
  std::vector<int32_t> prompts[] = {text(1500, 3), text(1200, 4)};
  std::vector<std::vector<int32_t>> want;
  std::vector<std::vector<int32_t>> asked;
  for (int turn = 0; turn < 3; ++turn)
    for (auto& prompt : prompts) {
      asked.push_back(prompt);
      want.push_back(alone(*e, request(prompt, 20)));
      prompt.insert(prompt.end(), want.back().begin(), want.back().end());
      for (const int32_t id : text(40, turn)) prompt.push_back(id);
    }
  std::vector<int32_t> other(asked[0].begin(), asked[0].begin() + 700);  // parts from the first behind its first boundary
  for (const int32_t id : text(100, 9)) other.push_back(id);
  const std::vector<int32_t> want_other = alone(*e, request(other, 20));

  PrefixCache cache(*e->impl().runner, {.memory = size_t{256} << 20});
  Scheduler scheduler(*e, {.prefill_tokens = 100, .memory = size_t{1} << 30, .cache = &cache});
  Ended stream;
  const auto id = submit(scheduler, job(request({1}, 100'000)), stream);
  for (size_t i = 0; i < asked.size(); i += 2) {
    Ended ended[2];
    for (size_t c = 0; c < 2; ++c) {
      Job j = job(request(asked[i + c], 20), fmt::format("client {}", c));
      j.boundaries = {700, asked[i + c].size() - 10};
      submit(scheduler, std::move(j), ended[c]);
    }
    for (size_t c = 0; c < 2; ++c) {
      ASSERT_TRUE(ended[c].wait());
      EXPECT_EQ(ended[c].wait()->tokens, want[i + c]);
      // All but the answer's last token, which was never fed.
      const size_t held = i == 0 ? 0 : asked[i + c - 2].size() + want[i + c - 2].size() - 1;
      EXPECT_EQ(ended[c].wait()->reused_tokens, static_cast<int64_t>(held));
    }
  }
  Ended parted;
  submit(scheduler, job(request(other, 20)), parted);
  ASSERT_TRUE(parted.wait());
  EXPECT_EQ(parted.wait()->tokens, want_other);
  EXPECT_EQ(parted.wait()->reused_tokens, 700);
  scheduler.cancel(id);
  ASSERT_TRUE(stream.wait());
}

// A state that lies in a folder is fetched while somebody's stream goes on.
TEST_F(Schedulers, BeginFromAStateThatIsFetchedBesideAStream) {
  const auto e = engine(8192);
  const TemporaryPath folder("states");
  const GenerateRequest asked = request(text(1500, 3), 20);
  const std::vector<int32_t> want = alone(*e, asked);
  for (const bool again : {false, true}) {
    PrefixCache cache(*e->impl().runner, {.folder = folder.get()});
    Scheduler scheduler(*e, {.memory = size_t{1} << 30, .cache = &cache});
    Ended stream, ended;
    Gate gate;
    const auto id = submit(scheduler, gated(job(request({1}, 100'000)), gate), stream);
    gate.wait_until_reached();
    Job j = job(asked);
    j.boundaries = {1490};
    submit(scheduler, std::move(j), ended);
    gate.open();
    ASSERT_TRUE(ended.wait());
    EXPECT_EQ(ended.wait()->tokens, want);
    EXPECT_EQ(ended.wait()->reused_tokens, again ? 1490 : 0);
    scheduler.cancel(id);
    ASSERT_TRUE(stream.wait());
    scheduler.between_steps([&] {
      EXPECT_EQ(cache.stats().loaded, again ? 1 : 0);
      cache.flush();
    });
  }
}

// Several answers to one prompt, and agents that begin with the same text, at the same time: it is read once.
TEST_F(Schedulers, ReadOnceWhatSeveralBeginWith) {
  const auto e = engine(8192);
  PrefixCache cache(*e->impl().runner, {.memory = size_t{256} << 20});
  Scheduler scheduler(*e, {.prefill_tokens = 100, .memory = size_t{1} << 30, .cache = &cache});
  Ended stream;
  const auto id = submit(scheduler, job(request({1}, 100'000)), stream);
  const std::vector<int32_t> prompt = text(3000, 3);
  std::vector<int32_t> other(prompt.begin(), prompt.begin() + 2000);
  for (const int32_t token : text(300, 8)) other.push_back(token);
  std::vector<Ended> ended(6);
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < ended.size(); ++i) requests.push_back(request(i < 4 ? prompt : other, 20, i));
  for (size_t i = 0; i < ended.size(); ++i) {
    Job j = job(requests[i], fmt::format("client {}", i % 2));
    j.boundaries = {2000, requests[i].prompt.size() - 5};
    submit(scheduler, std::move(j), ended[i]);
  }
  for (Ended& end : ended) ASSERT_TRUE(end.wait());
  scheduler.between_steps([] {});
  EXPECT_LE(scheduler.stats().prompt_tokens, 1 + 3000 + 300 + 5 * 8);
  scheduler.cancel(id);
  ASSERT_TRUE(stream.wait());
  for (size_t i = 0; i < ended.size(); ++i) EXPECT_EQ(ended[i].wait()->tokens, alone(*e, requests[i])) << i;
}

TEST_F(Schedulers, EmbedBesideWhatIsGenerated) {
  const auto e = engine();
  const std::vector<int32_t> of = text(300, 4);
  const auto want = e->embed(of);
  Scheduler scheduler(*e, {.prefill_tokens = 40, .memory = size_t{1} << 30});
  Ended stream, embedding;
  submit(scheduler, job(request({1, 2}, 100)), stream);
  Job j = job(request(of, 100));
  j.request.embed = true;
  submit(scheduler, std::move(j), embedding);
  ASSERT_TRUE(embedding.wait());
  EXPECT_EQ(embedding.wait()->embedding, *want);
  EXPECT_TRUE(embedding.wait()->tokens.empty());
  ASSERT_TRUE(stream.wait());
}

TEST_F(Schedulers, RunOtherWorkBetweenSteps) {
  const auto e = engine();
  Scheduler scheduler(*e, {.memory = size_t{1} << 30});
  Ended stream;
  Gate gate;
  submit(scheduler, gated(job(request({1, 2}, 50)), gate), stream);
  gate.wait_until_reached();
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    gate.open();
  });
  Result<std::vector<float>> embedding = tl::unexpected(Error{});
  scheduler.between_steps([&] { embedding = e->embed(text(20, 1)); });
  ASSERT_TRUE(embedding);
  EXPECT_THROW(scheduler.between_steps([] { throw std::runtime_error("no"); }), std::runtime_error);
  bool nested = false;
  scheduler.between_steps([&] { scheduler.between_steps([&] { nested = true; }); });
  EXPECT_TRUE(nested);
  opener.join();
  ASSERT_TRUE(stream.wait());  // nobody else uses the engine from here on
  EXPECT_EQ(stream.wait()->tokens, alone(*e, request({1, 2}, 50)));
  EXPECT_EQ(*embedding, *e->embed(text(20, 1)));
}

TEST_F(Schedulers, DrainLetsFinishWhatCanAndCancelsTheRest) {
  const auto e = engine();
  {
    Scheduler scheduler(*e, {.max_running = 1, .memory = size_t{1} << 30});
    std::vector<Ended> ended(4);
    for (Ended& end : ended) submit(scheduler, job(request({1, 2}, 20)), end);
    scheduler.drain(100);
    for (Ended& end : ended) {
      EXPECT_EQ(end.times(), 1);
      EXPECT_EQ(end.wait()->finish, FinishReason::length);
    }
    EXPECT_EQ(scheduler.submit(job(request({1}, 1))).error().code, Errc::busy);
    scheduler.between_steps([] {});
  }
  Scheduler scheduler(*e, {.max_running = 1, .memory = size_t{1} << 30});
  std::vector<Ended> ended(3);
  for (Ended& end : ended) {
    Job j = job(request({1, 2}, 3000));
    j.request.on_token = [](const GeneratedToken&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return true;
    };
    submit(scheduler, std::move(j), end);
  }
  scheduler.drain(0.02);
  for (Ended& end : ended) {
    EXPECT_EQ(end.times(), 1);
    EXPECT_EQ(end.wait()->finish, FinishReason::cancelled);
  }
}

TEST_F(Schedulers, EndEverybodyOnceWhenTheyAreDestroyed) {
  const auto e = engine({}, 2);
  for (int round = 0; round < 10; ++round) {
    std::vector<Ended> ended(20);
    {
      Scheduler scheduler(*e, {.max_running = 5, .memory = size_t{1} << 30});
      for (size_t i = 0; i < ended.size(); ++i) submit(scheduler, job(request(text(50, 1), 3000)), ended[i]);
      std::this_thread::sleep_for(std::chrono::milliseconds(round));
    }
    for (Ended& end : ended) {
      EXPECT_EQ(end.times(), 1);
      ASSERT_TRUE(end.wait());
      EXPECT_EQ(end.wait()->finish, FinishReason::cancelled);
    }
  }
}

// The end of one may be the beginning of the next, from the callback itself.
TEST_F(Schedulers, TakeNewWorkFromTheirCallbacks) {
  const auto e = engine();
  std::promise<int> done;
  Scheduler scheduler(*e, {.memory = size_t{1} << 30});
  std::function<void(int)> chain = [&](int left) {
    if (left == 0) return done.set_value(0);
    Job j = job(request({1, left}, 3));
    j.on_end = [&, left](Result<Generation> out, std::unique_ptr<Matcher>) {
      EXPECT_TRUE(out);
      chain(left - 1);
    };
    EXPECT_TRUE(scheduler.submit(std::move(j)));
  };
  chain(10);
  done.get_future().get();
  EXPECT_GE(scheduler.stats().generated_tokens, 27);
}

TEST_F(Schedulers, UseNoProcessorWhileThereIsNothingToDo) {
  const auto e = engine({}, 2);
  Scheduler scheduler(*e, {.memory = size_t{1} << 30});
  Ended ended;
  submit(scheduler, job(request({1, 2}, 20)), ended);
  ASSERT_TRUE(ended.wait());
  const auto used = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double before = used();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(used() - before, 0.03);
}

}  // namespace
}  // namespace quern
