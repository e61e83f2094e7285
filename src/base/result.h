// Result<T>: what a function returns when data or a request may be at fault. Failures of quern's own logic go through QUERN_CHECK
// (check.h), failures of the machine through SystemError (system_error.h); see CONTRIBUTING.md, "Failure".
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace quern {

enum class Errc {
  invalid_argument,  // a caller's value is outside what the function takes
  not_found,         // a file, tensor, tool or key that was named does not exist
  malformed,         // bytes or text that do not follow their format
  unsupported,       // well formed, but something quern does not do; the message names it
  mismatch,          // two things that must agree (shape and config, state and model) do not
  out_of_range,      // a position, id or size past a limit; the message names the limit
  denied,            // refused by policy: outside the root, not confirmed
  busy,              // no room just now; the same may work later
  io,                // the file system said no
};

// One line: what, where, found, expected. Never a trailing newline.
struct Error {
  Errc code = Errc::invalid_argument;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

// text with control characters as \n or \x1b: names in a message come from files and requests, and must neither break its line nor
// speak to a terminal.
inline std::string printable_line(std::string text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (std::none_of(text.begin(), text.end(), is_control)) return text;
  std::string line;
  for (const char c : text) {
    if (c == '\n')
      line += "\\n";
    else if (is_control(c))
      line += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    else
      line += c;
  }
  return line;
}

template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(Errc code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{code, printable_line(fmt::format(format, std::forward<Args>(args)...))});
}

// The same error with "context: " in front, for passing it up.
[[nodiscard]] inline tl::unexpected<Error> with_context(const Error& error, std::string_view context) {
  return tl::unexpected<Error>(Error{error.code, printable_line(fmt::format("{}: {}", context, error.message))});
}

}  // namespace quern

#define QUERN_CONCAT_(a, b) a##b
#define QUERN_CONCAT(a, b) QUERN_CONCAT_(a, b)
// QUERN_TRY(expr): returns the error if expr failed.   QUERN_ASSIGN(auto x, expr): the same, and binds the value.
#define QUERN_TRY(expr)                                                                         \
  do {                                                                                          \
    if (auto quern_result = (expr); !quern_result) return tl::unexpected(quern_result.error()); \
  } while (0)
#define QUERN_ASSIGN(declaration, expr) QUERN_ASSIGN_(QUERN_CONCAT(quern_result_, __LINE__), declaration, expr)
#define QUERN_ASSIGN_(name, declaration, expr)               \
  auto name = (expr);                                        \
  if (!name) return tl::unexpected(std::move(name.error())); \
  declaration = std::move(*name)
