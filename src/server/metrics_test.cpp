#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

namespace quern {
namespace {

using ::testing::HasSubstr;

ExchangeRecord record(std::string route, int status, double seconds) {
  ExchangeRecord made;
  made.method = "POST";
  made.route = std::move(route);
  made.status = status;
  made.seconds = seconds;
  made.received = 10, made.sent = 20;
  return made;
}

TEST(Metrics, CountsByRouteAndStatus) {
  Metrics metrics;
  ExchangeRecord answered = record("/v1/chat/completions", 200, 0.02);
  answered.first_byte_s = 0.01;
  answered.notes = {.model = "a \"b\"\n", .prompt_tokens = 7, .reused_tokens = 5, .tokens = 3, .queued_s = 0.3};
  metrics.count(answered);
  answered.seconds = 400;
  metrics.count(answered);
  ExchangeRecord gone = record("", 0, 1);
  gone.cut_off = true;
  metrics.count(gone);
  const std::string text = metrics.text({.connections = 4, .requests = 2, .uptime_s = 1.5, .version = "1"});
  for (const char* line : {
           "quern_http_requests_total{method=\"POST\",route=\"/v1/chat/completions\",status=\"200\"} 2\n",
           "quern_http_requests_total{method=\"POST\",route=\"none\",status=\"0\"} 1\n",
           "quern_http_request_seconds_bucket{route=\"/v1/chat/completions\",le=\"0.01\"} 0\n",
           "quern_http_request_seconds_bucket{route=\"/v1/chat/completions\",le=\"0.025\"} 1\n",
           "quern_http_request_seconds_bucket{route=\"/v1/chat/completions\",le=\"300\"} 1\n",
           "quern_http_request_seconds_bucket{route=\"/v1/chat/completions\",le=\"+Inf\"} 2\n",
           "quern_http_request_seconds_count{route=\"/v1/chat/completions\"} 2\n",
           "quern_http_first_byte_seconds_count{route=\"/v1/chat/completions\"} 2\n",
           "quern_answered_tokens_total{model=\"a \\\"b\\\"\\n\",kind=\"prompt\"} 14\n",
           "quern_answered_tokens_total{model=\"a \\\"b\\\"\\n\",kind=\"generated\"} 6\n",
           "quern_queue_wait_seconds_bucket{model=\"a \\\"b\\\"\\n\",le=\"0.25\"} 0\n",
           "quern_queue_wait_seconds_bucket{model=\"a \\\"b\\\"\\n\",le=\"0.5\"} 2\n",
           "quern_http_cut_off_total 1\n",
           "quern_http_received_bytes_total 30\n",
           "quern_connections 4\n",
           "quern_uptime_seconds 1.5\n",
       })
    EXPECT_THAT(text, HasSubstr(line));
}

TEST(Metrics, EveryLineIsWhatTheFormatHas) {
  Metrics metrics;
  metrics.count(record("/a", 200, 1));
  ModelState model;
  model.entry.name = "pebble";
  model.status = ModelState::Status::loaded;
  model.resident = 5;
  model.stats.running = 3;
  model.cache = {.states = 4, .bytes_on_disk = 1 << 20, .hits = 6};
  const std::string text = metrics.text({.models = {model}});
  EXPECT_THAT(text, HasSubstr("quern_model_loaded{model=\"pebble\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("quern_generations_running{model=\"pebble\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("quern_prefix_cache_states{model=\"pebble\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("quern_prefix_cache_disk_bytes{model=\"pebble\"} 1048576\n"));
  EXPECT_THAT(text, HasSubstr("quern_prefix_cache_hits_total{model=\"pebble\"} 6\n"));
  const std::regex sample(R"(([a-z_]+)(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="([^"\\\n]|\\.)*")*\})? [-+0-9.e]+)");
  std::istringstream lines(text);
  std::string declared;
  for (std::string line; std::getline(lines, line);) {
    std::smatch parts;
    if (line.starts_with("# TYPE ")) {
      declared = line.substr(7, line.find(' ', 7) - 7);
    } else if (!line.starts_with("# HELP ")) {
      ASSERT_TRUE(std::regex_match(line, parts, sample)) << line;
      EXPECT_TRUE(parts[1].str().starts_with(declared)) << line << " under " << declared;
    }
  }
  EXPECT_EQ(text.back(), '\n');
}

}  // namespace
}  // namespace quern
