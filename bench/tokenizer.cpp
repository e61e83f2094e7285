// Encoding and decoding speed on one thread, with pebble's tokenizer or the one named in QUERN_TOKENIZER, over English text: the
// repository's own documentation.
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "base/file.h"
#include "text/tokenizer.h"

namespace quern {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer loaded = [] {
    const char* named = std::getenv("QUERN_TOKENIZER");
    auto result = Tokenizer::load(named ? named : QUERN_REPO "/models/pebble/tokenizer.json");
    if (!result) {
      fmt::print(stderr, "{}\n", result.error().message);
      std::exit(1);
    }
    return std::move(*result);
  }();
  return loaded;
}

// At least `bytes` of prose.
std::string english(size_t bytes) {
  std::string text;
  for (const char* name : {"architecture.md", "run-tasks.md", "tune.md", "long-context.md"})
    text += read_file(std::filesystem::path(QUERN_REPO "/docs") / name, size_t{1} << 20).value_or("");
  while (!text.empty() && text.size() < bytes) text += text;
  return text;
}

void encode(benchmark::State& state) {
  const std::string text = english(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer().encode(text, false));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(encode)->Arg(1 << 12)->Arg(1 << 22)->Unit(benchmark::kMillisecond);

void decode(benchmark::State& state) {
  const std::string text = english(1 << 20);
  const auto ids = tokenizer().encode(text, false).value_or(std::vector<int32_t>{});
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer().decode(ids));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(decode)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace quern

BENCHMARK_MAIN();
