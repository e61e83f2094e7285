// quern serve: models over HTTP, for the clients of others and for several of them at the same time.
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "catalogue.h"
#include "catalogue/catalogue.h"
#include "models.h"
#include "serve_options.h"
#include "server/api.h"
#include "server/config.h"
#include "server/context.h"
#include "server/http/exchange_log.h"
#include "server/http/retry_estimate.h"
#include "server/http/server.h"
#include "server/metrics.h"
#include "server/page/page.h"
#include "server/status_routes.h"
#include "tool_choice.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// What the options' checks have let through.
double seconds_of(const std::string& text) {
  const double seconds = parse_duration(text).value_or(std::chrono::duration<double>(0)).count();
  return seconds < 0 ? 0 : seconds;  // forever
}
size_t bytes_of(const std::string& text) { return text.empty() ? 0 : parse_size(text).value_or(0); }

// NAME=PATH, or a model that names itself: a path, or a name in the user's catalogue.
Result<void> add_model_of_option(std::vector<ModelEntry>& entries, const std::string& option) {
  const size_t equals = option.find('=');
  const bool has_name = equals != std::string::npos && option.substr(0, equals).find('/') == std::string::npos;
  ModelEntry entry;
  const auto path = named_model(has_name ? option.substr(equals + 1) : option);
  if (!path) return with_context(path.error(), "--model");
  entry.path = *path;
  if (has_name) {
    entry.name = option.substr(0, equals);
  } else {
    std::vector<FoundModel> one;
    add_found_model(one, entry.path, name_of_model(entry.path));
    entry.name = one.front().name;
  }
  entries.push_back(std::move(entry));
  return {};
}

Result<std::vector<ModelEntry>> find_models(const ServeOptions& o) {
  std::vector<ModelEntry> entries;
  for (const std::string& option : o.models) QUERN_TRY(add_model_of_option(entries, option));
  for (const ModelEntry& entry : o.configured) {
    std::error_code ignored;
    if (!fs::exists(entry.path, ignored))
      return fail(Errc::not_found, "{}: model {}: {}: no such folder or file", o.config, entry.name, entry.path.string());
    const bool named = std::any_of(entries.begin(), entries.end(), [&](const ModelEntry& e) { return e.name == entry.name; });
    if (!named) entries.push_back(entry);  // the command line's goes before
  }
  std::vector<FoundModel> found;
  if (!o.catalogue.empty()) QUERN_TRY(add_models_of(found, o.catalogue));
  if (entries.empty() && found.empty()) {
    if (!o.catalogue.empty()) return fail(Errc::not_found, "{}: no model there", o.catalogue);
    QUERN_ASSIGN(const auto embedded, find_model(""));
    add_found_model(found, embedded);
  }
  for (const FoundModel& model : found) {
    const bool named = std::any_of(entries.begin(), entries.end(), [&](const ModelEntry& e) { return e.name == model.name; });
    if (!named) entries.push_back({.name = model.name, .path = model.path});
  }
  const double keep = parse_duration(o.keep)->count();
  for (ModelEntry& entry : entries)
    if (entry.keep.count() < 0) entry.keep = std::chrono::duration<double>(keep);
  return entries;
}

// The folder that what outlives the process is in, locked while this process uses it. What is written may hold prompts: every file in it is
// its owner's alone, or lies in a folder of its own that is. The umask stays the user's, since it is also that of the files of tools.
struct DataFolder {
  fs::path path;  // empty: none
  UniqueFd lock;
};

