#include "run_models.h"

#include <algorithm>

#include "base/utf8.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// A path from the task's folder, or whatever --model takes.
std::string name_of(const Task& task, const std::string& said) {
  std::error_code ignored;
  const fs::path beside = task.folder / said;
  return !said.empty() && fs::exists(beside, ignored) ? beside.string() : said;
}

// The command's word, else the step's, else the task's, else greedy with seed 1.
SamplingParams sampling_of(const Engine& engine, const TaskModel& said, const RunChoices& choices) {
  SamplingParams sampling = engine.default_sampling();
  sampling.temperature = choices.temperature ? *choices.temperature : said.temperature.value_or(0);
  if (said.top_p) sampling.top_p = *said.top_p;
  if (said.top_k) sampling.top_k = *said.top_k;
  if (said.min_p) sampling.min_p = *said.min_p;
  sampling.seed = choices.seed ? *choices.seed : said.seed.value_or(1);
  return sampling;
}

}  // namespace

Result<RunModels> RunModels::load(const Task& task, const RunChoices& choices, const CommonOptions& common) {
  RunModels models;
  models.task_ = &task;
  models.choices_ = choices;
  models.seed_ = choices.seed ? *choices.seed : task.model.seed.value_or(1);
  QUERN_ASSIGN(const fs::path own, find_model(choices.model.empty() ? name_of(task, task.model.named) : choices.model));
  models.path_ = replace_invalid_utf8(own.string());
  for (const auto* steps : {&task.steps, &task.on_failure})
    for (const TaskStep& step : *steps) {
      const auto loaded = models.loaded(models.said_of(step), common);
      if (!loaded && step.name.empty()) return tl::unexpected(loaded.error());
      if (!loaded) return with_context(loaded.error(), "step " + step.name);
      models.by_step_.emplace_back(&step, *loaded);
    }
  return models;
}

TaskModel RunModels::said_of(const TaskStep& step) const {
  TaskModel said = task_->model_of(step);
  if (step.model.named.empty() && !choices_.model.empty()) said.named = choices_.model;
  return said;
}

Result<const RunModels::Loaded*> RunModels::loaded(const TaskModel& said, const CommonOptions& common) {
  QUERN_ASSIGN(fs::path path, find_model(said.named == choices_.model ? said.named : name_of(*task_, said.named)));
  for (const auto& one : all_)
    if (one->path == path && one->chat_template == said.chat_template) return one.get();
  QUERN_ASSIGN(EngineOptions options, common.engine_for(path));
  if (!options.chat_format && !said.chat_template.empty()) {
    QUERN_ASSIGN(options.chat_format, parse_chat_format(said.chat_template));
  }
  auto made = std::make_unique<Loaded>();
  made->path = std::move(path);
  made->chat_template = said.chat_template;
  QUERN_ASSIGN(made->engine, Engine::load(options));
  QUERN_ASSIGN(made->model, EngineModel::create(*made->engine, {.sampling = sampling_of(*made->engine, said, choices_),
                                                                .constrained = !choices_.unconstrained}));
  all_.push_back(std::move(made));
  return all_.back().get();
}

EngineModel& RunModels::of(const TaskStep& step) const {
  const auto found = std::find_if(by_step_.begin(), by_step_.end(), [&](const auto& one) { return one.first == &step; });
  const Loaded& loaded = found == by_step_.end() ? *all_.front() : *found->second;
  loaded.model->set_sampling(sampling_of(*loaded.engine, said_of(step), choices_));
  return *loaded.model;
}

}  // namespace quern
