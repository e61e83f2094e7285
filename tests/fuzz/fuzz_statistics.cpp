// A file of `quern calibrate`: what is accepted has importances that an encoder may be given.
#include <cmath>

#include "base/file.h"
#include "convert/input_statistics.h"
#include "fuzz.h"
#include "scratch_folder.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::ScratchFolder folder;
  folder.write("in", fuzz::text_of(data, size));
  const auto statistics = InputStatistics::load(folder.path() / "in");
  if (!fuzz::succeeded(statistics)) return 0;
  QUERN_CHECK(statistics->tokens() >= 0, statistics->tokens());
  for (const char* name : {"lm_head.weight", "model.layers.0.mlp.experts.0.down_proj.weight"})
    for (const float value : statistics->importance(name)) QUERN_CHECK(std::isfinite(value) && value >= 0, name, value);
  QUERN_CHECK(statistics->experts_with_few_tokens() <= static_cast<int64_t>(statistics->matrices()));
  (void)statistics->digest();
  return 0;
}
