// quern list, quern rm: what is in the catalogue.
#include <unistd.h>

#include <algorithm>

#include "catalogue/summary.h"
#include "command.h"
#include "confirm.h"
#include "models.h"

namespace quern {
namespace {

struct Line {
  KnownModel known;
  ModelSummary summary;

  std::string format() const {
    return summary.problem.empty() ? fmt::format("{} ({:.1f} bits)", summary.format, summary.bits_per_weight) : "–";
  }
  std::string from() const {
    if (known.comes_with_quern) return "comes with quern";
    return known.model.source ? known.model.source->repository : "–";
  }
};

Json as_json(const Line& line) {
  const auto& [model, comes_with_quern] = line.known;
  Json json = Json::object();
  json["name"] = model.name;
  json["path"] = model.path.string();
  json["bytes"] = model.bytes;
  json["loads"] = line.summary.problem.empty();
  json["problem"] = line.summary.problem.empty() ? Json() : Json(line.summary.problem);
  json["format"] = line.summary.problem.empty() ? Json(line.summary.format) : Json();
  json["parameters"] = line.summary.parameters;
  json["context"] = line.summary.context;
  json["repository"] = model.source ? Json(model.source->repository) : Json();
  json["commit"] = model.source ? Json(model.source->commit) : Json();
  json["comes_with_quern"] = comes_with_quern;
  return json;
}

// The width of a column: of its longest text, in characters.
size_t width_of(const std::vector<Line>& lines, std::string_view title, const std::function<std::string(const Line&)>& text) {
  size_t width = title.size();
  for (const Line& line : lines) width = std::max(width, text(line).size());
  return width;
}

std::string as_text(const Catalogue& catalogue, const std::vector<Line>& lines, const std::vector<UnfinishedModel>& unfinished) {
  const size_t name = width_of(lines, "name", [](const Line& l) { return l.known.model.name; });
  const size_t format = width_of(lines, "format", [](const Line& l) { return l.format(); });
  const size_t from = width_of(lines, "from", [](const Line& l) { return l.from(); });
  std::string out = fmt::format("{:<{}}  {:<{}}  {:>10}  {:<{}}  path\n", "name", name, "format", format, "size", "from", from);
  for (const Line& line : lines) {
    out += fmt::format("{:<{}}  {:<{}}  {:>10}  {:<{}}  {}\n", line.known.model.name, name, line.format(), format,
                       size_text(line.known.model.bytes), line.from(), from, line.known.model.path.string());
    if (!line.summary.problem.empty()) out += fmt::format("  does not load: {}\n", line.summary.problem);
  }
  for (const UnfinishedModel& model : unfinished)
    out += fmt::format("{}: {} of {} are there; quern pull {} goes on, quern rm {} gives up\n", model.name, size_text(model.bytes),
                       size_text(model.total), model.repository, model.name);
  return out + fmt::format("The catalogue is {}\n", catalogue.folder().string());
}

Result<int> list(bool json) {
  QUERN_ASSIGN(const Catalogue catalogue, users_catalogue());
  QUERN_TRY(catalogue.models());  // a folder that cannot be read is not an empty one
  std::vector<Line> lines;
  for (KnownModel& known : known_models()) {
    ModelSummary summary = summarise_model(known.model.path);
    lines.push_back({std::move(known), std::move(summary)});
  }
  const auto unfinished = catalogue.unfinished();
  if (!json) {
    QUERN_TRY(print_out(as_text(catalogue, lines, unfinished)));
    return kSuccess;
  }
  Json out = Json::object();
  out["catalogue"] = catalogue.folder().string();
  out["models"] = Json::array();
  for (const Line& line : lines) out["models"].push_back(as_json(line));
  out["unfinished"] = Json::array();
  for (const UnfinishedModel& model : unfinished) {
    Json one = Json::object();
    one["name"] = model.name;
    one["repository"] = model.repository;
    one["bytes"] = model.bytes;
    one["total"] = model.total;
    out["unfinished"].push_back(std::move(one));
  }
  QUERN_TRY(print_out(out.dump() + "\n"));
  return kSuccess;
}

Result<int> remove(const std::vector<std::string>& names, bool yes) {
  QUERN_ASSIGN(const Catalogue catalogue, users_catalogue());
  for (const std::string& name : names) {
    QUERN_TRY(Catalogue::check_name(name));
    const auto model = catalogue.find(name);
    if (!yes) {
      if (::isatty(STDIN_FILENO) != 1) return fail(Errc::denied, "{}: nobody is there to ask; --yes removes it without", name);
      fmt::print(stderr, "Remove {}{} from {}? [y]es, [n]o: ", name, model ? fmt::format(" ({})", size_text(model->bytes)) : "",
                 catalogue.folder().string());
      const auto answer = read_terminal_line([] { return false; });
      if (!answer || (*answer != "y" && *answer != "yes")) return fail(Errc::denied, "{}: kept", name);
    }
    QUERN_TRY(catalogue.remove(name));
    QUERN_TRY(print_out(
        fmt::format("{} is removed{}\n", name, model ? fmt::format(", {} are free again", size_text(model->bytes)) : "")));
  }
  return kSuccess;
}

}  // namespace

void add_list_command(CLI::App& app, Body& body) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = add_command(app, "list", "Show the models that are here");
  command->footer(
      "Example:\n  quern list\n\n"
      "The catalogue's models: folders and .gguf files in $QUERN_MODELS, $XDG_DATA_HOME/quern/models or ~/.local/share/quern/models. Every command\n"
      "takes their names for --model. Each is opened and checked, so that what is listed without a complaint also loads.");
  command->add_flag("--json", *json, "One JSON document");
  command->callback([json, &body] { body = [json] { return list(*json); }; });
}

void add_rm_command(CLI::App& app, Body& body) {
  auto names = std::make_shared<std::vector<std::string>>();
  auto yes = std::make_shared<bool>(false);
  CLI::App* command = add_command(app, "rm", "Remove a model from the catalogue");
  command->footer(
      "Example:\n  quern rm NAME --yes\n\nAlso what an interrupted pull has left behind. Nothing outside the catalogue is ever removed.");
  command->add_option("name", *names, "A model's name, as quern list shows it")->type_name("NAME")->required();
  command->add_flag("-y,--yes", *yes, "Do not ask");
  command->callback([names, yes, &body] { body = [names, yes] { return remove(*names, *yes); }; });
}

}  // namespace quern
