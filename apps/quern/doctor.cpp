// quern doctor: whether this machine is as good for running models as it could be; and what `quern` alone says.
#include <unistd.h>

#include <algorithm>

#include "base/memory.h"
#include "catalogue/fit.h"
#include "catalogue/summary.h"
#include "command.h"
#include "machine_checks.h"
#include "models.h"
#include "terminal.h"

namespace quern {
namespace {

constexpr size_t kConversation = 32'768;  // tokens that memory is planned for

std::string_view colour_of(MachineCheck::State state) {
  return state == MachineCheck::State::ok ? colour::green : state == MachineCheck::State::better ? colour::yellow : colour::red;
}

std::string as_text(const MachineReport& report) {
  const bool coloured = may_colour(STDOUT_FILENO);
  size_t name = 0;
  for (const MachineCheck& check : report.checks) name = std::max(name, check.name.size());
  std::string out;
  for (const MachineCheck& check : report.checks) {
    out += fmt::format("{:<{}}  {}  {}\n", check.name, name,
                       painted(fmt::format("{:<15}", state_name(check.state)), colour_of(check.state), coloured), check.found);
    if (!check.advice.empty()) out += fmt::format("{:<{}}  {}\n", "", name + 19, check.advice);
  }
  return out;
}

// A line for each form of the 80B model: how large it is with a conversation, and whether that fits.
Result<std::string> plan_text(size_t available, std::string_view indent) {
  QUERN_ASSIGN(const auto sizes, sizes_of_80b());
  std::string out;
  for (const ModelSize& size : sizes) {
    const size_t needed = size.needed(kConversation);
    const std::string verdict = needed <= available ? "fits" : fmt::format("needs {} more", size_text(needed - available));
    out += fmt::format("{}{:<8}{:<7}{:>10}  {}\n", indent, size.recipe, size.gguf ? "GGUF" : "folder", size_text(needed), verdict);
  }
  return out;
}

Json as_json(const MachineReport& report, const std::vector<ModelSize>& sizes) {
  Json json = Json::object();
  json["checks"] = Json::array();
  for (const MachineCheck& check : report.checks) {
    Json one = Json::object();
    one["name"] = check.name;
    one["state"] = check.state == MachineCheck::State::better ? "better" : state_name(check.state);
    one["found"] = check.found;
    one["advice"] = check.advice.empty() ? Json() : Json(check.advice);
    json["checks"].push_back(std::move(one));
  }
  json["memory_bytes"] = static_cast<uint64_t>(report.memory_bytes);
  json["available_bytes"] = static_cast<uint64_t>(report.available_bytes);
  json["read_bandwidth_gbs"] = report.bandwidth > 0 ? Json(report.bandwidth / 1e9) : Json();
  json["plan_80b"] = Json::array();
  for (const ModelSize& size : sizes) {
    Json one = Json::object();
    one["format"] = size.recipe;
    one["container"] = size.gguf ? "gguf" : "folder";
    one["weights_bytes"] = static_cast<uint64_t>(size.weights_bytes);
    one["needed_bytes"] = static_cast<uint64_t>(size.needed(kConversation));
    one["fits"] = size.needed(kConversation) <= report.available_bytes;
    json["plan_80b"].push_back(std::move(one));
  }
  return json;
}

Result<int> doctor(bool json) {
  const MachineReport report = check_machine("/", /*measure=*/true);
  if (json) {
    QUERN_ASSIGN(const auto sizes, sizes_of_80b());
    QUERN_TRY(print_out(as_json(report, sizes).dump() + "\n"));
    return kSuccess;
  }
  QUERN_ASSIGN(const std::string plan, plan_text(report.available_bytes, "  "));
  QUERN_TRY(
      print_out(as_text(report) + fmt::format("\nthe 80B model with a conversation of {} tokens, in the {} that are free:\n{}",
                                              kConversation, size_text(report.available_bytes), plan)));
  return kSuccess;
}

// The one command that is worth a try on this machine, with these models.
std::string next_command(const std::vector<KnownModel>& known, size_t available, const std::vector<ModelSize>& sizes) {
  for (const KnownModel& one : known)
    if (!one.comes_with_quern && one.model.name != "pebble" && one.model.bytes <= available)
      return fmt::format("quern chat --model {}", one.model.name);
  const auto q4 = std::find_if(sizes.begin(), sizes.end(), [](const ModelSize& size) { return size.recipe == "q4"; });
  if (q4 != sizes.end() && q4->needed(kConversation) <= available)
    return "quern pull mlx-community/Qwen3-Next-80B-A3B-Instruct-4bit";
  return "quern run 'Put 2026- in front of the name of every file.' --root DIR --dry-run";
}

}  // namespace

void add_doctor_command(CLI::App& app, Body& body) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = add_command(app, "doctor", "Look over this machine: what is as it should be, and what could be better");
  command->footer(
      "Example:\n  quern doctor\n\n"
      "Each line says ok, could be better, or missing, and then what to change. Memory bandwidth is measured, which takes a second. At the end: which\n"
      "forms of the 80B model there is memory for. Nothing is changed, nothing is sent anywhere.");
  command->add_flag("--json", *json, "One JSON document");
  command->callback([json, &body] { body = [json] { return doctor(*json); }; });
}

Result<int> welcome() {
  const size_t available = available_memory();
  const auto known = known_models();
  QUERN_ASSIGN(const auto sizes, sizes_of_80b());
  QUERN_ASSIGN(const std::string plan, plan_text(available, "    "));
  std::string out =
      fmt::format("quern {} runs the Qwen3-Next model family on your own machine and puts it to work.\n\n", QUERN_VERSION);
  out +=
      "  quern run SENTENCE --root DIR    a task on your files, by calling tools; asks before it changes anything\n"
      "  quern ask --docs DIR QUESTION    an answer from your documents, every quote checked\n"
      "  quern chat                       a conversation in the terminal\n"
      "  quern pull ORG/NAME              a model from a hub\n"
      "  quern doctor                     whether this machine is set up well\n"
      "  quern --help                     everything else\n\n"
      "Models here\n";
  for (const auto& [model, comes_with_quern] : known)
    out += fmt::format("    {}  {}{}\n", model.name, size_text(model.bytes),
                       comes_with_quern ? ", comes with quern: calls tools, knows nothing of the world" : "");
  if (known.empty()) out += "    none\n";
  out +=
      fmt::format("\nThis machine: {}\n  The 80B model with a conversation of {} tokens:\n{}", machine_line(), kConversation, plan);
  out += fmt::format("\nTry next\n    {}\n", next_command(known, available, sizes));
  QUERN_TRY(print_out(out));
  return kSuccess;
}

}  // namespace quern
