// How far a download is: a bar on the terminal's last line, with speed and time left. Without a terminal nothing is shown.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace quern {

class TransferView {
 public:
  TransferView();
  ~TransferView();
  TransferView(const TransferView&) = delete;
  TransferView& operator=(const TransferView&) = delete;

  // what: stands in front ("2 of 5 files").
  void show(uint64_t done, uint64_t total, const std::string& what);

 private:
  using Clock = std::chrono::steady_clock;

  bool terminal_, shown_ = false;
  std::deque<std::pair<Clock::time_point, uint64_t>> past_;  // of the last seconds, for the speed
};

// "42 %  [=====>      ]  1.2 of 3.4 GiB  85.2 MB/s  3 min left", as wide as there is room.
std::string transfer_line(uint64_t done, uint64_t total, double bytes_per_s, size_t columns);

}  // namespace quern
