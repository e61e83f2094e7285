// Lists of operations on files of which some cannot be done: the call fails, the rest is done all the same, and the answer says what was not.
#include <array>
#include <set>

#include "eval/families/families.h"

namespace quern {
namespace {

struct Fault {
  SceneStep step;
  std::string reason;  // "there is no a.txt"
};

std::string missing_name(Words& words, const FileWorld& plan) {
  for (;;)
    if (std::string name = words.file_name(); !plan.exists(name)) return name;
}

std::string top_file(Words& words, const FileWorld& plan) {
  const std::vector<std::string> names = plan.files_in("");
  return names[words.random().below(names.size())];
}

Fault missing(Words& words, const FileWorld& plan) {
  const std::string name = missing_name(words, plan), folder = words.folder();
  const std::string reason = "there is no " + name;
  switch (words.between(0, 3)) {
    case 0:
      return {{fill(words.pick({"Delete {0}", "Remove {0}", "Erase {0}", "Get rid of {0}", "Throw away {0}", "Trash {0}"}), {name}),
               {"delete_file", arguments({{"path", name}})},
               ""},
              reason};
    case 1:
      return {{fill(words.pick({"Copy {0} to {1}", "Copy {0} into {1}", "Back up {0} to {1}", "Keep a copy of {0} in {1}",
                                "Duplicate {0} into {1}"}),
                    {name, folder}),
               {"copy_file", arguments({{"from", name}, {"to", in_folder(folder, name)}})},
               ""},
              reason};
    default:
      return {{fill(words.pick({"Move {0} to {1}", "Put {0} into {1}", "Move {0} into {1}", "Bring {0} to {1}",
                                "File {0} under {1}", "Place {0} in {1}"}),
                    {name, folder}),
               {"move_file", arguments({{"from", name}, {"to", in_folder(folder, name)}})},
               ""},
              reason};
  }
}

// Another file has the name already.
Fault taken(Words& words, const FileWorld& plan) {
  const std::string from = top_file(words, plan), to = top_file(words, plan);
  if (from == to) return missing(words, plan);
  const bool copy = words.chance(0.4);
  const auto form = copy ? words.pick({"Copy {0} to {1}", "Copy {0} as {1}", "Duplicate {0} as {1}", "Save a copy of {0} as {1}",
                                       "Make a copy of {0} called {1}"})
                         : words.pick({"Rename {0} to {1}", "Rename {0} as {1}", "Change the name of {0} to {1}",
                                       "Give {0} the new name {1}", "Set the name of {0} to {1}"});
  return {{fill(form, {from, to}), {copy ? "copy_file" : "move_file", arguments({{"from", from}, {"to", to}})}, ""},
          to + " already exists"};
}

ToolEpisode script_with_faults(Random& random, Split split, int64_t calls) {
  Words setup(random, split);
  const auto n = static_cast<size_t>(calls > 0 ? calls : setup.between(3, 12));
  FileScene scene(random, split, some_files(setup, std::max<int64_t>(6, static_cast<int64_t>(n) / 2)));
  Words& words = scene.words;
  FileWorld plan = scene.files();
  std::set<size_t> faulty = {words.random().below(n)};
  if (n > 4 && words.chance(0.5)) faulty.insert(words.random().below(n));
  std::vector<SceneStep> steps;
  std::vector<std::string> requests, reasons, names;
  for (size_t i = 0; i < n; ++i) {
    if (!faulty.contains(i)) {
      steps.push_back(file_step(words, plan));
    } else {
      Fault fault = words.chance(0.35) && plan.files_in("").size() > 1 ? taken(words, plan) : missing(words, plan);
      names.push_back(fault.reason.ends_with(" already exists") ? fault.reason
                                                                : fault.reason.substr(std::string_view("there is ").size()));
      reasons.push_back(std::move(fault.reason));
      steps.push_back(std::move(fault.step));
    }
    requests.push_back(steps.back().request);
  }
  scene.user(script(words, requests));
  for (const SceneStep& step : steps)
    scene.call(step.call, step.request + ".");  // each is said before it is done, as play() has it
  scene.say(fmt::format("Done, except that {}.", listed(reasons)), names);
  return std::move(scene).finish("file_script_faults");
}

constexpr std::array<Family, 1> kFamilies = {{{"file_script_faults", 1, script_with_faults}}};

}  // namespace

std::span<const Family> file_fault_families() { return kFamilies; }

}  // namespace quern
