// What an Engine is made of; for runtime/ and for commands that need logits, timings or the model itself.
#pragma once

#include <mutex>

#include "base/thread_pool.h"
#include "formats/config_json.h"
#include "model/model.h"
#include "model/ops/cpu_ops.h"
#include "runtime/engine.h"
#include "runtime/timeline.h"

namespace quern {

struct Engine::Impl {
  EngineOptions options;
  std::shared_ptr<const Model> model;
  GenerationConfig generation;
  std::optional<Tokenizer> tokenizer;
  ChatFormat chat_format = ChatFormat::instruct;
  std::vector<int32_t> end_ids;  // generation stops at these
  int64_t drawable = 0;          // ids from here on have no token and are never sampled
  Isa isa = Isa::scalar;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Workspace> workspace;
  std::unique_ptr<Runner> runner;
  double load_s = 0;
  std::once_flag vocabulary_once;
  std::unique_ptr<const Vocabulary> vocabulary;  // Engine::vocabulary()
  ConstraintCache constraints;                   // refers to it
};

}  // namespace quern