Result<DataFolder> open_data(const ServeOptions& o, ExchangeLog& log) {
  DataFolder data;
  if (o.no_data) return data;
  const char* base = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  if (!o.data.empty())
    data.path = o.data;
  else if (base && *base)
    data.path = fs::path(base) / "quern/serve";
  else if (home && *home)
    data.path = fs::path(home) / ".local/share/quern/serve";
  if (data.path.empty()) return data;
  const auto unusable = [&](std::string why) -> Result<DataFolder> {
    if (!o.data.empty()) return fail(Errc::io, "--data {}: {}", o.data, why);
    log.event("warn",
              fmt::format("{}: {}; nothing is kept beyond this process (--data names another folder)", data.path.string(), why));
    return DataFolder();
  };
  if (const auto made = make_private_folders(data.path); !made) return unusable(made.error().message);
  data.lock = UniqueFd(::open((data.path / "lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  if (!data.lock) return unusable(std::strerror(errno));
  if (::flock(data.lock.get(), LOCK_EX | LOCK_NB) != 0) return unusable("another server uses it");
  return data;
}

Result<std::unique_ptr<ExchangeLog>> open_log(const ServeOptions& o) {
  ExchangeLogOptions options;
  options.format = o.log == "json" ? LogFormat::json : o.log == "none" ? LogFormat::none : LogFormat::logfmt;
  options.prompts = o.log_prompts;
  options.trace = o.trace;
  return ExchangeLog::open(std::move(options));
}

Result<std::unique_ptr<ModelPool>> make_pool(const ServeOptions& o, const fs::path& data, ExchangeLog& log) {
  ModelPool::Options options;
  QUERN_ASSIGN(options.models, find_models(o));
  QUERN_ASSIGN(options.engine, o.common.engine_for({}));
  options.engine.on_warning = [&log](const std::string& warning) { log.event("warn", warning); };
  options.scheduler.max_running = o.max_running;
  options.scheduler.max_waiting = o.max_waiting;
  options.scheduler.prefill_tokens = o.prefill_tokens;
  options.cache.memory = bytes_of(o.cache_memory);
  options.cache.disk = bytes_of(o.cache_disk);
  if (!data.empty() && options.cache.disk > 0) options.cache.folder = data / "cache";
  options.memory = bytes_of(o.memory);
  options.on_event = [&log](const std::string& line) { log.event("info", line); };
  return ModelPool::create(std::move(options));
}

Result<HttpServerOptions> server_options(const ServeOptions& o, ExchangeLog& log, Metrics& metrics, RetryEstimate& retry,
                                         const ModelPool& pool) {
  HttpServerOptions options;
  options.host = o.host;
  options.port = static_cast<uint16_t>(o.port);
  options.tls_cert = o.tls_cert, options.tls_key = o.tls_key;
  options.allowed_hosts = o.allowed_hosts;
  options.origins = o.cors;
  if (!o.api_key_file.empty()) {
    std::string warning;
    QUERN_ASSIGN(options.keys, read_api_keys(o.api_key_file, warning));
    if (!warning.empty()) log.event("warn", warning);
  }
  HttpLimits& limits = options.limits;
  limits.request.header = std::min<size_t>(bytes_of(o.max_header), 1 << 20);
  limits.request.body = bytes_of(o.max_body);
  limits.bodies = bytes_of(o.max_bodies);
  limits.header_s = limits.handshake_s = seconds_of(o.header_time);
  limits.body_s = seconds_of(o.body_time);
  limits.idle_s = seconds_of(o.idle_time);
  limits.write_s = seconds_of(o.write_time);
  limits.exchange_s = seconds_of(o.request_time);
  limits.connections = static_cast<size_t>(o.max_connections);
  limits.per_address = static_cast<size_t>(o.max_per_address);
  limits.handlers = static_cast<size_t>(o.max_requests);
  options.transcripts = log.wants_transcripts();
  options.on_exchange = [&log, &metrics, &retry](const ExchangeRecord& record) {
    metrics.count(record);
    if (record.notes.tokens > 0 && !record.cut_off) retry.count(record.seconds - std::max(0.0, record.notes.queued_s));
    log.put(record);
  };
  options.retry_after = [&retry, &pool] {
    const ModelPool::Busy busy = pool.busy();
    return retry.seconds(busy.running, busy.waiting);
  };
  return options;
}

// What the models may call on the page; nullptr: nothing.
Result<std::unique_ptr<PageTools>> page_tools(const ServeOptions& o, ExchangeLog& log) {
  if (o.no_page || (o.tools.empty() && o.mcp.empty())) return nullptr;
  auto tools = std::make_unique<PageTools>();
  QUERN_ASSIGN(ChosenTools chosen,
               choose_tools({.tools = o.tools,
                             .mcp = o.mcp,
                             .hosts = o.tool_hosts,
                             .root = o.root,
                             .ask = [](const auto&, const auto&) { return std::nullopt; },  // the page has its own
                             .on_warning = [&log](const std::string& line) { log.event("warn", line); },
                             .cancelled = {}}));
  std::error_code ignored;
  tools->root = fs::weakly_canonical(o.root, ignored).string();
  tools->registry = std::move(chosen.registry);
  if (!o.mcp.empty())
    tools->refresh = [servers = std::make_shared<McpClients>(std::move(chosen.servers))](ToolRegistry& registry) {
      return servers->refresh(registry, CallContext{});
    };
  return tools;
}

// SIGTERM and SIGINT come to wait() alone; after it a second one ends the program at once.
class Signals {
 public:
  Signals() {
    ::sigemptyset(&set_);
    ::sigaddset(&set_, SIGTERM);
    ::sigaddset(&set_, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);  // of all threads that are started from here on
  }
  const char* wait() {
    int signal = 0;
    ::sigwait(&set_, &signal);
    for (const int each : {SIGTERM, SIGINT}) ::signal(each, SIG_DFL);
    ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
    return signal == SIGINT ? "SIGINT" : "SIGTERM";
  }

 private:
  ::sigset_t set_;
};

// A connection is a file descriptor, of which programs get few unless they ask.
void allow_many_files() {
  ::rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

// Hundreds of requests, each on a thread of its own, would each leave states of megabytes behind in a heap of theirs: with 256 clients for a
// minute the process grew to 760 MB and went on growing; so it stays at 570.
void keep_memory_together() {
#ifdef __GLIBC__
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, 512 << 10);
#endif
}

Result<int> serve(CLI::App& command, ServeOptions& o) {
  QUERN_TRY(apply_config_file(command, o));
  if (o.print_config) {
    QUERN_TRY(print_out(config_text(command, o)));
    return kSuccess;
  }
  allow_many_files();
  keep_memory_together();
  Signals signals;
  QUERN_ASSIGN(const auto log, open_log(o));
  QUERN_ASSIGN(const DataFolder data, open_data(o, *log));
  QUERN_ASSIGN(const auto pool, make_pool(o, data.path, *log));
  Metrics metrics;
  RetryEstimate retry;
  ServerContext context{.models = *pool,
                        .metrics = metrics,
                        .version = QUERN_VERSION,
                        .data = data.path,
                        .json_depth = static_cast<size_t>(o.json_depth),
                        .move_volatile = !o.keep_volatile,
                        .claude_names = o.claude_names,
                        .on_warning = [&log](const std::string& line) { log->event("warn", line); }};
  const auto start = Clock::now();
  const auto models = pool->list();
  std::atomic<bool> loading = std::any_of(models.begin(), models.end(), [](const ModelState& m) { return m.entry.pinned; });
  std::atomic<bool> ending = false;
  std::atomic<const HttpServer*> running = nullptr;
  QUERN_ASSIGN(const auto tools, page_tools(o, *log));
  std::unique_ptr<Page> page;
  Router router;
  QUERN_TRY(add_api_routes(router, context));
  if (!o.no_page) {
    QUERN_ASSIGN(page, Page::create(context, tools.get()));
    page->add_routes(router);
  } else {
    add_greeting_route(router, context);
  }
  add_status_routes(router, context, [&] {
    ServerHealth health{.uptime_s = std::chrono::duration<double>(Clock::now() - start).count(), .loading = loading};
    if (const HttpServer* http = running) {
      health.connections = http->connections();
      health.requests = http->requests();
      health.draining = http->draining();
    }
    return health;
  });
  QUERN_ASSIGN(HttpServerOptions options, server_options(o, *log, metrics, retry, *pool));
  const bool in_clear = !options.keys.empty() && options.tls_cert.empty();
  QUERN_ASSIGN(auto server, HttpServer::start(router, std::move(options)));
  running = server.get();
  if (in_clear && o.host != "127.0.0.1" && o.host != "localhost" && o.host != "::1")
    log->event("warn", "keys and texts travel unencrypted; --tls-cert and --tls-key encrypt them");
  QUERN_TRY(print_out(fmt::format("listening on {}\n", server->url())));

  std::thread preloading([&] {
    for (const ModelState& model : models)
      if (model.entry.pinned)
        if (const auto loaded = pool->acquire(model.entry.name, [&] { return !ending; }); !loaded)
          log->event("error", loaded.error().message);
    loading = false;
  });

  const char* signal = signals.wait();
  log->event("info", fmt::format("{}: no new requests; running ones have {} to finish", signal, o.grace));
  ending = true;
  const double grace = seconds_of(o.grace);
  const bool finished = server->drain(grace > 0 ? grace : 1e8);
  if (!finished) log->event("warn", fmt::format("{} requests are cancelled", server->requests()));
  server.reset();  // cancels, and waits for the handlers
  preloading.join();
  pool->drain(0);
  log->event("info", "ended");
  return kSuccess;
}

}  // namespace

void add_serve_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<ServeOptions>();
  CLI::App* command = add_command(app, "serve", "Serve models over HTTP: APIs of OpenAI, Anthropic and Ollama, and its own");
  command->footer(
      "Examples:\n"
      "  quern serve                                       pebble on http://127.0.0.1:8080\n"
      "  quern serve --model next=/models/qwen3-next --port 11434\n"
      "  quern serve --models /models --memory 48G --keep 30m\n"
      "  quern serve --host 0.0.0.0 --api-key-file ~/.quern-keys --tls-cert cert.pem --tls-key key.pem\n"
      "  quern serve --print-config > serve.yaml && quern serve --config serve.yaml\n\n"
      "Prints `listening on URL` when it is ready. Sizes are as 64M or 1.5G, times as 90s, 10m, 2h or forever. SIGTERM and SIGINT let running\n"
      "requests finish (--grace), save what is to be kept and end with 0; a second one ends at once. docs/serve.md has the clients' recipes.");
  add_serve_options(*command, *o);
  command->callback([o, command, &body] { body = [o, command] { return serve(*command, *o); }; });
}

}  // namespace quern
