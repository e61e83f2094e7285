#include "agent/task/task_reader.h"

#include <algorithm>

#include "agent/task/policy_reader.h"
#include "agent/task/step_reader.h"
#include "text/chat_template.h"

namespace quern {
namespace {

class Reader {
 public:
  Reader(const NodeReader& reader, const YamlNode& root) : reader_(reader), root_(root) {}

  Result<Task> read() {
    if (root_.kind != YamlNode::Kind::map)
      return reader_.error(root_, "expected keys such as task:, found {}", yaml_kind_name(root_.kind));
    QUERN_TRY(reader_.only_keys(
        root_, {"name", "description", "task", "steps", "on_failure", "system", "model",   "sampling", "inputs", "files", "tools",
                "mcp",  "policy",      "root", "setup", "check",      "checks", "retries", "access",   "output", "budget"}));
    for (const auto& [key, into] :
         {std::pair("name", &task_.name), {"description", &task_.description}, {"system", &task_.system}, {"setup", &task_.setup}})
      if (const YamlNode* node = root_.find(key)) {
        QUERN_ASSIGN(*into, reader_.text(*node, key));
      }
    if (const YamlNode* node = root_.find("root")) {
      QUERN_ASSIGN(task_.root, reader_.text(*node, "root"));
      if (!task_.setup.empty())
        return reader_.error(*node, "root: a task with setup: runs in a fresh folder; leave one of them out");
    }
    QUERN_TRY(read_model(reader_, root_, task_.model));
    QUERN_TRY(read_inputs());
    if (const YamlNode* tools = root_.find("tools")) {
      QUERN_ASSIGN(task_.tools, reader_.texts(*tools, "tools"));
    }
    if (const YamlNode* policy = root_.find("policy")) {
      QUERN_ASSIGN(task_.policy, read_policy(reader_, *policy));
    }
    if (const YamlNode* budget = root_.find("budget")) QUERN_TRY(read_budget(reader_, *budget, task_.budget));
    QUERN_TRY(read_servers());
    QUERN_TRY(read_access());
    QUERN_TRY(root_.find("steps") ? read_steps() : read_one_step());
    return std::move(task_);
  }

 private:
  Result<void> read_inputs() {
    const YamlNode* inputs = root_.find("inputs");
    if (!inputs) return {};
    QUERN_TRY(reader_.expect_map(*inputs, "inputs", "a map of names to default values"));
    for (const auto& [name, value] : inputs->members) {
      if (!is_task_name(name)) return reader_.error(value, "inputs: {}: a name has letters, digits, - and _", name.substr(0, 60));
      TaskInput input;
      input.name = name;
      const std::string key = fmt::format("inputs: {}", name);
      if (value.kind == YamlNode::Kind::map) {
        QUERN_TRY(read_input(key, value, input));
      } else if (value.kind != YamlNode::Kind::null) {
        QUERN_ASSIGN(input.value, reader_.text(value, key));
      }
      task_.inputs.push_back(std::move(input));
      known_.inputs.insert(name);
    }
    return {};
  }

  Result<void> read_input(const std::string& key, const YamlNode& node, TaskInput& input) {
    QUERN_TRY(reader_.only_keys(node, {"default", "env", "file", "secret", "tools"}));
    if (const YamlNode* value = node.find("default")) {
      QUERN_ASSIGN(input.value, reader_.text(*value, key + ": default"));
    }
    if (const YamlNode* variable = node.find("env")) {
      QUERN_ASSIGN(input.environment, reader_.text(*variable, key + ": env"));
    }
    if (const YamlNode* file = node.find("file")) {
      QUERN_ASSIGN(input.file, reader_.text(*file, key + ": file"));
    }
    if (const YamlNode* secret = node.find("secret")) {
      QUERN_ASSIGN(input.secret, reader_.truth(*secret, key + ": secret"));
    }
    if (const YamlNode* tools = node.find("tools")) {
      if (!input.secret) return reader_.error(*tools, "{}: tools: only a secret says which tools may have it", key);
      QUERN_ASSIGN(input.tools, reader_.texts(*tools, key + ": tools"));
    }
    if (input.secret && input.value) return reader_.error(node, "{}: default: a secret does not stand in a task file", key);
    if (input.secret && input.environment.empty() && input.file.empty())
      return reader_.error(node, "{}: a secret needs env: or file:, where it comes from", key);
    return {};
  }

  Result<void> read_servers() {
    const YamlNode* servers = root_.find("mcp");
    if (!servers) return {};
    QUERN_TRY(reader_.expect_map(*servers, "mcp", "servers by their names"));
    for (const auto& [name, node] : servers->members) {
      if (!is_task_name(name)) return reader_.error(node, "mcp: {}: a name has letters, digits, - and _", name.substr(0, 60));
      QUERN_ASSIGN(TaskServer server, read_server(name, node));
      task_.mcp.push_back(std::move(server));
    }
    return {};
  }

  Result<void> read_access() {
    const YamlNode* node = root_.find("access");
    if (!node) return {};
    QUERN_TRY(reader_.expect_map(*node, "access", "hosts:, network: and others"));
    QUERN_TRY(reader_.only_keys(*node, {"hosts", "network", "read", "write"}));
    TaskAccess& access = task_.access;
    for (const auto& [key, into] : {std::pair("hosts", &access.hosts), {"read", &access.read}, {"write", &access.write}})
      if (const YamlNode* list = node->find(key)) {
        QUERN_ASSIGN(*into, reader_.texts(*list, fmt::format("access: {}", key)));
      }
    if (const YamlNode* network = node->find("network")) {
      QUERN_ASSIGN(access.network, reader_.truth(*network, "access: network"));
    }
    return {};
  }

