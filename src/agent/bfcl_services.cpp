#include "agent/bfcl_services.h"

#include <algorithm>
#include <utility>

#include "agent/bfcl_services_driver.h"
#include "agent/sandbox/command.h"
#include "agent/sandbox/visible_system.h"
#include "base/clock.h"
#include "base/paths.h"
#include "base/utf8.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxAnswer = size_t{64} << 20;
constexpr size_t kMaxLastWords = 4096;
constexpr double kLookEvery = 0.1;  // seconds, at the limits that only an observer can keep

// Where Python is and what it reads: its program, its prefixes (a virtual environment has two) and its module path.
constexpr const char* kProbe =
    "import json, os, sys; print(json.dumps([os.path.realpath(p) for p in "
    "[sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path] if p and os.path.exists(p)] + [sys.executable]))";

bool belongs_to_the_system(const fs::path& path) {
  return path == path.root_path() ||
         std::any_of(kSystemFolders.begin(), kSystemFolders.end(), [&](const char* folder) { return lies_in(path, folder); });
}

Result<std::vector<std::string>> ask_python(const std::vector<std::string>& environment) {
  if (!find_program("python3", "/", environment))
    return fail(Errc::not_found, "no python3 in PATH, which the multi-turn services need: install it (Debian: python3)");
  CommandOptions probe;
  probe.process = {.arguments = {"python3", "-I", "-c", kProbe}, .folder = "/", .environment = environment, .sandbox = {}};
  probe.process.sandbox.wall_seconds = 30;
  QUERN_ASSIGN(const CommandOutcome outcome, run_command(probe));
  std::string text = outcome.text();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const auto answer = Json::parse(std::string_view(text).substr(text.rfind('\n') + 1), "python3");  // warnings may stand before it
  const auto is_text = [](const Json& one) { return one.is_string() && !one.as_string().empty(); };
  if (!answer || !answer->is_array() || answer->size() == 0 ||
      !std::all_of(answer->as_array().begin(), answer->as_array().end(), is_text))
    return fail(Errc::not_found, "python3, which the multi-turn services need, does not work here: {}",
                !outcome.ended_by_us.empty() ? outcome.ended_by_us
                : text.empty()               ? fmt::format("exit code {}", outcome.exit_code)
                                             : replace_invalid_utf8(text.substr(0, 300)));
  std::vector<std::string> paths;
  for (const Json& one : answer->as_array()) paths.push_back(one.as_string());
  return paths;
}

std::vector<std::string> harmless(const std::vector<std::string>& environment) {
  std::vector<const char*> entries;
  for (const std::string& entry : environment) entries.push_back(entry.c_str());
  entries.push_back(nullptr);
  return harmless_environment(entries.data());
}

Json services_json(const std::vector<BfclService>& services) {
  Json out = Json::object();
  for (const BfclService& service : services) out[service.name] = service.module;
  return out;
}

Json request(std::string_view what) {
  Json out = Json::object();
  out["do"] = what;
  return out;
}

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  text.erase(0, text.rfind('\n') + 1);
  return replace_invalid_utf8(std::string_view(text).substr(0, 300));
}

}  // namespace

Result<BfclServices> BfclServices::open(BfclServicesOptions options) {
  BfclServices services;
  services.root_ = bfcl_services_folder(options.data).parent_path().parent_path().parent_path();
  QUERN_ASSIGN(std::vector<std::string> paths, ask_python(options.environment));
  services.python_ = std::move(paths.back());
  paths.pop_back();
  paths.push_back(fs::path(services.python_).parent_path().string());
  for (const std::string& text : paths)
    if (const fs::path path(text); !belongs_to_the_system(path)) services.library_.push_back(path);
  std::sort(services.library_.begin(), services.library_.end());
  services.library_.erase(std::unique(services.library_.begin(), services.library_.end()), services.library_.end());
  services.options_ = std::move(options);
  return services;
}

Result<void> BfclServices::spawn() {
  SandboxPolicy policy{.mode = SandboxPolicy::Mode::best, .readable = library_, .writable = {}};
  policy.readable.push_back(root_);
  policy.memory_bytes = int64_t{2} << 30;
  policy.file_bytes = int64_t{64} << 20;
  policy.processes = 16;
  unread_.clear();
  words_.clear();
  auto process = ChildProcess::spawn({.arguments = {python_, "-I", "-c", std::string(bfcl_services_driver()), root_.string()},
                                      .folder = root_,
                                      .environment = harmless(options_.environment),
                                      .input = ProcessOptions::Input::pipe,
                                      .errors = ProcessOptions::Errors::own_pipe,
                                      .sandbox = std::move(policy)});
  if (!process) return with_context(process.error(), "the multi-turn services");
  process_.emplace(std::move(*process));
  return {};
}

