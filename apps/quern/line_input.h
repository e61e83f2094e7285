// The keys of a terminal as libedit reads them, and the signals that come meanwhile. libedit's own handling notices a signal only where it
// interrupts a read: a Ctrl-C that comes a moment earlier would wait for the next key. Here the handler writes to a pipe, which is waited
// for together with the terminal.
#pragma once

#include <histedit.h>

#include <array>
#include <csignal>
#include <cwchar>
#include <memory>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace quern {

// There is one at a time: signal handling belongs to the process.
class LineInput {
 public:
  // farewell: is written to the terminal before a signal stops or ends the program. io: no pipe could be made.
  static Result<std::unique_ptr<LineInput>> create(std::string_view farewell);
  ~LineInput() { end(); }
  LineInput(const LineInput&) = delete;
  LineInput& operator=(const LineInput&) = delete;

  void begin();  // signals are noticed from here on
  bool end();    // no longer; whether Ctrl-C was pressed since then
  // What libedit calls for a key: 1 with a key, 0 at the terminal's end, -1 after a signal that ends the line.
  int next(EditLine* editor, wchar_t* key);

 private:
  static constexpr std::array kSignals = {SIGINT, SIGWINCH, SIGTSTP, SIGCONT, SIGQUIT, SIGHUP, SIGTERM};

  explicit LineInput(std::string_view farewell) : farewell_(farewell) {}
  bool goes_on_after(EditLine* editor, size_t signal);
  bool decodes(char byte, wchar_t* key);

  const std::string_view farewell_;
  UniqueFd arrived_, arrives_;                                 // the pipe's ends: indices into kSignals
  std::array<struct sigaction, kSignals.size()> before_ = {};  // what was in place
  bool noticing_ = false, interrupted_ = false;
  std::mbstate_t partial_ = {};  // of a character of several bytes
};

// All of it, or as much as can be written.
void to_terminal(std::string_view text);

}  // namespace quern
