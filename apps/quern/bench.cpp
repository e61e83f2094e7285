// quern bench: prefill and decode speed, memory, time to the first token, and the share of this machine's read bandwidth that decoding
// reaches: a decoded token reads each active weight once, so bytes per token over bandwidth is the floor. Prefill's roof is what the
// multipliers give.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "base/json.h"
#include "base/random.h"
#include "base/read_bandwidth.h"
#include "command.h"
#include "kernels/int8_peak/int8_peak.h"
#include "model/model_facts.h"
#include "runtime/engine_impl.h"
#include "runtime/sampler.h"

namespace quern {
namespace {

struct Options {
  CommonOptions common;
  int64_t prompt = 512, generated = 64, depth = 0, repeats = 3;
  bool json = false;
};

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n == 0 ? 0 : n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// Of this process now, without mapped files: what running takes beside the weights. 0 where the kernel does not say.
int64_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (int64_t kilobytes = 0; word == "RssAnon:" && status >> kilobytes) return kilobytes * 1024;
  return 0;
}

Result<int> bench(const Options& o) {
  QUERN_ASSIGN(const EngineOptions engine_options, o.common.engine());
  QUERN_ASSIGN(const auto engine, Engine::load(engine_options));
  const Engine::Impl& impl = engine->impl();
  Random random(1);
  std::vector<int32_t> ids(static_cast<size_t>(o.depth + o.prompt));
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(static_cast<uint64_t>(impl.drawable)));
  const std::span<const int32_t> all(ids);

  std::vector<double> prefill, decode, first_token;
  Progress progress("bench");
  for (int64_t r = 0; r < o.repeats; ++r) {
    Timeline timeline(*impl.runner);
    QUERN_TRY(timeline.feed(all.first(static_cast<size_t>(o.depth))));
    const auto start = Clock::now();
    QUERN_TRY(timeline.feed(all.subspan(static_cast<size_t>(o.depth))));
    prefill.push_back(static_cast<double>(o.prompt) / since(start));
    int32_t found = argmax(timeline.logits());
    first_token.push_back(since(start));
    const auto decode_start = Clock::now();
    for (int64_t i = 0; i < o.generated; ++i) {
      // Any token but the one found: greedy text runs in circles, whose experts stay in the caches.
      const auto others = static_cast<uint64_t>(impl.drawable - 1);
      const auto token = static_cast<int32_t>((static_cast<uint64_t>(found) + 1 + random.below(others)) % (others + 1));
      QUERN_TRY(timeline.feed(std::span(&token, 1)));
      found = argmax(timeline.logits());
    }
    decode.push_back(static_cast<double>(o.generated) / since(decode_start));
    progress.update(static_cast<double>(r + 1), static_cast<double>(o.repeats));
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);  // before the bandwidth is measured, whose memory is not the model's
  const int64_t anonymous = anonymous_bytes();
  const double bandwidth = read_bandwidth(*impl.pool);
  const double peak = int8_peak(*impl.pool, impl.isa);
  const ModelFacts facts = model_facts(*impl.model);
  const double per_token = static_cast<double>(facts.bytes_per_token), decode_tps = median(decode),
               share = decode_tps * per_token / bandwidth,
               prefill_share = median(prefill) * static_cast<double>(facts.prompt_parameters) / peak;
  Json out = Json::object();
  out["prefill_tps"] = median(prefill);
  out["decode_tps"] = decode_tps;
  out["load_s"] = impl.load_s;
  out["first_token_s"] = median(first_token);
  out["peak_rss_bytes"] = int64_t{usage.ru_maxrss} * 1024;
  out["anonymous_bytes"] = anonymous;
  out["bytes_per_token"] = per_token;
  out["read_bandwidth_gbs"] = bandwidth / 1e9;
  out["decode_roof_share"] = share;
  out["int8_peak_tops"] = 2 * peak / 1e12;
  out["prefill_peak_share"] = prefill_share;
  out["prompt"] = o.prompt;
  out["generated"] = o.generated;
  out["depth"] = o.depth;
  out["repeats"] = o.repeats;
  out["threads"] = impl.pool->size();
  out["isa"] = isa_name(impl.isa);
  if (o.json) {
    QUERN_TRY(print_out(out.dump() + "\n"));
    return kSuccess;
  }
  QUERN_TRY(print_out(fmt::format(
      "{}, {} threads, {}, median of {}\n"
      "  load             {:>10.2f} s\n"
      "  prefill {:>6}   {:>10.1f} tokens/s   at depth {}\n"
      "  first token      {:>10.3f} s\n"
      "  decode {:>6}    {:>10.1f} tokens/s   {:.1f} MB a token\n"
      "  memory bandwidth {:>10.1f} GB/s read; decoding reaches {:.0f} % of the roof it sets\n"
      "  int8 products    {:>10.2f} Top/s; prefill reaches {:.0f} % of them\n"
      "  peak memory      {:>10.1f} MB; without mapped files {:.1f} MB\n",
      engine_options.model.string(), impl.pool->size(), isa_name(impl.isa), o.repeats, impl.load_s, o.prompt, median(prefill),
      o.depth, median(first_token), o.generated, decode_tps, per_token / 1e6, bandwidth / 1e9, 100 * share, 2 * peak / 1e12,
      100 * prefill_share, static_cast<double>(usage.ru_maxrss) * 1.024e-3, static_cast<double>(anonymous) / 1e6)));
  return kSuccess;
}

}  // namespace

void add_bench_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "bench", "Measure prefill and decode speed and what share of the roof they reach");
  command->footer(
      "Example:\n  quern bench -p 512 -n 64 -r 5 --json\n\nSmall models live in the caches and may pass the memory roof; that "
      "share means something for models larger than those. Int8 products are those of registers alone: with weights in f32 or bf16 "
      "prefill makes none, and that share means little.");
  const auto positive = CLI::Range(int64_t{1}, int64_t{1} << 31);
  command->add_option("-p", o->prompt, "Prompt tokens")->check(positive)->capture_default_str();
  command->add_option("-n", o->generated, "Tokens to decode")->check(positive)->capture_default_str();
  command->add_option("-d", o->depth, "Tokens already in the context")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31))
      ->capture_default_str();
  command->add_option("-r", o->repeats, "Repeats; medians are reported")->check(CLI::Range(1, 1000))->capture_default_str();
  command->add_flag("--json", o->json, "One JSON document");
  o->common.add_to(*command, "bf16");
  command->callback([o, &body] { body = [o] { return bench(*o); }; });
}

}  // namespace quern
