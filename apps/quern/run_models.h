// The models of a run: the task's, and those that some of its steps have instead. All are loaded before anything is done, each once: weights
// are mapped, so what a model costs while another one is at work is up to the page cache.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/engine_model.h"
#include "agent/task/run_record.h"
#include "command.h"

namespace quern {

class RunModels {
 public:
  // choices: what the command says; its model stands in place of the task's, not of a step's, its temperature and seed come before all. The
  // task must outlive this. Errors name the step.
  static Result<RunModels> load(const Task& task, const RunChoices& choices, const CommonOptions& common);

  // The model of a step, set to sample as the step says.
  EngineModel& of(const TaskStep& step) const;
  // The task's own, where steps say nothing else: its seed is the run's, its path is shown.
  const std::string& path() const { return path_; }
  uint64_t seed() const { return seed_; }

 private:
  struct Loaded {
    std::filesystem::path path;
    std::string chat_template;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<EngineModel> model;
  };

  Result<const Loaded*> loaded(const TaskModel& said, const CommonOptions& common);
  TaskModel said_of(const TaskStep& step) const;

  const Task* task_ = nullptr;
  RunChoices choices_;
  std::string path_;
  uint64_t seed_ = 1;
  std::vector<std::unique_ptr<Loaded>> all_;
  std::vector<std::pair<const TaskStep*, const Loaded*>> by_step_;
};

}  // namespace quern
