// quern bench: prefill and decode speed, memory, time to the first token, and the share of this machine's read bandwidth that decoding
// reaches: a decoded token reads each active weight once, so bytes per token over bandwidth is the floor. Prefill's roof is what the
// multipliers give.
#include <sys/resource.h>

#include <algorithm>
#include <fstream>

#include "base/clock.h"
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
  int64_t prompt = 512, generated = 64, repeats = 3;
  std::vector<int64_t> depths{0};
  bool json = false;
};

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

// What is measured at one depth.
struct Measured {
  Timeline context;  // read once: each repeat goes on from a copy
  std::vector<double> prefill, decode, first_token;
  int64_t anonymous_bytes = 0;  // while the last repeat's tokens are there

  int64_t depth() const { return static_cast<int64_t>(context.tokens().size()); }
};

Result<std::vector<Measured>> read_contexts(const Engine::Impl& impl, const Options& o, std::span<const int32_t> ids) {
  std::vector<int64_t> ascending = o.depths;
  std::sort(ascending.begin(), ascending.end());
  Progress progress("context");
  std::vector<Measured> all;
  for (const int64_t depth : ascending) {
    Timeline context = all.empty() ? Timeline(*impl.runner) : all.back().context;
    const std::span<const int32_t> more =
        ids.subspan(context.tokens().size(), static_cast<size_t>(depth) - context.tokens().size());
    QUERN_TRY(context.feed(more, Batch::Logits::last, [&](int64_t first, std::span<const int32_t> tokens) {
      progress.update(static_cast<double>(first) + static_cast<double>(tokens.size()), static_cast<double>(ascending.back()));
      return true;
    }));
    all.push_back({.context = std::move(context)});
  }
  std::stable_sort(all.begin(), all.end(), [&](const Measured& a, const Measured& b) {  // as they were asked for
    const auto place = [&](const Measured& m) { return std::find(o.depths.begin(), o.depths.end(), m.depth()); };
    return place(a) < place(b);
  });
  return all;
}

Result<void> measure(const Engine::Impl& impl, const Options& o, std::span<const int32_t> prompt, Random& random, Measured& m) {
  Timeline timeline = m.context;
  const auto start = Clock::now();
  QUERN_TRY(timeline.feed(prompt));
  m.prefill.push_back(static_cast<double>(o.prompt) / seconds_since(start));
  int32_t found = argmax(timeline.logits());
  m.first_token.push_back(seconds_since(start));
  const auto decode_start = Clock::now();
  for (int64_t i = 0; i < o.generated; ++i) {
    // Any token but the one found: greedy text runs in circles, whose experts stay in the caches.
    const auto others = static_cast<uint64_t>(impl.drawable - 1);
    const auto token = static_cast<int32_t>((static_cast<uint64_t>(found) + 1 + random.below(others)) % (others + 1));
    QUERN_TRY(timeline.feed(std::span(&token, 1)));
    found = argmax(timeline.logits());
  }
  m.decode.push_back(static_cast<double>(o.generated) / seconds_since(decode_start));
  m.anonymous_bytes = anonymous_bytes();
  return {};
}

// A line for each further depth: its medians, and those of the first as shares.
std::string further_depths(std::span<const Measured> all) {
  std::string text;
  for (const Measured& m : all.subspan(1))
    text += fmt::format("  at depth {:>8} prefill {:.1f} tokens/s, {:.0f} % of that at {}; decode {:.1f}, {:.0f} %\n", m.depth(),
                        median(m.prefill), 100 * median(m.prefill) / median(all[0].prefill), all[0].depth(), median(m.decode),
                        100 * median(m.decode) / median(all[0].decode));
  return text;
}

