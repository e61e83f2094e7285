// The terminal: whether there is one, how wide it is, whether it may be coloured, and a few lines at its bottom that say what is going on.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace quern {

namespace colour {
constexpr std::string_view red = "31", green = "32", yellow = "33", blue = "34", dim = "2", bold = "1";
}

// Not with NO_COLOR, nor where TERM says that the terminal knows no escape sequences.
bool may_colour(int fd);
// `text` in a colour, or as it is.
std::string painted(std::string_view text, std::string_view code, bool coloured);
// Of the terminal behind fd; `otherwise` where that is none, or does not know.
size_t terminal_columns(int fd, size_t otherwise);

// What goes on, at the bottom of the terminal behind standard error, redrawn ten times a second: that the model reads or writes and how
// fast, or which tool is at work and the last lines it printed. Without a terminal nothing of it is shown. May be used from any thread.
class LiveStatus {
 public:
  explicit LiveStatus(bool wanted);
  ~LiveStatus();
  LiveStatus(const LiveStatus&) = delete;
  LiveStatus& operator=(const LiveStatus&) = delete;

  void thinking(std::string what);         // the model is at it; `what` stands in front: "turn 3"
  void count_token();                      // one more that it wrote
  void running(std::string what);          // a tool is at work
  void add_output(std::string_view text);  // it printed this, one line or several
  void hide();                             // until the next of these
  bool print(std::string_view text);       // to standard output, above; false when it is gone

 private:
  static constexpr size_t kOutputLines = 4;
  enum class Mode { hidden, thinking, running };

  void begin(Mode mode, std::string what);
  void erase();
  void draw();
  std::string line() const;
  void tick();

  const bool on_, coloured_;
  std::mutex mutex_;  // of all below, and of what is written to the terminal
  std::condition_variable wake_;
  bool stop_ = false;
  Mode mode_ = Mode::hidden;
  std::string what_;
  int64_t tokens_ = 0;
  double since_ = 0, first_token_ = 0;
  std::deque<std::string> output_;
  std::deque<size_t> drawn_;  // widths of the lines that stand there now
  size_t frame_ = 0;
  std::thread ticker_;
};

}  // namespace quern
