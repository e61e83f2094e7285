#include "transfer_view.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "models.h"
#include "terminal.h"

namespace quern {
namespace {

constexpr auto kWindow = std::chrono::seconds(10);

std::string time_text(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", std::ceil(seconds));
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace

std::string transfer_line(uint64_t done, uint64_t total, double bytes_per_s, size_t columns) {
  const double part = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1;
  std::string text = fmt::format("{} of {}", size_text(done), size_text(total));
  if (bytes_per_s > 0)
    text += fmt::format("  {:.1f} MB/s  {} left", bytes_per_s / 1e6,
                        time_text(static_cast<double>(total - std::min(done, total)) / bytes_per_s));
  const std::string percent = fmt::format("{:3.0f} %", std::floor(100 * part));
  const size_t used = percent.size() + text.size() + 6;
  if (columns < used + 10) return (percent + "  " + text).substr(0, columns);
  const size_t width = std::min<size_t>(40, columns - used);
  const auto filled = static_cast<size_t>(part * static_cast<double>(width));
  std::string bar(filled, '=');
  if (filled < width) bar += '>';
  bar.resize(width, ' ');
  return fmt::format("{}  [{}]  {}", percent, bar, text);
}

TransferView::TransferView() : terminal_(::isatty(STDERR_FILENO) == 1) {}

TransferView::~TransferView() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
}

void TransferView::show(uint64_t done, uint64_t total, const std::string& what) {
  if (!terminal_) return;
  const auto now = Clock::now();
  past_.emplace_back(now, done);
  while (past_.size() > 2 && now - past_.front().first > kWindow) past_.pop_front();
  const double seconds = std::chrono::duration<double>(now - past_.front().first).count();
  const double speed =
      seconds > 0.5 && done > past_.front().second ? static_cast<double>(done - past_.front().second) / seconds : 0;
  const size_t columns = terminal_columns(STDERR_FILENO, 80);
  const size_t room = columns > what.size() + 3 ? columns - what.size() - 3 : 1;
  fmt::print(stderr, "\r\x1b[K{}  {}", what, transfer_line(done, total, speed, room));
  shown_ = true;
}

}  // namespace quern