Result<int> bench(const Options& o) {
  QUERN_ASSIGN(const EngineOptions engine_options, o.common.engine());
  QUERN_ASSIGN(const auto engine, Engine::load(engine_options));
  const Engine::Impl& impl = engine->impl();
  Random random(1);
  std::vector<int32_t> ids(static_cast<size_t>(std::ranges::max(o.depths) + o.prompt));
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(static_cast<uint64_t>(impl.drawable)));

  QUERN_ASSIGN(std::vector<Measured> measured, read_contexts(impl, o, ids));
  Progress progress("bench");
  for (int64_t r = 0; r < o.repeats; ++r) {  // in alternation: what else the machine does is done to all
    for (Measured& m : measured)
      QUERN_TRY(measure(impl, o, std::span(ids).subspan(m.context.tokens().size(), static_cast<size_t>(o.prompt)), random, m));
    progress.update(static_cast<double>(r + 1), static_cast<double>(o.repeats));
  }
  const Measured& first = measured.front();
  const double prefill_tps = median(first.prefill), decode_tps = median(first.decode);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);  // before the bandwidth is measured, whose memory is not the model's
  const double bandwidth = read_bandwidth(*impl.pool);
  const double peak = int8_peak(*impl.pool, impl.isa);
  const ModelFacts facts = model_facts(*impl.model);
  const double per_token = static_cast<double>(facts.bytes_per_token), share = decode_tps * per_token / bandwidth,
               prefill_share = prefill_tps * static_cast<double>(facts.prompt_parameters) / peak;
  Json out = Json::object();
  out["prefill_tps"] = prefill_tps;
  out["decode_tps"] = decode_tps;
  out["load_s"] = impl.load_s;
  out["first_token_s"] = median(first.first_token);
  out["peak_rss_bytes"] = int64_t{usage.ru_maxrss} * 1024;
  out["anonymous_bytes"] = first.anonymous_bytes;
  out["bytes_per_token"] = per_token;
  out["read_bandwidth_gbs"] = bandwidth / 1e9;
  out["decode_roof_share"] = share;
  out["int8_peak_tops"] = 2 * peak / 1e12;
  out["prefill_peak_share"] = prefill_share;
  out["prompt"] = o.prompt;
  out["generated"] = o.generated;
  out["depth"] = first.depth();
  for (const Measured& m : measured) {
    Json of = Json::object();
    of["depth"] = m.depth();
    of["prefill_tps"] = median(m.prefill);
    of["decode_tps"] = median(m.decode);
    of["first_token_s"] = median(m.first_token);
    out["depths"].push_back(std::move(of));
  }
  out["repeats"] = o.repeats;
  out["threads"] = impl.pool->size();
  out["isa"] = isa_name(impl.isa);
  if (o.json) {
    QUERN_TRY(print_out(out.dump() + "\n"));
    return kSuccess;
  }
  QUERN_TRY(print_out(
      fmt::format("{}, {} threads, {}, median of {}\n"
                  "  load             {:>10.2f} s\n"
                  "  prefill {:>6}   {:>10.1f} tokens/s   at depth {}\n"
                  "  first token      {:>10.3f} s\n"
                  "  decode {:>6}    {:>10.1f} tokens/s   {:.1f} MB a token\n"
                  "  memory bandwidth {:>10.1f} GB/s read; decoding reaches {:.0f} % of the roof it sets\n"
                  "  int8 products    {:>10.2f} Top/s; prefill reaches {:.0f} % of them\n"
                  "  peak memory      {:>10.1f} MB; without mapped files {:.1f} MB\n{}",
                  engine_options.model.string(), impl.pool->size(), isa_name(impl.isa), o.repeats, impl.load_s, o.prompt,
                  prefill_tps, first.depth(), median(first.first_token), o.generated, decode_tps, per_token / 1e6, bandwidth / 1e9,
                  100 * share, 2 * peak / 1e12, 100 * prefill_share, static_cast<double>(usage.ru_maxrss) * 1.024e-3,
                  static_cast<double>(first.anonymous_bytes) / 1e6, further_depths(measured))));
  return kSuccess;
}

}  // namespace

void add_bench_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "bench", "Measure prefill and decode speed and what share of the roof they reach");
  command->footer(
      "Example:\n  quern bench -p 512 -n 64 -r 5 --json\n  quern bench -d 0,32768\n\nSmall models live in the caches and may pass the memory roof; that "
      "share means something for models larger than those. Int8 products are those of registers alone: with weights in f32 or bf16 "
      "prefill makes none, and that share means little.");
  const auto positive = CLI::Range(int64_t{1}, int64_t{1} << 31);
  command->add_option("-p", o->prompt, "Prompt tokens")->check(positive)->capture_default_str();
  command->add_option("-n", o->generated, "Tokens to decode")->check(positive)->capture_default_str();
  command->add_option("-d", o->depths, "Tokens already in the context; several, separated by commas, are measured in alternation")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31))
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("-r", o->repeats, "Repeats; medians are reported")->check(CLI::Range(1, 1000))->capture_default_str();
  command->add_flag("--json", o->json, "One JSON document");
  o->common.add_to(*command, "bf16");
  command->callback([o, &body] { body = [o] { return bench(*o); }; });
}

}  // namespace quern
