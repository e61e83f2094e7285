#include "line_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace quern {
namespace {

volatile std::sig_atomic_t arrives = -1;  // where the handler writes
volatile std::sig_atomic_t index_of[NSIG] = {};

extern "C" void note_signal(int signal) {
  const int before = errno;
  const auto index = static_cast<unsigned char>(index_of[signal]);
  // A full pipe has enough in it to be woken by.
  (void)!::write(arrives, &index, 1);
  errno = before;
}

}  // namespace

void to_terminal(std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(STDOUT_FILENO, text.data(), text.size());
    if (put < 0 && errno != EINTR) return;
    text.remove_prefix(put > 0 ? static_cast<size_t>(put) : 0);
  }
}

Result<std::unique_ptr<LineInput>> LineInput::create(std::string_view farewell) {
  std::unique_ptr<LineInput> made(new LineInput(farewell));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail(Errc::io, "cannot make a pipe for signals");
  made->arrived_ = UniqueFd(ends[0]), made->arrives_ = UniqueFd(ends[1]);
  return made;
}

void LineInput::begin() {
  arrives = arrives_.get();
  interrupted_ = false;
  partial_ = {};
  struct sigaction action{};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    index_of[kSignals[i]] = static_cast<int>(i);
    ::sigaction(kSignals[i], &action, &before_[i]);
  }
  noticing_ = true;
}

bool LineInput::end() {
  if (!noticing_) return false;
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  noticing_ = false;
  // What came after the last key: a Ctrl-C still counts, and what was to stop or end the program does.
  for (unsigned char index = 0; ::read(arrived_.get(), &index, 1) == 1;) {
    interrupted_ |= kSignals[index] == SIGINT;
    if (kSignals[index] != SIGINT && kSignals[index] != SIGWINCH && kSignals[index] != SIGCONT) ::raise(kSignals[index]);
  }
  return interrupted_;
}

// `signal`: its index.
bool LineInput::goes_on_after(EditLine* editor, size_t signal) {
  switch (kSignals[signal]) {
    case SIGINT:
      interrupted_ = true;
      return false;
    case SIGWINCH:
      ::el_resize(editor);
      return true;
    case SIGCONT:
      ::el_set(editor, EL_PREP_TERM, 1);
      ::el_set(editor, EL_REFRESH);
      return true;
    default:
      break;
  }
  // The program stops or ends as it would have; a handler may also let it go on.
  to_terminal(farewell_);
  ::el_set(editor, EL_PREP_TERM, 0);
  struct sigaction noticed{};
  ::sigaction(kSignals[signal], &before_[signal], &noticed);
  ::raise(kSignals[signal]);
  ::sigaction(kSignals[signal], &noticed, nullptr);
  return kSignals[signal] == SIGTSTP;
}

// What is not UTF-8 is left out.
bool LineInput::decodes(char byte, wchar_t* key) {
  constexpr auto kIncomplete = static_cast<size_t>(-2), kWrong = static_cast<size_t>(-1);
  const bool begun = std::mbsinit(&partial_) == 0;
  size_t taken = std::mbrtowc(key, &byte, 1, &partial_);
  if (taken == kWrong) {
    partial_ = {};
    if (begun) taken = std::mbrtowc(key, &byte, 1, &partial_);  // what was begun is no character; this may be one
    if (taken == kWrong) partial_ = {};
  }
  return taken != kIncomplete && taken != kWrong;
}

int LineInput::next(EditLine* editor, wchar_t* key) {
  for (;;) {
    pollfd either[] = {{arrived_.get(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (::poll(either, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    if (unsigned char index = 0; ::read(arrived_.get(), &index, 1) == 1) {
      if (goes_on_after(editor, index)) continue;
      errno = EINTR;
      return -1;
    }
    if (either[1].revents == 0) continue;
    char byte = 0;
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return static_cast<int>(got);
    if (decodes(byte, key)) return 1;
  }
}

}  // namespace quern
