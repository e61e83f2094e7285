// What /metrics tells: counted since the start, or as it is now, in Prometheus's text format (version 0.0.4).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "server/http/record.h"
#include "server/models.h"

namespace quern {

class Metrics {
 public:
  // From any thread.
  void count(const ExchangeRecord& record);

  // What the server looks like just now.
  struct Now {
    int64_t connections = 0, requests = 0;  // open; being handled
    double uptime_s = 0;
    std::string version;
    std::vector<ModelState> models;
  };
  std::string text(const Now& now) const;

  // Upper bounds of the histograms, in seconds.
  static constexpr std::array<double, 14> kBounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

 private:
  struct Histogram {
    std::array<int64_t, kBounds.size() + 1> counts{};  // of each bucket alone; the last is beyond all bounds
    double sum = 0;
    void add(double seconds);
    void print(std::string& out, std::string_view name, std::string_view labels) const;
  };
  struct Tokens {
    int64_t prompt = 0, reused = 0, generated = 0;
  };

  mutable std::mutex mutex_;
  std::map<std::tuple<std::string, std::string, int>, int64_t> requests_;  // by method, route, status
  std::map<std::string, Histogram> durations_, first_bytes_;               // by route
  std::map<std::string, Histogram> queue_waits_;                           // by model
  std::map<std::string, Tokens> tokens_;                                   // by model
  int64_t received_ = 0, sent_ = 0, cut_off_ = 0;
};

}  // namespace quern