  Result<TaskServer> read_server(const std::string& name, const YamlNode& node) {
    const std::string key = "mcp: " + name;
    QUERN_TRY(reader_.expect_map(node, key, "command: or url:"));
    QUERN_TRY(reader_.only_keys(
        node, {"command", "args", "env", "url", "headers", "network", "folders", "confined", "trusted", "tools"}));
    TaskServer server;
    server.name = name;
    const YamlNode *command = node.find("command"), *url = node.find("url");
    if (!command == !url) return reader_.error(node, "{}: expected one of command: and url:", key);
    const std::initializer_list<std::string_view> others = {"args", "env", "network", "folders", "confined"};
    for (const std::string_view other : others)
      if (url && node.find(other))
        return reader_.error(*node.find(other), "{}: {}: only a server with command: has it", key, other);
    if (command && node.find("headers")) return reader_.error(node, "{}: headers: only a server with url: has them", key);
    if (command) {
      QUERN_ASSIGN(server.command, reader_.text(*command, key + ": command"));
    } else {
      QUERN_ASSIGN(server.url, reader_.text(*url, key + ": url"));
    }
    if (const YamlNode* arguments = node.find("args")) {
      QUERN_ASSIGN(server.arguments, reader_.texts(*arguments, key + ": args"));
      for (const std::string& argument : server.arguments) QUERN_TRY(check_text(*arguments, key + ": args", argument));
    }
    for (const auto& [what, into] : {std::pair("env", &server.environment), {"headers", &server.headers}})
      if (const YamlNode* map = node.find(what)) QUERN_TRY(read_pairs(*map, fmt::format("{}: {}", key, what), *into));
    for (const auto& [what, into] :
         {std::pair("network", &server.network), {"confined", &server.confined}, {"trusted", &server.trusted}})
      if (const YamlNode* truth = node.find(what)) {
        QUERN_ASSIGN(*into, reader_.truth(*truth, fmt::format("{}: {}", key, what)));
      }
    if (const YamlNode* tools = node.find("tools")) {
      QUERN_ASSIGN(server.tools, reader_.texts(*tools, key + ": tools"));
    }
    if (const YamlNode* folders = node.find("folders")) {
      QUERN_ASSIGN(server.folders, reader_.texts(*folders, key + ": folders"));
    }
    return server;
  }

  Result<void> read_pairs(const YamlNode& map, const std::string& key, TaskServer::Pairs& into) {
    QUERN_TRY(reader_.expect_map(map, key, "names and texts"));
    for (const auto& [name, node] : map.members) {
      QUERN_ASSIGN(std::string value, reader_.text(node, key + ": " + name.substr(0, 60)));
      QUERN_TRY(check_text(node, key, value));
      into.emplace_back(name, std::move(value));
    }
    return {};
  }

  Result<void> check_text(const YamlNode& node, std::string_view key, const std::string& text) const {
    const auto checked = known_.check(text);
    return checked ? Result<void>() : Result<void>(reader_.error(node, "{}: {}", key, checked.error().message));
  }

  Result<void> read_one_step() {
    if (!root_.find("task")) return reader_.error(root_, "task: missing");
    if (const YamlNode* node = root_.find("on_failure")) QUERN_TRY(read_list(*node, "on_failure", task_.on_failure));
    TaskStep step;
    step.budget = task_.budget;
    step.budget.seconds.reset(), step.budget.calls.reset(), step.budget.total_tokens.reset(), step.budget.cost.reset();
    QUERN_TRY(read_step_body(reader_, root_, known_, step));
    task_.steps.push_back(std::move(step));
    return {};
  }

  Result<void> read_steps() {
    for (const std::string_view key : {"task", "output", "files"})
      if (const YamlNode* node = root_.find(key)) return reader_.error(*node, "{}: with steps: it belongs to each of them", key);
    for (const std::string_view name : {"item", "steps", "failure"})
      if (known_.inputs.contains(std::string(name)))
        return reader_.error(*root_.find("inputs"), "inputs: {}: in a task with steps: the name is taken", name);
    if (const YamlNode* retries = root_.find("retries")) {
      QUERN_ASSIGN(default_retries_, reader_.number(*retries, "retries", int64_t{20}, NodeReader::Least::zero));
    }
    QUERN_ASSIGN(task_.checks, read_checks(reader_, root_));
    QUERN_TRY(read_list(*root_.find("steps"), "steps", task_.steps));
    if (const YamlNode* node = root_.find("on_failure")) QUERN_TRY(read_list(*node, "on_failure", task_.on_failure));
    return {};
  }

  Result<void> read_list(const YamlNode& list, std::string_view key, std::vector<TaskStep>& into) {
    QUERN_TRY(reader_.expect_list(list, key, "a list of steps"));
    StepPlace place{.task = &task_, .known = known_, .retries = default_retries_};
    for (const TaskStep& before : task_.steps) place.known.steps.insert(before.name);
    place.known.failure = key == "on_failure";
    for (const YamlNode& item : list.items) {
      QUERN_ASSIGN(TaskStep step, read_step(reader_, item, place));
      place.known.steps.insert(step.name);
      into.push_back(std::move(step));
    }
    return {};
  }

  const NodeReader& reader_;
  const YamlNode& root_;
  Task task_;
  KnownNames known_;
  int64_t default_retries_ = 0;
};

}  // namespace

Result<Task> read_task(const NodeReader& reader, const YamlNode& root) { return Reader(reader, root).read(); }

}  // namespace quern
