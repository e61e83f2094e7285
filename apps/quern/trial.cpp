#include "trial.h"

#include "runtime/engine_impl.h"

namespace quern {

tl::unexpected<Error> no_tokenizer(const std::filesystem::path& model) {
  return fail(Errc::not_found, "{} has no tokenizer: there is no text that it could read", model.string());
}

Result<std::unique_ptr<Engine>> load_reader(const CommonOptions& options) {
  QUERN_ASSIGN(const EngineOptions engine_options, options.engine());
  QUERN_ASSIGN(auto engine, Engine::load(engine_options));
  if (!engine->tokenizer()) return fail(Errc::not_found, "{} has no tokenizer", engine_options.model.string());
  return engine;
}

Result<Sample> sample_for(const Engine& engine, SampleRequest request) {
  if (!engine.tokenizer()) return no_tokenizer(engine.impl().options.model);
  request.format = engine.chat_format();
  return make_sample(request, *engine.tokenizer());
}

Result<std::optional<AtomicFile>> open_chart(const std::string& path) {
  std::optional<AtomicFile> chart;
  if (!path.empty()) {
    QUERN_ASSIGN(chart, AtomicFile::create(path));
  }
  return chart;
}

}  // namespace quern
