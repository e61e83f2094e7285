// Many generations at once: tokens a second of 1, 4, 16 and 64 streams together, beside one after another, and the longest gap in a stream
// while a long prompt is read.   bench_batch MODEL [-t THREADS] [-n TOKENS] [-p PROMPT] [STREAMS]…
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <vector>

#include "base/random.h"
#include "runtime/engine_impl.h"
#include "runtime/scheduler.h"

namespace quern {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Measured {
  double seconds = 0;        // from the first token of the last stream that began to the first end
  double tokens_s = 0;       // of all streams together, in that time
  double first_token_s = 0;  // the last stream's
  double longest_gap_s = 0;  // between two tokens of a stream, all the time
};

class Streams {
 public:
  Streams(Scheduler& scheduler, int64_t vocab) : scheduler_(scheduler), vocab_(vocab) {}

  Measured run(int64_t streams, int64_t prompt, int64_t tokens, int64_t long_prompt) {
    start_ = Clock::now();
    times_.assign(static_cast<size_t>(streams), {});
    running_ = streams + (long_prompt > 0 ? 1 : 0);
    for (int64_t i = 0; i < streams; ++i) submit(prompt, tokens, &times_[static_cast<size_t>(i)]);
    if (long_prompt > 0) submit(long_prompt, 1, nullptr);
    std::unique_lock lock(mutex_);
    over_.wait(lock, [&] { return running_ == 0; });
    return measured();
  }

 private:
  void submit(int64_t prompt, int64_t tokens, std::vector<double>* times) {
    Job job;
    for (int64_t i = 0; i < prompt; ++i)
      job.request.prompt.push_back(static_cast<int32_t>(random_.below(static_cast<uint64_t>(vocab_))));
    job.request.max_tokens = tokens;
    job.request.ignore_eos = true;
    if (times)
      job.request.on_token = [this, times](const GeneratedToken& token) {
        if (token.id >= 0) times->push_back(since(start_));
        return true;
      };
    job.on_end = [this](const Result<Generation>& out, const std::unique_ptr<Matcher>&) {
      if (!out) std::fprintf(stderr, "%s\n", out.error().message.c_str());
      const std::lock_guard lock(mutex_);
      --running_;
      over_.notify_one();
    };
    if (const auto id = scheduler_.submit(std::move(job)); !id) {
      std::fprintf(stderr, "%s\n", id.error().message.c_str());
      std::exit(1);
    }
  }

  Measured measured() const {
    Measured m;
    double end = 1e300;
    for (const auto& times : times_) {
      if (times.empty()) continue;
      m.first_token_s = std::max(m.first_token_s, times.front());
      end = std::min(end, times.back());
      for (size_t i = 1; i < times.size(); ++i) m.longest_gap_s = std::max(m.longest_gap_s, times[i] - times[i - 1]);
    }
    m.seconds = end - m.first_token_s;
    int64_t tokens = 0;
    for (const auto& times : times_)
      tokens += std::count_if(times.begin(), times.end(), [&](double at) { return at > m.first_token_s && at <= end; });
    m.tokens_s = static_cast<double>(tokens) / m.seconds;
    return m;
  }

  Scheduler& scheduler_;
  int64_t vocab_;
  Random random_{1};
  Clock::time_point start_;
  std::vector<std::vector<double>> times_;
  std::mutex mutex_;
  std::condition_variable over_;
  int64_t running_ = 0;
};

int bench(const EngineOptions& options, int64_t prompt, int64_t tokens, int64_t long_prompt, const std::vector<int64_t>& counts) {
  const auto engine = Engine::load(options);
  if (!engine) {
    std::fprintf(stderr, "%s\n", engine.error().message.c_str());
    return 1;
  }
  Scheduler scheduler(**engine, {});
  Streams streams(scheduler, (*engine)->impl().drawable);
  streams.run(1, prompt, std::min<int64_t>(tokens, 16), 0);  // pages come in
  std::printf("%8s %14s %14s %16s %14s\n", "streams", "tokens/s", "each", "last's first, s", "longest gap, s");
  for (const int64_t count : counts) {
    const Measured m = streams.run(count, prompt, tokens, 0);
    std::printf("%8lld %14.1f %14.1f %16.3f %14.3f\n", static_cast<long long>(count), m.tokens_s,
                m.tokens_s / static_cast<double>(count), m.first_token_s, m.longest_gap_s);
    std::fflush(stdout);
  }
  if (long_prompt > 0) {
    const Measured m = streams.run(4, prompt, tokens, long_prompt);
    std::printf("4 streams while a prompt of %lld tokens is read: %.1f tokens/s, longest gap %.3f s\n",
                static_cast<long long>(long_prompt), m.tokens_s, m.longest_gap_s);
  }
  return 0;
}

}  // namespace
}  // namespace quern

int main(int argc, char** argv) {
  CLI::App app("Tokens a second of many streams together");
  quern::EngineOptions options;
  int64_t prompt = 8, tokens = 64, long_prompt = 0;
  std::vector<int64_t> counts{1, 4, 16, 64};
  app.add_option("model", options.model, "Folder or .gguf file")->required();
  app.add_option("-t", options.threads, "Threads; 0: the cores there are");
  app.add_option("-p", prompt, "Tokens of each prompt")->check(CLI::Range(1, 100000));
  app.add_option("-n", tokens, "Tokens that each stream generates")->check(CLI::Range(2, 100000));
  app.add_option("-l", long_prompt, "Tokens of a prompt that is read while 4 streams go on; 0: none")
      ->check(CLI::Range(0, 1000000));
  app.add_option("-s,--streams", counts, "Numbers of streams")->check(CLI::Range(1, 100000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return quern::bench(options, prompt, tokens, long_prompt, counts);
}
