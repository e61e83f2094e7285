#include "server/metrics.h"

#include <algorithm>

#include "base/memory.h"

namespace quern {
namespace {

// As the format wants values of labels; fmt writes numbers so that they read back the same.
std::string label_value(std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n')
      text += "\\n";
    else
      text += c;
  }
  return text + '"';
}

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

template <class Number>
void line(std::string& out, std::string_view name, std::string_view labels, Number value) {
  out += labels.empty() ? fmt::format("{} {}\n", name, value) : fmt::format("{}{{{}}} {}\n", name, labels, value);
}

template <class Number>
void single(std::string& out, std::string_view name, std::string_view type, std::string_view help, Number value) {
  head(out, name, type, help);
  line(out, name, "", value);
}

// As of the end of each model's last turn.
void print_caches(std::string& out, const std::vector<ModelState>& models) {
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, auto PrefixCacheStats::* field) {
    head(out, name, type, help);
    for (const ModelState& model : models) line(out, name, "model=" + label_value(model.entry.name), model.cache.*field);
  };
  each("quern_prefix_cache_lookups_total", "counter", "Prompts that were looked for.", &PrefixCacheStats::lookups);
  each("quern_prefix_cache_hits_total", "counter", "Prompts whose beginning was known.", &PrefixCacheStats::hits);
  each("quern_prefix_cache_found_tokens_total", "counter", "Tokens of these beginnings.", &PrefixCacheStats::tokens_found);
  each("quern_prefix_cache_states", "gauge", "States in memory.", &PrefixCacheStats::states);
  each("quern_prefix_cache_bytes", "gauge", "Bytes of states in memory.", &PrefixCacheStats::bytes);
  each("quern_prefix_cache_disk_states", "gauge", "States on disk.", &PrefixCacheStats::states_on_disk);
  each("quern_prefix_cache_disk_bytes", "gauge", "Bytes of states on disk.", &PrefixCacheStats::bytes_on_disk);
  each("quern_prefix_cache_evicted_total", "counter", "States that made room in memory.", &PrefixCacheStats::evicted);
  each("quern_prefix_cache_written_total", "counter", "States written to disk.", &PrefixCacheStats::written);
  each("quern_prefix_cache_loaded_total", "counter", "States loaded from disk.", &PrefixCacheStats::loaded);
}

void print_models(std::string& out, const std::vector<ModelState>& models) {
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, auto value_of) {
    head(out, name, type, help);
    for (const ModelState& model : models) line(out, name, "model=" + label_value(model.entry.name), value_of(model));
  };
  const auto of_stats = [&](std::string_view name, std::string_view type, std::string_view help, auto SchedulerStats::* field) {
    each(name, type, help, [&](const ModelState& model) { return model.stats.*field; });
  };
  each("quern_model_loaded", "gauge", "1 while the model is loaded.",
       [](const ModelState& model) { return model.status == ModelState::Status::loaded ? 1 : 0; });
  each("quern_model_resident_bytes", "gauge", "Weights and states of the model while it is loaded.",
       [](const ModelState& model) { return model.resident; });
  each("quern_model_users", "gauge", "Requests and sessions that hold the model.",
       [](const ModelState& model) { return model.users; });
  of_stats("quern_generations_running", "gauge", "Generations in the model's batch.", &SchedulerStats::running);
  of_stats("quern_generations_waiting", "gauge", "Generations in the model's queue.", &SchedulerStats::waiting);
  of_stats("quern_generations_parked", "gauge", "Generations that wait for memory to go on.", &SchedulerStats::parked);
  of_stats("quern_generations_parked_total", "counter", "How often a generation gave its memory up for a while.",
           &SchedulerStats::gave_way);
  of_stats("quern_generations_finished_total", "counter", "Generations that came to their end.", &SchedulerStats::finished);
  of_stats("quern_generations_cancelled_total", "counter", "Generations that were cancelled.", &SchedulerStats::cancelled);
  of_stats("quern_generations_failed_total", "counter", "Generations that failed.", &SchedulerStats::failed);
  of_stats("quern_generations_refused_total", "counter", "Generations refused because the queue was full.",
           &SchedulerStats::refused);
  of_stats("quern_steps_total", "counter", "Forward passes.", &SchedulerStats::steps);
  of_stats("quern_prompt_tokens_total", "counter", "Tokens of prompts, those found in the prefix cache included.",
           &SchedulerStats::prompt_tokens);
  of_stats("quern_reused_tokens_total", "counter", "Tokens of prompts that the prefix cache held already.",
           &SchedulerStats::reused_tokens);
  of_stats("quern_generated_tokens_total", "counter", "Tokens generated.", &SchedulerStats::generated_tokens);
  of_stats("quern_states_bytes", "gauge", "Memory that running generations hold or have been promised.", &SchedulerStats::memory);
  of_stats("quern_states_limit_bytes", "gauge", "Memory there is for running generations.", &SchedulerStats::memory_limit);
}

}  // namespace

