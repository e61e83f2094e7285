#include "agent/mcp/service.h"

#include <algorithm>
#include <chrono>

#include "agent/mcp/protocol.h"
#include "base/clock.h"
#include "base/system_error.h"
#include "base/utf8.h"
#include "constrain/constraint.h"

namespace quern {
namespace {

constexpr size_t kMaxQueued = 64;
constexpr double kProgressEvery_s = 0.25;

int64_t rpc_code(Errc code) {
  switch (code) {
    case Errc::unsupported:
      return RpcError::kMethodNotFound;
    case Errc::invalid_argument:
    case Errc::not_found:
      return RpcError::kInvalidParams;
    default:
      return RpcError::kInternal;
  }
}

Json text_content(std::string text) { return Json::Array{json_object({{"type", "text"}, {"text", std::move(text)}})}; }

}  // namespace

McpService::McpService(Options options) : options_(std::move(options)), worker_([this] { work(); }) {}

McpService::~McpService() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    if (running_) running_->cancelled = true;
    changed_.notify_all();
  }
  worker_.join();
}

void McpService::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queue_.empty() && !running_; });
}

void McpService::write(const std::string& text) {
  const std::lock_guard lock(write_mutex_);
  options_.write(text + "\n");
}

void McpService::refuse_line(std::string_view why) { write(rpc_error(Json(), {RpcError::kInvalidRequest, std::string(why)})); }

void McpService::take(std::string_view line) {
  const auto messages = parse_rpc(line);
  if (!messages) return write(rpc_error(Json(), {RpcError::kParse, messages.error().message}));
  for (const RpcMessage& message : *messages) {
    if (message.kind == RpcMessage::Kind::request) take_request(message);
    if (message.kind == RpcMessage::Kind::notification) take_notification(message);
  }
}

void McpService::take_request(const RpcMessage& request) {
  if (request.method == "tools/call" && initialized_) return call_tool(request);
  const auto result = answer(request);
  write(result ? rpc_result(request.id, *result) : rpc_error(request.id, {rpc_code(result.error().code), result.error().message}));
}

Result<Json> McpService::answer(const RpcMessage& request) {
  if (request.method == "ping") return Json::object();
  if (request.method == "initialize") return initialize(request.body);
  if (!initialized_) return fail(Errc::malformed, "{}: expected initialize first", request.method);
  if (request.method == "tools/list") return list_tools();
  if (request.method == "resources/list") {
    Json::Array all;
    for (const ServiceResource& resource : options_.resources)
      all.push_back(json_object({{"uri", resource.uri},
                                 {"name", resource.name},
                                 {"description", resource.description},
                                 {"mimeType", "application/json"}}));
    return json_object({{"resources", Json(std::move(all))}});
  }
  if (request.method == "resources/templates/list") return json_object({{"resourceTemplates", Json::array()}});
  if (request.method == "resources/read") return read_resource(request.body);
  return fail(Errc::unsupported, "{}: quern does not offer that", request.method);
}

Json McpService::initialize(const Json& params) {
  initialized_ = true;
  const Json self = json_object({{"name", "quern"}, {"title", "quern: local models"}, {"version", options_.version}});
  Json capabilities = json_object({{"tools", Json::object()}});
  if (!options_.resources.empty()) capabilities["resources"] = Json::object();
  Json answer = json_object({{"protocolVersion", agreed_mcp_version(string_member(params, "protocolVersion"))},
                             {"capabilities", std::move(capabilities)},
                             {"serverInfo", self}});
  if (!options_.instructions.empty()) answer["instructions"] = options_.instructions;
  return answer;
}

Json McpService::list_tools() const {
  Json::Array all;
  for (const ServiceTool& tool : options_.tools)
    all.push_back(json_object({{"name", tool.name},
                               {"description", tool.description},
                               {"inputSchema", tool.input_schema},
                               {"annotations", json_object({{"readOnlyHint", tool.read_only}, {"openWorldHint", false}})}}));
  return json_object({{"tools", Json(std::move(all))}});
}