tl::unexpected<Error> BfclServices::end_with(std::string why) {
  const auto code = process_->wait(why.empty() ? 1 : 0);
  if (why.empty()) why = code ? fmt::format("ended with exit code {}", *code) : "do not listen or answer any more";
  for (int parts = 0; parts < 16 && take_words(); ++parts) {
  }
  if (const std::string words = last_line(words_); !words.empty()) why += ": " + words;
  process_.reset();
  return fail(Errc::io, "the services {}", why);
}

// Nobody waits for them, but a pipe that is not read, or that has ended, would wake every wait for output at once.
bool BfclServices::take_words() {
  const bool some = process_->read(ChildProcess::Stream::errors, words_) == ChildProcess::ReadState::some;
  if (words_.size() > kMaxLastWords) words_.erase(0, words_.size() - kMaxLastWords);
  return some;
}

Result<std::string> BfclServices::read_line() {
  const auto start = Clock::now();
  double looked = 0;
  for (size_t searched = 0;;) {
    if (const size_t end = unread_.find('\n', searched); end != std::string::npos) {
      if (end + 1 < unread_.size()) return end_with("sent more than an answer");  // the next one would be taken for another's
      unread_.pop_back();
      return std::exchange(unread_, {});
    }
    searched = unread_.size();
    if (unread_.size() > kMaxAnswer) return end_with(fmt::format("sent more than {} MiB at once", kMaxAnswer >> 20));
    process_->wait_for_output(kLookEvery);
    take_words();
    if (process_->read(ChildProcess::Stream::output, unread_) == ChildProcess::ReadState::end) return end_with("");
    const double waited = seconds_since(start);
    if (waited > options_.answer_seconds) return end_with(fmt::format("took longer than {} s", options_.answer_seconds));
    if (waited - looked < kLookEvery) continue;
    looked = waited;
    if (const auto limit = process_->exceeded_limit()) return end_with(*limit);
  }
}

Result<Json> BfclServices::ask(const Json& request) {
  if (!process_) return fail(Errc::io, "the services are not running");
  if (!process_->write(request.dump() + "\n", options_.answer_seconds)) return end_with("");
  QUERN_ASSIGN(const std::string line, read_line());
  auto answer = Json::parse(line, "the services");
  if (!answer || !answer->is_object()) return end_with("sent what is no answer");
  const Json* error = answer->find("error");
  if (!error || !error->is_string()) return answer;
  const Json* missing = answer->find("missing");
  if (missing && missing->is_string())
    return fail(Errc::not_found,
                "the services need the Python package {0}, which {1} does not have: install it (Debian: python3-{0})",
                missing->as_string(), python_);
  return fail(Errc::malformed, "the services: {}", error->as_string());
}

Result<void> BfclServices::load(const std::vector<BfclService>& services) {
  if (!process_) QUERN_TRY(spawn());
  Json wanted = request("load");
  wanted["services"] = services_json(services);
  QUERN_TRY(ask(wanted));
  return {};
}

Result<void> BfclServices::start(const BfclTurnsItem& item) {
  if (!process_) QUERN_TRY(spawn());
  Json wanted = request("start");
  wanted["services"] = services_json(item.services);
  wanted["config"] = item.config;
  wanted["long_context"] = item.long_context;
  QUERN_TRY(ask(wanted));
  return {};
}

Result<std::vector<std::string>> BfclServices::call(Side side, const BfclStep& calls) {
  Json wanted = request("call");
  wanted["who"] = side == Side::model ? "model" : "truth";
  wanted["calls"] = calls;
  QUERN_ASSIGN(const Json answer, ask(wanted));
  const Json* results = answer.find("results");
  std::vector<std::string> texts;
  if (results && results->is_array())
    for (const Json& result : results->as_array())
      if (result.is_string()) texts.push_back(result.as_string());
  if (texts.size() != calls.size()) return end_with("sent what is no answer");
  return texts;
}

Result<std::optional<std::string>> BfclServices::difference() {
  QUERN_ASSIGN(const Json answer, ask(request("compare")));
  const Json* difference = answer.find("difference");
  if (!difference || !(difference->is_null() || difference->is_string())) return end_with("sent what is no answer");
  return difference->is_string() ? std::optional(difference->as_string()) : std::nullopt;
}

}  // namespace quern
