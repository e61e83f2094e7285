#include "interface.h"

namespace quern {
namespace {

Json describe(const CLI::Option& option) {
  Json json = Json::object();
  json["names"] = Json::array();
  for (const std::string& name : option.get_snames()) json["names"].push_back("-" + name);
  for (const std::string& name : option.get_lnames()) json["names"].push_back("--" + name);
  if (json["names"].size() == 0) json["names"].push_back(option.get_name(/*positional=*/true));
  const bool flag = option.get_items_expected_max() == 0;
  json["type"] = flag ? "" : option.get_type_name();  // with its checks: "TEXT:{a,b}"
  json["description"] = option.get_description();
  json["group"] = option.get_group();
  json["default"] = option.get_default_str();
  json["flag"] = flag;
  json["repeats"] = option.get_items_expected_max() > 1 || option.get_expected_max() > 1;
  json["required"] = option.get_required();
  return json;
}

// Options of a group that has no name of its own belong to the command.
void add_options(const CLI::App& app, Json& options) {
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty()) options.push_back(describe(*option));
  for (const CLI::App* group : app.get_subcommands([](const CLI::App* sub) { return sub->get_name().empty(); }))
    add_options(*group, options);
}

}  // namespace

Json describe_interface(const CLI::App& app) {
  Json json = Json::object();
  json["name"] = app.get_name();
  json["description"] = app.get_description();
  json["footer"] = app.get_footer();
  json["options"] = Json::array();
  add_options(app, json["options"]);
  json["commands"] = Json::array();
  for (const CLI::App* command : app.get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty(); }))
    json["commands"].push_back(describe_interface(*command));
  return json;
}

}  // namespace quern
