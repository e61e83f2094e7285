// Comparing a model with what it was made from: the flags and the work that `quern compare` and `quern quantize --report` share.
#pragma once

#include <optional>

#include "command.h"
#include "eval/quality_report.h"

namespace quern {

struct ComparisonOptions {
  std::string text, report;
  int64_t tokens = 8192, episodes = 8, length = 8;
  std::string split = "training";  // of held-out chains pebble fails most with any weights; others know neither
  uint64_t seed = 1;
  std::optional<KvFormat> result_kv;  // of the result's cache; absent: as the source's

  void add_to(CLI::App& app);  // all but --report
  // A place that cannot be written to, an ending that is neither .json nor .html, or the name of a model's file, which may be one or become
  // one while the model is written, is found out before the work. `models`: those that are compared.
  Result<void> check_report(std::initializer_list<std::filesystem::path> models) const;
  // So is what compare_models could not read of a model that will be its source: no tokenizer, or a text that does not parse.
  Result<void> check_source(const std::filesystem::path& source) const;
  Result<void> write_report(const QualityReport& report) const;
};

// engine.model is not looked at.
Result<QualityReport> compare_models(const std::filesystem::path& source, const std::filesystem::path& result,
                                     const EngineOptions& engine, const ComparisonOptions& options);

}  // namespace quern
