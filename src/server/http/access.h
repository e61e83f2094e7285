// Who may ask what: API keys, the names this server answers to, and the web pages that may use it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http/exchange.h"
#include "server/http/router.h"

namespace quern {

struct ApiKey {
  std::string name;    // for logs, and to tell clients apart
  std::string digest;  // SHA-256 of the key, in hexadecimal; the key itself is not kept
};

// One key a line, "name:key" or the key alone; empty lines and lines that begin with # are skipped. A name is of letters, digits, - _ and .;
// a key of 16 visible characters at least. Keys without a name are called key1, key2, … by their number. malformed: "where:line: what", and
// never the key.
Result<std::vector<ApiKey>> parse_api_keys(std::string_view text, std::string_view where);
// Of a file. `warning`: somebody else on this machine can read it, too.
Result<std::vector<ApiKey>> read_api_keys(const std::filesystem::path& file, std::string& warning);

// Without its port and brackets, in lower case, without a dot at its end: of a Host header or of --host.
std::string host_name(std::string_view host);

struct AccessOptions {
  std::vector<ApiKey> keys;          // none: everybody may ask
  std::vector<std::string> hosts;    // names that a request may be for, besides IP addresses where `any_address`
  bool any_address = false;          // listens on all of the machine's addresses
  std::vector<std::string> origins;  // of web pages that may ask ("https://example.org"); "*": all
};

class AccessPolicy {
 public:
  explicit AccessPolicy(AccessOptions options);

  struct Verdict {
    std::optional<Problem> problem;
    std::string client;                                        // the key's name; empty: no keys
    std::vector<std::pair<std::string, std::string>> headers;  // for the answer, whatever it is
    bool preflight = false;                                    // a browser's question: answer 204 with the headers
  };
  // host: what the request is for. open: the path needs no key.
  Verdict judge(std::string_view method, const HttpHeaders& headers, std::string_view host, bool open) const;

 private:
  std::optional<Problem> judge_host(std::string_view host) const;
  bool judge_origin(std::string_view origin, std::string_view host, Verdict& verdict) const;
  std::optional<std::string> key_name(const HttpHeaders& headers) const;

  AccessOptions options_;
};

}  // namespace quern
