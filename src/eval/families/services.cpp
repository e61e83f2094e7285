// Tasks over services with random schemas: single calls; chains in which one result holds the next call's argument; loops, parallel
// calls, errors that are corrected, questions back, and requests no tool can do.
#include <algorithm>
#include <array>

#include "eval/families/families.h"
#include "eval/record_world.h"

namespace quern {
namespace {

struct ServiceScene : Scene {
  ServiceScene(Random& random, Split split, RecordWorld service)
      : Scene(random, split, definitions(service), std::make_unique<RecordWorld>(service)) {
    if (words.chance(0.35)) system(system_prompt(words));
  }
  const RecordWorld& service() const { return static_cast<const RecordWorld&>(world()); }
  const RecordKind& kind() const { return service().kinds[0]; }
  const RecordTool& tool(RecordOp op) const { return *service().tool(op, 0); }
};

ServiceScene any_service(Random& random, Split split, int64_t records = 0) {
  Words words(random, split);
  const int64_t kinds = words.chance(0.6) ? 1 : words.between(1, 3);
  return ServiceScene(random, split, random_service(words, kinds, records > 0 ? records : words.between(2, 6)));
}

const RecordKind::Record& any_record(Words& words, const RecordKind& kind) {
  return kind.records[words.random().below(kind.records.size())];
}

// "with name Anna and priority high", in one of the ways people list such things.
std::string field_list(Words& words, const RecordKind& kind, const std::vector<std::pair<size_t, Json>>& values) {
  const int64_t style = words.between(0, 3);
  std::vector<std::string> parts;
  for (const auto& [f, value] : values) {
    const RecordField& field = kind.fields[f];
    const std::string name = words.chance(0.15) ? field.parameter : field.phrase, text = spoken_value(words, value);
    parts.push_back(style == 0   ? name + " " + text
                    : style == 1 ? name + ": " + text
                    : style == 2 ? "the " + name + " " + text
                                 : name + " = " + text);
  }
  if (style == 1 || style == 3) {
    std::string joined;
    for (const std::string& part : parts) joined += (joined.empty() ? "" : ", ") + part;
    return joined;
  }
  return listed(parts);
}

std::string named(Words& words, const RecordKind& kind, const std::string& id) {
  return words.chance(0.7)
             ? kind.noun + " " + id
             : fill(words.pick({"the {0} {1}", "the {0} with the id {1}", "{0} number {1}", "the {0} with id {1}", "{0} #{1}"}),
                    {kind.noun, id});
}

SceneStep create_step(Words& words, const RecordWorld& plan, const RecordTool& tool) {
  const RecordKind& kind = plan.kinds[tool.kind];
  Json call = Json::object();
  std::vector<std::pair<size_t, Json>> given;
  for (size_t i = 0; i < tool.fields.size(); ++i)
    if (tool.required[i] || words.chance(0.5)) {
      Json value = random_value(words, kind.fields[tool.fields[i]]);
      call[kind.fields[tool.fields[i]].parameter] = value;
      given.emplace_back(tool.fields[i], std::move(value));
    }
  if (given.size() > 1 && words.chance(0.3)) std::swap(given[0], given[words.random().below(given.size())]);
  const auto form =
      words.pick({"Create a {0} with {1}", "Create a new {0}: {1}", "Add a {0} with {1}", "Make a new {0} with {1}",
                  "I need a new {0} with {1}, create it", "Set up a {0}, {1}", "Enter a new {0}: {1}", "Register a {0} with {1}",
                  "Open a {0} with {1}", "New {0}: {1}", "Add one {0} ({1})", "Put a new {0} into the system with {1}"});
  return {fill(form, {kind.noun, field_list(words, kind, given)}),
          {tool.name, std::move(call)},
          fmt::format("I created the {} {}.", kind.noun, kind.peek_id())};
}

SceneStep update_step(Words& words, const RecordWorld& plan, const RecordTool& tool) {
  const RecordKind& kind = plan.kinds[tool.kind];
  const RecordKind::Record& record = any_record(words, kind);
  Json call = Json::object();
  call[kind.id_parameter] = record.id;
  std::vector<size_t> chosen;
  for (const size_t f : tool.fields)
    if (words.chance(0.3)) chosen.push_back(f);
  if (chosen.empty()) chosen.push_back(tool.fields[words.random().below(tool.fields.size())]);
  std::vector<std::pair<size_t, Json>> given;
  for (const size_t f : chosen) {
    Json value = random_value(words, kind.fields[f]);
    call[kind.fields[f].parameter] = value;
    given.emplace_back(f, std::move(value));
  }
  const std::string report = fmt::format("I updated the {} {}.", kind.noun, record.id), which = named(words, kind, record.id);
  if (given.size() > 1) {
    const auto form = words.pick({"Update {0} with {1}", "Change {0}: {1}", "Edit {0} so that it has {1}", "Give {0} {1}",
                                  "For {0}, set {1}", "Modify {0}: {1}", "Correct {0}, it should have {1}"});
    return {fill(form, {which, field_list(words, kind, given)}), {tool.name, std::move(call)}, report};
  }
  const RecordField& field = kind.fields[given[0].first];
  const auto form = words.pick({"Set the {0} of {1} to {2}", "Change the {0} of {1} to {2}", "Make the {0} of {1} {2}",
                                "Update {1}: the {0} is now {2}", "For {1}, set {0} to {2}", "Give {1} the {0} {2}",
                                "Put the {0} of {1} to {2}", "Let the {0} of {1} be {2}", "The {0} of {1} should be {2}",
                                "The {0} of {1} has changed to {2}, please update it", "Enter {2} as the {0} of {1}",
                                "Correct the {0} of {1} to {2}"});
  return {fill(form, {words.chance(0.1) ? field.parameter : field.phrase, which, spoken_value(words, given[0].second)}),
          {tool.name, std::move(call)},
          report};
}

SceneStep remove_step(Words& words, const RecordWorld& plan, const RecordTool& tool) {
  const RecordKind& kind = plan.kinds[tool.kind];
  const std::string id = any_record(words, kind).id, verb = words.chance(0.6) ? tool.verb : "delete";
  const auto form = words.pick({"{0} {1}", "{0} {1} for good", "Please {2} {1}", "We do not need {1} any more, {2} it",
                                "I want you to {2} {1}", "Go ahead and {2} {1}"});
  return {fill(form, {capitalised(verb), named(words, kind, id), verb}),
          {tool.name, arguments({{kind.id_parameter, id}})},
          fmt::format("The {} {} is removed.", kind.noun, id)};
}

SceneStep act_step(Words& words, const RecordWorld& plan, const RecordTool& tool) {
  const RecordKind& kind = plan.kinds[tool.kind];
  const std::string id = any_record(words, kind).id;
  const auto form = words.pick(
      {"{0} {1}", "Please {2} {1}", "I want you to {2} {1}", "It is time to {2} {1}", "Go ahead and {2} {1}", "{0} {1} now"});
  return {fill(form, {capitalised(tool.verb), named(words, kind, id), tool.verb}),
          {tool.name, arguments({{kind.id_parameter, id}})},
          fmt::format("Done: {} {} {}.", tool.verb, kind.noun, id)};
}

SceneStep service_step(Words& words, RecordWorld& plan) {
  for (;;) {
    const RecordTool& tool = plan.tools[words.random().below(plan.tools.size())];
    const bool enough = plan.kinds[tool.kind].records.size() > 1;
    if (tool.op == RecordOp::get || tool.op == RecordOp::list || (!enough && tool.op != RecordOp::create)) continue;
    if (tool.op == RecordOp::remove && words.chance(0.5)) continue;
    SceneStep step = tool.op == RecordOp::create   ? create_step(words, plan, tool)
                     : tool.op == RecordOp::update ? update_step(words, plan, tool)
                     : tool.op == RecordOp::remove ? remove_step(words, plan, tool)
                                                   : act_step(words, plan, tool);
    plan.execute(step.call);
    return step;
  }
}

void ask(ServiceScene& scene) {  // get, then the answer
  Words& words = scene.words;
  const RecordKind kind = scene.kind();
  const RecordKind::Record record = any_record(words, kind);
  if (words.chance(0.25)) {
    scene.user(spoken(words, fill(words.pick({"Show me {0}.", "Get {0}.", "Look up {0}.", "What do we know about {0}?",
                                              "Give me the details of {0}.", "Open {0} for me.", "Tell me about {0}."}),
                                  {named(words, kind, record.id)})));
    scene.call(scene.tool(RecordOp::get).name, arguments({{kind.id_parameter, record.id}}));
    std::string text = fmt::format("Here is {} {}:", kind.noun, record.id);
    for (size_t i = 0; i < kind.fields.size(); ++i)
      if (!record.values[i].is_null()) text += fmt::format("\n- {}: {}", kind.fields[i].phrase, plain_text(record.values[i]));
    return scene.say(text, {record.id});
  }
  size_t f = words.random().below(kind.fields.size());
  while (record.values[f].is_null()) f = words.random().below(kind.fields.size());
  const std::string value = plain_text(record.values[f]);
  scene.user(spoken(words, fill(words.pick({"What is the {0} of {1}?", "Which {0} does {1} have?", "Look up the {0} of {1}.",
                                            "Tell me the {0} of {1}.", "I need the {0} of {1}.", "Find out the {0} of {1}.",
                                            "For {1}, what is the {0}?", "What does {1} have as its {0}?"}),
                                {kind.fields[f].phrase, named(words, kind, record.id)})));
  scene.call(scene.tool(RecordOp::get).name, arguments({{kind.id_parameter, record.id}}));
  scene.say(fmt::format("The {} is {}.", kind.fields[f].phrase, value), {value});
}

ToolEpisode steps_and_questions(Random& random, Split split, int64_t calls) {  // one call a turn; one turn when one call is wanted
  ServiceScene scene = any_service(random, split);
  for (int64_t i = 0, n = calls == 1 ? 1 : scene.words.between(1, 6); i < n; ++i) {
    RecordWorld plan = scene.service();
    if (scene.words.chance(0.2) && !scene.kind().records.empty())
      ask(scene);
    else
      play(scene, {service_step(scene.words, plan)});
  }
  return std::move(scene).finish("service_turns");
}

// Some records share a value of one field, so that a list of them means something. The field's index is returned.
size_t share_value(Words& words, RecordWorld& service, double share) {
  RecordKind& kind = service.kinds[0];
  const RecordTool& list = *service.tool(RecordOp::list, 0);
  if (list.fields.empty()) return kind.fields.size();
  const size_t f = list.fields[words.random().below(list.fields.size())];
  const Json value = random_value(words, kind.fields[f]);
  for (RecordKind::Record& record : kind.records)
    if (words.chance(share)) record.values[f] = value;
  return f;
}

std::vector<std::string> ids_with(const RecordKind& kind, size_t f, const Json& value) {
  std::vector<std::string> ids;
  for (const RecordKind::Record& record : kind.records)
    if (record.values[f] == value) ids.push_back(record.id);
  return ids;
}

ToolEpisode list_question(Random& random, Split split, int64_t) {
  Words setup(random, split);
  RecordWorld service = random_service(setup, setup.between(1, 2), setup.between(2, 7));
  const size_t f = share_value(setup, service, 0.6);
  if (f == service.kinds[0].fields.size()) return list_question(random, split, 0);
  ServiceScene scene(random, split, service);
  Words& words = scene.words;
  const RecordKind& kind = service.kinds[0];
  const Json value = any_record(words, kind).values[f];
  const std::vector<std::string> ids = ids_with(kind, f, value);
  const bool count = words.chance(0.4);
  const auto n = ids.size();
  scene.user(
      spoken(words, fill(count ? words.pick({"How many {0} have the {1} {2}?", "Count the {0} with {1} {2}.",
                                             "How many {0} are there with {1} {2}?", "What is the number of {0} whose {1} is {2}?",
                                             "Tell me how many {0} have {1} {2}."})
                               : words.pick({"Which {0} have the {1} {2}?", "List the {0} with {1} {2}.",
                                             "Show me all {0} whose {1} is {2}.", "Find the {0} with the {1} {2}.",
                                             "Give me every {3} with {1} {2}.", "Search for {0} with {1} {2}."}),
                         {kind.plural, kind.fields[f].phrase, spoken_value(words, value), kind.noun})));
  scene.call(scene.tool(RecordOp::list).name, arguments({{kind.fields[f].parameter, value}}));
  if (count)
    scene.say(fmt::format("There {} {} {}.", n == 1 ? "is" : "are", n, n == 1 ? kind.noun : kind.plural), {fmt::format(" {} ", n)});
  else
    scene.say(fmt::format("{} {}: {}.", n, n == 1 ? kind.noun : kind.plural, listed(ids)), ids);
  return std::move(scene).finish(count ? "service_count" : "service_list");
}

ToolEpisode list_all(Random& random, Split split, int64_t) {
  ServiceScene scene = any_service(random, split);
  Words& words = scene.words;
  const RecordKind kind = scene.kind();
  std::vector<std::string> ids;
  for (const auto& record : kind.records) ids.push_back(record.id);
  scene.user(spoken(words, fill(words.pick({"List all {0}.", "Show me all {0}.", "Which {0} are there?", "What {0} do we have?",
                                            "Give me a list of all {0}.", "How many {0} are there and which?"}),
                                {kind.plural})));
  scene.call(scene.tool(RecordOp::list).name, Json::object());
  scene.say(fmt::format("{} {}: {}.", ids.size(), ids.size() == 1 ? kind.noun : kind.plural, listed(ids)), ids);
  return std::move(scene).finish("service_list_all");
}

ToolEpisode find_then(Random& random, Split split, int64_t) {  // list by a value; the id found goes into the next call
  Words setup(random, split);
  RecordWorld service = random_service(setup, setup.between(1, 2), setup.between(2, 6));
  const RecordTool& list = *service.tool(RecordOp::list, 0);
  if (list.fields.empty()) return find_then(random, split, 0);
  const size_t f = setup.random().pick(list.fields);
  ServiceScene scene(random, split, service);
  Words& words = scene.words;
  const RecordKind& kind = service.kinds[0];
  const RecordKind::Record record = any_record(words, kind);
  if (ids_with(kind, f, record.values[f]).size() != 1) return find_then(random, split, 0);
  const std::string which = fill(words.pick({"the {0} with {1} {2}", "the {0} whose {1} is {2}", "the {0} that has the {1} {2}",
                                             "the one {0} with the {1} {2}", "that {0} with {1} {2}"}),
                                 {kind.noun, kind.fields[f].phrase, spoken_value(words, record.values[f])});
  const Json by = arguments({{kind.fields[f].parameter, record.values[f]}});
  const auto find = [&] { scene.call(list.name, by); };
  switch (words.between(0, 3)) {
    case 0: {
      const RecordTool& tool = scene.tool(RecordOp::update);
      const size_t g = words.random().pick(tool.fields);
      const Json value = random_value(words, kind.fields[g]);
      scene.user(spoken(words, fill(words.pick({"Set the {0} of {1} to {2}.", "Change the {0} of {1} to {2}.",
                                                "Find {1} and set its {0} to {2}.", "Look up {1}, then change the {0} to {2}.",
                                                "Give {1} the {0} {2}.", "The {0} of {1} is now {2}, please enter that."}),
                                    {kind.fields[g].phrase, which, spoken_value(words, value)})));
      find();
      scene.call(tool.name, arguments({{kind.id_parameter, record.id}, {kind.fields[g].parameter, value}}));
      scene.say(fmt::format("I updated the {} {}.", kind.noun, record.id), {record.id});
      break;
    }
    case 1: {
      const RecordTool& tool = scene.tool(RecordOp::remove);
      scene.user(spoken(words, fill(words.pick({"{0} {1}.", "Find {1} and {2} it.", "Look for {1}, then {2} it.",
                                                "I want you to {2} {1}.", "Please {2} {1}."}),
                                    {capitalised(tool.verb), which, tool.verb})));
      find();
      scene.call(tool.name, arguments({{kind.id_parameter, record.id}}));
      scene.say(fmt::format("The {} {} is removed.", kind.noun, record.id), {record.id});
      break;
    }
    case 2: {
      const RecordTool& tool = scene.tool(RecordOp::act);
      scene.user(spoken(words, fill(words.pick({"{0} {1}.", "Find {1}, then {2} it.", "Please {2} {1}.", "It is time to {2} {1}.",
                                                "I want you to {2} {1}."}),
                                    {capitalised(tool.verb), which, tool.verb})));
      find();
      scene.call(tool.name, arguments({{kind.id_parameter, record.id}}));
      scene.say(fmt::format("Done: {} {} {}.", tool.verb, kind.noun, record.id), {record.id});
      break;
    }
    default: {
      const size_t g = words.random().below(kind.fields.size());
      if (g == f) return find_then(random, split, 0);
      const std::string value = plain_text(record.values[g]);
      scene.user(
          spoken(words, fill(words.pick({"What is the {0} of {1}?", "Find {1} and tell me its {0}.", "Tell me the {0} of {1}.",
                                         "I need the {0} of {1}.", "Look up {1}: what is the {0}?"}),
                             {kind.fields[g].phrase, which})));
      find();
      scene.call(scene.tool(RecordOp::get).name, arguments({{kind.id_parameter, record.id}}));
      scene.say(fmt::format("The {} is {}.", kind.fields[g].phrase, value), {value});
    }
  }
  return std::move(scene).finish("service_find_then");
}

ToolEpisode create_then(Random& random, Split split, int64_t) {  // the new id goes into the next call
  ServiceScene scene = any_service(random, split);
  Words& words = scene.words;
  const SceneStep step = create_step(words, scene.service(), scene.tool(RecordOp::create));
  const RecordKind kind = scene.kind();
  const std::string id = kind.peek_id();
  const RecordTool& act = scene.tool(RecordOp::act);
  scene.user(spoken(words, fill(words.pick({"{0}. Then {1} it.", "{0}, and then {1} it.", "{0}. After that, {1} it.",
                                            "{0}. When it is there, {1} it.", "{0} and {1} it afterwards."}),
                                {step.request, act.verb})));
  scene.call(step.call);
  scene.call(act.name, arguments({{kind.id_parameter, id}}));
  scene.say(fmt::format("I created the {} {}. Done: {} it.", kind.noun, id, act.verb), {id});
  return std::move(scene).finish("service_create_then");
}

ToolEpisode copy_value(Random& random, Split split, int64_t) {  // a value from one record goes into another
  ServiceScene scene = any_service(random, split);
  Words& words = scene.words;
  const RecordKind kind = scene.kind();
  const RecordTool& update = scene.tool(RecordOp::update);
  const size_t f = words.random().pick(update.fields);
  const RecordKind::Record from = any_record(words, kind), to = any_record(words, kind);
  if (from.id == to.id) return copy_value(random, split, 0);
  scene.user(spoken(
      words, fill(words.pick({"Give {1} the same {0} as {2}.", "Set the {0} of {1} to that of {2}.", "Copy the {0} of {2} to {1}.",
                              "The {0} of {1} should be the same as that of {2}.", "Take the {0} from {2} and enter it in {1}."}),
                  {kind.fields[f].phrase, kind.noun + " " + to.id, kind.noun + " " + from.id})));
  scene.call(scene.tool(RecordOp::get).name, arguments({{kind.id_parameter, from.id}}));
  scene.call(update.name, arguments({{kind.id_parameter, to.id}, {kind.fields[f].parameter, from.values[f]}}));
  scene.say(
      fmt::format("{} {} now has the {} {}.", capitalised(kind.noun), to.id, kind.fields[f].phrase, plain_text(from.values[f])),
      {plain_text(from.values[f])});
  return std::move(scene).finish("service_copy");
}

ToolEpisode loop(Random& random, Split split, int64_t calls) {  // list, then one call for each
  Words setup(random, split);
  const int64_t n = calls > 0 ? calls - 1 : setup.chance(0.7) ? setup.between(2, 6) : setup.between(4, 25);
  RecordWorld service = random_service(setup, 1, std::max<int64_t>(1, n));
  RecordKind& kind = service.kinds[0];
  const RecordTool list = *service.tool(RecordOp::list, 0);
  std::vector<std::string> ids;
  Json by = Json::object();
  std::string which =
      fill(setup.pick({"every {0}", "all {1}", "each {0}", "each of the {1}", "all of the {1}", "every single {0}"}),
           {kind.noun, kind.plural});
  if (!list.fields.empty() && setup.chance(0.7)) {
    const size_t f = share_value(setup, service, calls > 0 ? 1.0 : 0.7);
    const Json value = kind.records[0].values[f];
    by = arguments({{kind.fields[f].parameter, value}});
    ids = ids_with(kind, f, value);
    which +=
        fill(setup.pick({" with {0} {1}", " whose {0} is {1}", " that has {0} {1}", " having the {0} {1}", " with the {0} {1}"}),
             {kind.fields[f].phrase, spoken_value(setup, value)});
  } else {
    for (const auto& record : kind.records) ids.push_back(record.id);
  }
  ServiceScene scene(random, split, service);
  Words& words = scene.words;
  const RecordOp op =
      words.random().pick(std::array<RecordOp, 4>{RecordOp::update, RecordOp::update, RecordOp::act, RecordOp::remove});
  const RecordTool& tool = scene.tool(op);
  Json rest = Json::object();
  if (op == RecordOp::update) {
    const size_t g = words.random().pick(tool.fields);
    const Json value = random_value(words, kind.fields[g]);
    rest = arguments({{kind.fields[g].parameter, value}});
    scene.user(spoken(
        words, fill(words.pick({"Set the {0} of {1} to {2}.", "Change the {0} of {1} to {2}.", "For {1}, set the {0} to {2}.",
                                "Give {1} the {0} {2}.", "The {0} of {1} should be {2}.", "Update {1}: {0} is {2}."}),
                    {kind.fields[g].phrase, which, spoken_value(words, value)})));
  } else {
    scene.user(spoken(words, fill(words.pick({"{0} {1}.", "Please {2} {1}.", "I want you to {2} {1}.",
                                              "List them first, then {2} {1}.", "Go ahead and {2} {1}."}),
                                  {capitalised(tool.verb), which, tool.verb})));
  }
  scene.call(list.name, by);
  for (const std::string& id : ids) {
    Json call = arguments({{kind.id_parameter, id}});
    for (const auto& [name, value] : rest.as_object()) call[name] = value;
    scene.call(tool.name, std::move(call));
  }
  scene.say(ids.size() > 12 ? fmt::format("Done. I went through all {}.", kind.plural)
                            : fmt::format("Done for {} {}.", ids.size(), ids.size() == 1 ? kind.noun : kind.plural));
  return std::move(scene).finish("service_loop");
}

ToolEpisode linked(Random& random, Split split, int64_t calls) {  // each record names the next
  Words setup(random, split);
  const int64_t n = calls > 0 ? calls : setup.chance(0.7) ? setup.between(2, 7) : setup.between(4, 28);
  RecordWorld service = random_service(setup, 1, n);
  RecordKind& kind = service.kinds[0];
  RecordField& link = kind.fields.back();
  if (link.phrase == kind.fields[0].phrase) return linked(random, split, calls);
  std::vector<size_t> order;
  for (size_t i = 0; i < kind.records.size(); ++i) order.push_back(i);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[setup.random().below(i)]);
  link.type = FieldType::text;
  for (size_t i = 0; i < order.size(); ++i)
    kind.records[order[i]].values.back() = i + 1 < order.size() ? Json(kind.records[order[i + 1]].id) : Json("none");
  ServiceScene scene(random, split, service);
  Words& words = scene.words;
  const std::string answer = plain_text(kind.records[order.back()].values[0]);
  scene.user(spoken(
      words,
      fill(
          words.pick(
              {"Start at {0}. The {1} of each {2} is the id of the next one; follow it to the end. What is the {3} of the last {2}?",
               "Follow the {1} from {0} until it is none, and tell me the {3} of the last {2}.",
               "Begin with {0} and go from {2} to {2} by the {1}. Which {3} does the last one have?",
               "Each {2} points to another by its {1}. Starting at {0}, what is the {3} of the one at the end?",
               "Go along the chain that starts with {0}: the {1} names the next {2}. Tell me the {3} of the last.",
               "Look up {0}, then the {2} that its {1} names, and so on. What is the {3} of the last one?",
               "The {1} of a {2} says which {2} comes after it. Begin at {0}; I need the {3} of the last {2}.",
               "Every {1} holds the id of another {2}. Read from {0} on until there is none and give me the {3}.",
               "There is a trail of {2} ids in the {1}, it starts with {0}. Walk it and report the last one's {3}.",
               "Take {0}, go to the {2} in its {1}, again and again. Which {3} stands in the final {2}?"}),
          {kind.noun + " " + kind.records[order[0]].id, link.phrase, kind.noun, kind.fields[0].phrase})));
  for (const size_t i : order) scene.call(scene.tool(RecordOp::get).name, arguments({{kind.id_parameter, kind.records[i].id}}));
  scene.say(fmt::format("The {} of the last {} is {}.", kind.fields[0].phrase, kind.noun, answer), {answer});
  return std::move(scene).finish("service_linked");
}

ToolEpisode in_parallel(Random& random, Split split, int64_t) {
  ServiceScene scene = any_service(random, split, 6);
  Words& words = scene.words;
  const RecordKind kind = scene.kind();
  std::vector<std::string> ids, named_ids;
  for (const auto& record : kind.records)
    if (ids.size() < 4 && words.chance(0.5)) ids.push_back(record.id);
  if (ids.size() < 2) return in_parallel(random, split, 0);
  const RecordOp op = words.random().pick(std::array<RecordOp, 3>{RecordOp::get, RecordOp::act, RecordOp::remove});
  const RecordTool& tool = scene.tool(op);
  const std::string verb = op == RecordOp::get ? "look up" : tool.verb;
  scene.user(spoken(words, fill(words.pick({"In parallel, {0} the {1} {2}.", "At the same time, {0} the {1} {2}.",
                                            "All at once, {0} the {1} {2}.", "With parallel calls, {0} the {1} {2}.",
                                            "In one go, {0} the {1} {2}.", "Do this in parallel: {0} the {1} {2}."}),
                                {verb, kind.plural, listed(ids)})));
  std::vector<ToolCall> all;
  for (const std::string& id : ids) all.push_back({tool.name, arguments({{kind.id_parameter, id}})});
  scene.parallel(all);
  if (op == RecordOp::get) {
    std::string text;
    for (const std::string& id : ids)
      text += (text.empty() ? "" : "\n") + fmt::format("{}: {}", id, plain_text(kind.find(id)->values[0]));
    scene.say(fmt::format("The {} of each:\n{}", kind.fields[0].phrase, text));
  } else {
    scene.say(fmt::format("Done for {}.", listed(ids)));
  }
  return std::move(scene).finish("service_parallel");
}

ToolEpisode corrected(Random& random, Split split, int64_t) {  // an error, and the call that answers it
  Words setup(random, split);
  RecordWorld service = random_service(setup, setup.between(1, 2), setup.between(2, 5));
  RecordKind& kind = service.kinds[0];
  switch (setup.between(0, 3)) {
    case 0: {  // busy: the same call again
      service.busy_calls = setup.between(1, 2);
      ServiceScene scene(random, split, service);
      RecordWorld plan = service;
      plan.busy_calls = 0;
      const SceneStep step = service_step(scene.words, plan);
      scene.user(spoken(scene.words, step.request + "."));
      for (int64_t i = 0; i <= service.busy_calls; ++i) scene.call(step.call);
      scene.say(step.report);
      return std::move(scene).finish("service_busy");
    }
    case 1: {  // the id was given without its prefix
      service.strict_ids = true;
      const std::string id = any_record(setup, kind).id, bare = id.substr(kind.id_prefix.size());
      if (kind.id_prefix.empty()) return corrected(random, split, 0);
      ServiceScene scene(random, split, service);
      const RecordTool& tool = scene.tool(scene.words.chance(0.5) ? RecordOp::act : RecordOp::remove);
      scene.user(spoken(scene.words, fill(scene.words.pick({"{0} {1}.", "Please {2} {1}.", "I want you to {2} {1}.",
                                                            "Go ahead and {2} {1}.", "You may {2} {1}."}),
                                          {capitalised(tool.verb), named(scene.words, kind, bare), tool.verb})));
      scene.call(tool.name, arguments({{kind.id_parameter, bare}}));
      scene.call(tool.name, arguments({{kind.id_parameter, id}}));
      scene.say(fmt::format("Done: {} {} {}.", tool.verb, kind.noun, id), {id});
      return std::move(scene).finish("service_wrong_id");
    }
    case 2: {  // there is no such record: say so
      ServiceScene scene(random, split, service);
      const std::string id = kind.peek_id();
      const RecordTool& tool = scene.tool(scene.words.chance(0.5) ? RecordOp::get : RecordOp::remove);
      scene.user(spoken(scene.words,
                        fill(tool.op == RecordOp::get ? scene.words.pick({"Show me {1}.", "Look up {1}.", "Get {1}.",
                                                                          "What do we know about {1}?", "Tell me about {1}."})
                                                      : scene.words.pick({"{0} {1}.", "Please {2} {1}.", "I want you to {2} {1}.",
                                                                          "Go ahead and {2} {1}.", "You may {2} {1}."}),
                             {capitalised(tool.verb), kind.noun + " " + id, tool.verb})));
      scene.call(tool.name, arguments({{kind.id_parameter, id}}));
      scene.say(fmt::format("There is no {} {}.", kind.noun, id), {"no "});
      return std::move(scene).finish("service_missing");
    }
    default: {  // a date in another form
      RecordTool* update = nullptr;
      for (RecordTool& tool : service.tools)
        if (tool.op == RecordOp::update && tool.kind == 0) update = &tool;
      const auto f = std::find_if(update->fields.begin(), update->fields.end(),
                                  [&](size_t i) { return kind.fields[i].type == FieldType::date; });
      if (f == update->fields.end()) return corrected(random, split, 0);
      const RecordField& field = kind.fields[*f];
      const std::string id = any_record(setup, kind).id;
      const int64_t year = setup.between(2018, 2029), month = setup.between(1, 12), day = setup.between(1, 28);
      const std::string said = setup.chance(0.5) ? fmt::format("{} {} {}", day, pools::months[static_cast<size_t>(month - 1)], year)
                                                 : fmt::format("{}.{}.{}", day, month, year),
                        iso = fmt::format("{}-{:02}-{:02}", year, month, day);
      ServiceScene scene(random, split, service);
      scene.user(spoken(scene.words, fill(scene.words.pick({"Set the {0} of {1} to {2}.", "Change the {0} of {1} to {2}.",
                                                            "The {0} of {1} is now {2}.", "For {1}, the {0} should be {2}.",
                                                            "Move the {0} of {1} to {2}."}),
                                          {field.phrase, kind.noun + " " + id, said})));
      scene.call(update->name, arguments({{kind.id_parameter, id}, {field.parameter, iso}}));
      scene.say(fmt::format("I updated the {} {}.", kind.noun, id), {id});
      return std::move(scene).finish("service_date");
    }
  }
}

ToolEpisode ask_back(Random& random, Split split, int64_t) {  // something required was not said
  ServiceScene scene = any_service(random, split);
  Words& words = scene.words;
  const RecordKind kind = scene.kind();
  const RecordTool& tool = scene.tool(RecordOp::create);
  Json call = Json::object();
  std::vector<std::pair<size_t, Json>> said, asked;
  for (size_t i = 0; i < tool.fields.size(); ++i)
    if (tool.required[i]) {
      Json value = random_value(words, kind.fields[tool.fields[i]]);
      call[kind.fields[tool.fields[i]].parameter] = value;
      (asked.empty() ? asked : said).emplace_back(tool.fields[i], std::move(value));
    }
  const std::string phrase = kind.fields[asked[0].first].phrase;
  const std::string_view form =
      words.pick({"Create a {0}", "Add a new {0}", "I need a new {0}", "Make a {0}", "Set up a new {0}", "Open a new {0}"});
  scene.user(spoken(words, fill(form, {kind.noun}) + (said.empty() ? "." : " with " + field_list(words, kind, said) + ".")));
  scene.say(fmt::format("What is the {}?", phrase));
  scene.user(fill(words.pick({"{0}", "{0}.", "It is {0}.", "The {1} is {0}.", "{0} please", "Use {0}."}),
                  {spoken_value(words, asked[0].second), phrase}));
  scene.call(tool.name, std::move(call));
  scene.say(fmt::format("I created the {} {}.", kind.noun, kind.peek_id()), {kind.peek_id()});
  return std::move(scene).finish("service_ask_back");
}

ToolEpisode decline(Random& random, Split split, int64_t) {
  ServiceScene scene = any_service(random, split);
  Words& words = scene.words;
  RecordWorld other = random_service(words, 1, 2);
  if (other.kinds[0].noun == scene.kind().noun) return decline(random, split, 0);
  const std::string request =
      words.chance(0.5) ? service_step(words, other).request + "."
                        : fill(words.pick({"What is the weather in {0}?", "Book me a flight to {0}.", "What is the capital of {1}?",
                                           "Write a poem about {0}.", "Play some music.", "How far is it to {0}?",
                                           "What time is it in {0}?", "Translate this into Spanish."}),
                               {words.pick(pools::cities), words.made_up()});
  scene.user(spoken(words, request));
  scene.say("I cannot do that: I have no tool for it.", {"tool"});
  return std::move(scene).finish("service_decline");
}

ToolEpisode script_of_steps(Random& random, Split split, int64_t calls) {
  Words setup(random, split);
  const int64_t n = calls > 0 ? calls : setup.chance(0.5) ? setup.between(2, 6) : setup.between(6, 25);
  ServiceScene scene = any_service(random, split, std::max<int64_t>(4, n / 3));
  RecordWorld plan = scene.service();
  std::vector<SceneStep> steps;
  for (int64_t i = 0; i < n; ++i) steps.push_back(service_step(scene.words, plan));
  play(scene, steps);
  return std::move(scene).finish("service_script");
}

constexpr std::array<Family, 1> kSingle = {{{"service_turns", 1, steps_and_questions}}};
constexpr std::array<Family, 12> kServices = {{
    {"service_list", 2, list_question},
    {"service_list_all", 0.7, list_all},
    {"service_find_then", 3, find_then},
    {"service_create_then", 1.5, create_then},
    {"service_copy", 1.5, copy_value},
    {"service_loop", 3, loop},
    {"service_linked", 1.5, linked},
    {"service_parallel", 1, in_parallel},
    {"service_corrected", 2, corrected},
    {"service_ask_back", 1, ask_back},
    {"service_decline", 1, decline},
    {"service_script", 8, script_of_steps},
}};

}  // namespace

std::vector<Json> distractors(Words& words, int64_t count) {
  std::vector<Json> all = definitions(random_service(words, 1, 1));
  if (all.size() > static_cast<size_t>(count)) all.resize(static_cast<size_t>(count));
  return all;
}

std::span<const Family> single_call_families() { return kSingle; }
std::span<const Family> service_families() { return kServices; }

}  // namespace quern
