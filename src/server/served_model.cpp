// How a model that is served comes to be, and what it weighs.
#include <algorithm>

#include "base/file.h"
#include "base/random.h"
#include "formats/gguf.h"
#include "runtime/engine_impl.h"
#include "server/models.h"

namespace quern {
namespace fs = std::filesystem;

std::string model_folder_name(const std::string& model) {
  std::string name;
  for (const char c : model) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    name += plain ? c : '_';
  }
  return fmt::format("{}-{:08x}", name.substr(0, 60), static_cast<uint32_t>(fnv1a_64(model)));
}

size_t model_bytes(const fs::path& path) {
  std::error_code error;
  const bool is_file = fs::is_regular_file(path, error);
  const bool is_part = is_file && gguf_part(path.filename().string()) > 0;
  if (is_file && !is_part) return static_cast<size_t>(fs::file_size(path, error));
  const std::string stem = is_part ? path.filename().string().substr(0, path.filename().string().rfind("-of-") - 5) : "";
  size_t bytes = 0;
  for (fs::directory_iterator entry(is_part ? path.parent_path() : path, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string(), extension = entry->path().extension().string();
    if (is_part ? !name.starts_with(stem) || gguf_part(name) == 0 : extension != ".safetensors" && extension != ".gguf") continue;
    std::error_code ignored;
    if (const auto size = fs::file_size(entry->path(), ignored); !ignored) bytes += static_cast<size_t>(size);
  }
  return bytes;
}

Result<std::shared_ptr<ServedModel>> load_served_model(const ModelPool::Options& options, const ModelEntry& entry, size_t states) {
  auto served = std::make_shared<ServedModel>();
  served->entry = entry;
  EngineOptions engine = options.engine;
  engine.model = entry.path;
  QUERN_ASSIGN(served->engine, Engine::load(engine));
  served->weights = std::make_unique<MappedResidency>(served->engine->impl().model->checkpoint.mappings());
  PrefixCacheOptions cache = options.cache;
  cache.memory = std::min(cache.memory, states / 4);
  if (!cache.on_warning && options.on_event)
    cache.on_warning = [event = options.on_event, name = entry.name](const std::string& line) {
      event(fmt::format("model {}: {}", name, line));
    };
  if (!cache.folder.empty()) {
    cache.folder /= model_folder_name(entry.name);
    QUERN_TRY(make_private_folders(cache.folder));
  }
  served->cache = std::make_unique<PrefixCache>(*served->engine->impl().runner, cache);
  served->cache_report.note(*served->cache);
  if (const Tokenizer* tokenizer = served->engine->tokenizer()) {
    served->replay = std::make_unique<ReplayStore>(*tokenizer, served->engine->chat_format());
    if (!cache.folder.empty())
      if (const auto kept = served->replay->keep_in(cache.folder / "turns"); !kept && cache.on_warning)
        cache.on_warning(kept.error().message);
  }
  SchedulerOptions scheduler = options.scheduler;
  scheduler.cache = served->cache.get();
  scheduler.memory = states - cache.memory;
  served->scheduler = std::make_unique<Scheduler>(*served->engine, scheduler);
  return served;
}

}  // namespace quern