Result<Json> McpService::read_resource(const Json& params) const {
  const std::string uri = string_member(params, "uri");
  for (const ServiceResource& resource : options_.resources)
    if (resource.uri == uri)
      return json_object(
          {{"contents", Json::Array{json_object(
                            {{"uri", uri}, {"mimeType", "application/json"}, {"text", resource.read().dump_indented()}})}}});
  return fail(Errc::not_found, "there is no resource {}", uri.substr(0, 200));
}

void McpService::take_notification(const RpcMessage& notification) {
  if (notification.method != "notifications/cancelled") return;
  const Json* id = notification.body.find("requestId");
  if (!id) return;
  const std::lock_guard lock(mutex_);
  if (running_ && running_->id == *id) running_->cancelled = true;
  for (const auto& waiting : queue_)
    if (waiting->id == *id) waiting->cancelled = true;
}

void McpService::call_tool(const RpcMessage& request) {
  const std::string name = string_member(request.body, "name");
  const auto tool =
      std::find_if(options_.tools.begin(), options_.tools.end(), [&](const ServiceTool& t) { return t.name == name; });
  if (tool == options_.tools.end())
    return write(rpc_error(request.id, {RpcError::kInvalidParams, fmt::format("there is no tool '{}'", name.substr(0, 100))}));
  const Json* arguments = request.body.find("arguments");
  auto work = std::make_shared<Work>();
  work->id = request.id;
  work->tool = &*tool;
  work->arguments = arguments ? *arguments : Json::object();
  if (const auto checked = check_json(tool->input_schema, work->arguments); !checked)
    return write(rpc_error(request.id, {RpcError::kInvalidParams, fmt::format("{}: {}", name, checked.error().message)}));
  const Json* meta = request.body.find("_meta");
  if (const Json* token = meta ? meta->find("progressToken") : nullptr) work->progress_token = *token;
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= kMaxQueued)
    return write(rpc_error(request.id, {RpcError::kInternal, fmt::format("{} calls are waiting already", kMaxQueued)}));
  queue_.push_back(std::move(work));
  changed_.notify_all();
}

void McpService::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return closing_ || !queue_.empty(); });
    if (closing_) return;
    running_ = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    carry_out(*running_);
    lock.lock();
    running_.reset();
    changed_.notify_all();
  }
}

void McpService::carry_out(Work& work) {
  auto last = Clock::now() - std::chrono::hours(1);
  ServiceCall call;
  call.cancelled = [&] { return work.cancelled.load(); };
  call.progress = [&](int64_t done, int64_t total, std::string_view message) {
    const auto now = Clock::now();
    if (work.progress_token.is_null() || std::chrono::duration<double>(now - last).count() < kProgressEvery_s) return;
    last = now;
    Json params = json_object({{"progressToken", work.progress_token}, {"progress", done}});
    if (total > 0) params["total"] = total;
    if (!message.empty()) params["message"] = message;
    write(rpc_notification("notifications/progress", std::move(params)));
  };
  if (work.cancelled) return;  // who cancels does not wait for an answer
  Result<ServiceAnswer> answer = fail(Errc::io, "it was not carried out");
  try {
    answer = work.tool->run(work.arguments, call);
  } catch (const SystemError& e) {
    answer = fail(Errc::io, "{}", e.what());
  } catch (const std::bad_alloc&) {
    answer = fail(Errc::io, "out of memory");
  }
  if (work.cancelled) return;
  Json result = json_object({{"content", text_content(replace_invalid_utf8(answer ? answer->text : answer.error().message))}});
  if (answer && !answer->structured.is_null()) result["structuredContent"] = std::move(answer->structured);
  result["isError"] = !answer;
  write(rpc_result(work.id, std::move(result)));
}

}  // namespace quern
