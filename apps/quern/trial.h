// What commands that try a model out share: an engine that can read, the text that it reads, the picture of what came of it.
#pragma once

#include <optional>

#include "base/file.h"
#include "command.h"
#include "eval/sample.h"

namespace quern {

// The error not_found of a model that cannot read.
tl::unexpected<Error> no_tokenizer(const std::filesystem::path& model);

// --model, which must have a tokenizer.
Result<std::unique_ptr<Engine>> load_reader(const CommonOptions& options);

// make_sample in the engine's chat format, by its tokenizer. Errors: its; not_found (no tokenizer).
Result<Sample> sample_for(const Engine& engine, SampleRequest request);

// --svg FILE, absent without one: a place that cannot be written to is found out before the work.
Result<std::optional<AtomicFile>> open_chart(const std::string& path);

}  // namespace quern
