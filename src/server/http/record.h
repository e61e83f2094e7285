// What is known of an exchange when it is over: for the access log, the metrics and traces.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "server/http/exchange.h"

namespace quern {

// All that was said, with keys removed from the headers.
struct Transcript {
  std::string path;
  std::map<std::string, std::string> query;
  HttpHeaders headers;
  std::string body;
  struct Part {
    double seconds;  // since the request's first byte
    std::string bytes;
  };
  std::vector<Part> answer;  // its body
};

struct ExchangeRecord {
  std::chrono::system_clock::time_point begun;
  std::string id, client, address;
  std::string method;
  std::string route;  // its pattern; empty: none that there is
  int status = 0;     // 0: the client went away before one was sent
  double seconds = 0;
  double first_byte_s = -1;       // until the answer's head; negative: there was none
  size_t received = 0, sent = 0;  // bytes of bodies
  bool cut_off = false;           // ended before it was whole: the client went away, or was too slow
  ExchangeNotes notes;
  std::shared_ptr<const Transcript> transcript;  // where the server was asked for them
};

}  // namespace quern