void Metrics::Histogram::add(double seconds) {
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin();
  ++counts[static_cast<size_t>(bucket)];
  sum += seconds;
}

void Metrics::Histogram::print(std::string& out, std::string_view name, std::string_view labels) const {
  int64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    const std::string bound = i < kBounds.size() ? fmt::format("{}", kBounds[i]) : "+Inf";
    line(out, fmt::format("{}_bucket", name), fmt::format("{},le=\"{}\"", labels, bound), total);
  }
  line(out, fmt::format("{}_sum", name), labels, sum);
  line(out, fmt::format("{}_count", name), labels, total);
}

void Metrics::count(const ExchangeRecord& record) {
  const std::string route = record.route.empty() ? "none" : record.route;
  const std::lock_guard lock(mutex_);
  ++requests_[{record.method, route, record.status}];
  received_ += static_cast<int64_t>(record.received);
  sent_ += static_cast<int64_t>(record.sent);
  cut_off_ += record.cut_off;
  durations_[route].add(record.seconds);
  if (record.first_byte_s >= 0) first_bytes_[route].add(record.first_byte_s);
  if (record.notes.model.empty()) return;
  Tokens& tokens = tokens_[record.notes.model];
  tokens.prompt += std::max<int64_t>(record.notes.prompt_tokens, 0);
  tokens.reused += std::max<int64_t>(record.notes.reused_tokens, 0);
  tokens.generated += std::max<int64_t>(record.notes.tokens, 0);
  if (record.notes.queued_s >= 0) queue_waits_[record.notes.model].add(record.notes.queued_s);
}

std::string Metrics::text(const Now& now) const {
  std::string out;
  head(out, "quern_info", "gauge", "The version that runs.");
  line(out, "quern_info", "version=" + label_value(now.version), 1);
  single(out, "quern_uptime_seconds", "gauge", "Since the start.", now.uptime_s);
  single(out, "quern_resident_bytes", "gauge", "Memory of the process that is not swapped out.", resident_memory());
  single(out, "quern_connections", "gauge", "Open connections.", now.connections);
  single(out, "quern_http_requests_running", "gauge", "Requests being handled.", now.requests);
  const std::lock_guard lock(mutex_);
  head(out, "quern_http_requests_total", "counter", "Requests by method, route and status; 0: the client went away first.");
  for (const auto& [key, count] : requests_) {
    const auto& [method, route, status] = key;
    line(out, "quern_http_requests_total",
         fmt::format("method={},route={},status=\"{}\"", label_value(method), label_value(route), status), count);
  }
  single(out, "quern_http_cut_off_total", "counter", "Answers that did not reach their client whole.", cut_off_);
  single(out, "quern_http_received_bytes_total", "counter", "Bodies of requests.", received_);
  single(out, "quern_http_sent_bytes_total", "counter", "Bodies of answers.", sent_);
  head(out, "quern_http_request_seconds", "histogram", "From a request's first byte to its answer's last.");
  for (const auto& [route, histogram] : durations_)
    histogram.print(out, "quern_http_request_seconds", "route=" + label_value(route));
  head(out, "quern_http_first_byte_seconds", "histogram", "From a request's first byte to its answer's first.");
  for (const auto& [route, histogram] : first_bytes_)
    histogram.print(out, "quern_http_first_byte_seconds", "route=" + label_value(route));
  head(out, "quern_queue_wait_seconds", "histogram", "What finished requests waited in their model's queue, by model.");
  for (const auto& [model, histogram] : queue_waits_)
    histogram.print(out, "quern_queue_wait_seconds", "model=" + label_value(model));
  head(out, "quern_answered_tokens_total", "counter", "Tokens of finished requests, by model and kind.");
  for (const auto& [model, tokens] : tokens_)
    for (const auto& [kind, count] :
         {std::pair{"prompt", tokens.prompt}, {"reused", tokens.reused}, {"generated", tokens.generated}})
      line(out, "quern_answered_tokens_total", fmt::format("model={},kind=\"{}\"", label_value(model), kind), count);
  print_models(out, now.models);
  print_caches(out, now.models);
  return out;
}

}  // namespace quern
