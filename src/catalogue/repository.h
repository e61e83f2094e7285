// A repository of models behind a hub's public interface, and its files:
//   GET ENDPOINT/api/models/ORG/NAME/revision/REV                                     the commit that a branch or tag stands for
//   GET ENDPOINT/api/models/ORG/NAME/tree/COMMIT?recursive=true&expand=false          files with sizes and hashes, in pages: a
//                                                                                     Link header names the next one
//   GET ENDPOINT/ORG/NAME/resolve/COMMIT/PATH    a file: small ones from here, large ones by a redirect to a signed URL elsewhere
// A repository that was renamed is redirected to its new name, within the hub.
// What comes back is as little trusted as any server's answer: paths that lead out of a folder, and sizes and hashes that are none, are
// refused here.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/http/client.h"
#include "base/result.h"

namespace quern {

inline constexpr std::string_view kDefaultEndpoint = "https://huggingface.co";

struct HubAccess {
  std::string endpoint{kDefaultEndpoint};  // without a slash at the end
  std::string token;                       // sent to this endpoint only, and only by TLS or to this machine; empty: none
  std::string user_agent = "quern";
  double idle_timeout_s = 30;  // a server that says nothing for so long is given up
  double retry_wait_s = 1;     // before a second try, doubled for each further one
  int retries = 6;             // that brought nothing, one after the other

  // invalid_argument: the endpoint is no http or https URL; denied: the token would travel unencrypted.
  Result<void> check() const;
};

// "ORG/NAME" or "ORG/NAME:FILE".
struct ModelReference {
  std::string repository;  // ORG/NAME
  std::string file;        // a path in it, or a part of one GGUF file's name ("Q4_K_M"); empty: not said

  static Result<ModelReference> parse(std::string_view text);
};

struct RepositoryFile {
  std::string path;
  uint64_t size = 0;
  std::string sha256;    // of large files; otherwise empty and
  std::string git_sha1;  // of git's blob; empty: neither was said

  std::string identity() const;  // "sha256:…", "git:…", or "size:…"
};

struct Repository {
  std::string id, revision, commit;
  std::vector<RepositoryFile> files;
};

// What the hub's answer to the first of these says, and a page of the second, whose files are added. malformed, out_of_range.
Result<std::string> parse_commit(std::string_view body, const std::string& id);
Result<void> parse_tree(std::string_view body, Repository& repository);
// The URL that a Link header calls next; nothing: it names none.
std::optional<std::string> next_link(std::string_view header);

// Asks the hub, again where trying again may help. not_found (repository, revision), denied (private or gated: the message says what to
// do), malformed (the answer), busy (too many requests), io.
Result<Repository> fetch_repository(const HubAccess& access, const std::string& id, const std::string& revision,
                                    const std::function<bool()>& cancelled);

// Parts for downloads.
HttpRequest hub_request(const HubAccess& access, std::string_view path);  // path: encoded, with its slash in front
std::string file_path(const Repository& repository, const RepositoryFile& file);
// What an answer with that status means, as an error about `what`.
Error status_error(const HttpResponse& response, std::string_view what, bool with_token);
// Whether the same request may succeed later: a connection that broke, a server that is overloaded.
bool is_temporary(int status);
// What an answer's RateLimit (of a 429) or Retry-After asks for, at most a little more than the five minutes that a hub counts in; 0: nothing.
double retry_after_s(const HttpResponse& response);
// Whether another host than the hub has answered, to which the hub had redirected.
bool is_from_elsewhere(const HubAccess& access, const HttpResponse& response);
// Waits in short turns; false: cancelled.
bool wait_for(double seconds, const std::function<bool()>& cancelled);

}  // namespace quern
