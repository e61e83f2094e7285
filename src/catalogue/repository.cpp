#include "catalogue/repository.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>
#include <thread>

#include "base/json.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMaxFiles = 100'000;
constexpr size_t kMaxListing = 64 << 20;
constexpr size_t kMaxPages = 1000;
constexpr uint64_t kMaxFileSize = uint64_t{1} << 44;  // 16 TiB
constexpr uint64_t kMaxWait = 330;                    // seconds; a hub counts requests in windows of 300

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Of one of the two names of a repository, or a revision's words.
bool is_plain(std::string_view text, std::string_view also) {
  return !text.empty() && text.size() <= 100 && text[0] != '.' && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  also.find(c) != std::string_view::npos;
         });
}

std::string percent_encoded(std::string_view text, std::string_view kept) {
  std::string out;
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kept.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return out;
}

// A relative path whose every part is a file's name.
bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 1000 || find_invalid_utf8(path) != std::string_view::npos) return false;
  for (const char c : path)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\') return false;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string text_of(const Json* json) { return json && json->is_string() ? json->as_string() : std::string(); }

// {"type": "file", "path", "size", "oid", "lfs": {"oid", "size", …}}: the outer oid is git's, of a large file's pointer.
Result<RepositoryFile> read_file_entry(const Json& entry, std::string_view where) {
  RepositoryFile file;
  file.path = text_of(entry.find("path"));
  if (!is_safe_path(file.path))
    return fail(Errc::malformed, "{}: a file named \"{}\"", where, replace_invalid_utf8(file.path.substr(0, 200)));
  const Json* lfs = entry.find("lfs");
  const Json* size = lfs && lfs->is_object() && lfs->find("size") ? lfs->find("size") : entry.find("size");
  const auto bytes = size && size->is_number() ? size->to_int64() : Result<int64_t>(fail(Errc::malformed, "not said"));
  if (!bytes || *bytes < 0 || static_cast<uint64_t>(*bytes) > kMaxFileSize)
    return fail(Errc::malformed, "{}: {}: no size, or an impossible one", where, file.path);
  file.size = static_cast<uint64_t>(*bytes);
  if (lfs && lfs->is_object()) {
    file.sha256 = text_of(lfs->find("oid"));
    if (!is_hex(file.sha256, 64)) return fail(Errc::malformed, "{}: {}: its SHA-256 is none", where, file.path);
  } else if (const std::string blob = text_of(entry.find("oid")); !blob.empty()) {
    if (!is_hex(blob, 40)) return fail(Errc::malformed, "{}: {}: its blob's name is no SHA-1", where, file.path);
    file.git_sha1 = blob;
  }
  return file;
}

// `"api";r=0;t=55` of a RateLimit header: what is counted, requests left, seconds until they are renewed.
struct RateLimit {
  std::string_view counted;
  uint64_t left = 1, seconds = 0;

  static std::optional<RateLimit> of(const HttpResponse& response) {
    const std::string* field = response.headers.find("ratelimit");
    if (!field || !field->starts_with('"') || field->find('"', 1) == std::string::npos) return {};
    RateLimit limit;
    std::string_view text = *field;
    limit.counted = text.substr(1, text.find('"', 1) - 1);
    text.remove_prefix(limit.counted.size() + 2);
    const auto number = [&](std::string_view key, uint64_t& value) {
      const size_t at = text.find(key);
      return at != std::string_view::npos &&
             std::from_chars(text.data() + at + key.size(), text.data() + text.size(), value).ec == std::errc();
    };
    if (!number("r=", limit.left) || !number("t=", limit.seconds)) return {};
    return limit;
  }
};

// A page's address as a path at the endpoint, where the token may go. A mirror may pass on what the usual hub calls itself.
Result<std::string> path_at_hub(const HubAccess& access, const std::string& link, const std::string& where) {
  QUERN_ASSIGN(const Url endpoint, parse_url(access.endpoint));
  QUERN_ASSIGN(const Url next, resolve_url(endpoint, link));
  const std::string url = next.to_string();
  for (const std::string_view hub : {std::string_view(access.endpoint), kDefaultEndpoint})
    if (url.starts_with(std::string(hub) + "/")) return url.substr(hub.size());
  return fail(Errc::malformed, "{}: its list of files goes on at another host, {}", where, next.origin());
}

Result<Repository> without_repetition(Repository repository) {
  std::set<std::string_view> seen;
  for (const RepositoryFile& file : repository.files)
    if (!seen.insert(file.path).second) return fail(Errc::malformed, "{}: {} is listed twice", repository.id, file.path);
  return repository;
}

// A 200, after as many tries as that takes.
Result<HttpResponse> ask(const HubAccess& access, const std::string& path, const std::string& what,
                         const std::function<bool()>& cancelled) {
  HttpRequest request = hub_request(access, path);
  request.max_body = kMaxListing;
  request.timeout_s = 120;
  request.cancelled = cancelled;
  request.headers.add("Accept", "application/json");
  for (int failures = 0;; ++failures) {
    auto response = http_send(request);
    if (response && response->status == 200) return response;
    const bool again =
        response ? is_temporary(response->status) : response.error().code == Errc::io || response.error().code == Errc::malformed;
    if (!again || failures == access.retries || (cancelled && cancelled()))
      return tl::unexpected(response ? status_error(*response, what, !access.token.empty()) : response.error());
    const double wait = std::max(access.retry_wait_s * (1 << std::min(failures, 5)), response ? retry_after_s(*response) : 0);
    if (!wait_for(wait, cancelled)) return fail(Errc::io, "{}: interrupted", what);
  }
}

}  // namespace

Result<void> HubAccess::check() const {
  const auto url = parse_url(endpoint);
  if (!url) return fail(Errc::invalid_argument, "the hub's address: {}", url.error().message);
  const bool local = url->host == "localhost" || url->host == "127.0.0.1" || url->host == "::1";
  if (!token.empty() && !url->is_https() && !local)
    return fail(Errc::denied, "{}: a token is not sent without encryption; use https, or unset HF_TOKEN", endpoint);
  return {};
}

Result<ModelReference> ModelReference::parse(std::string_view text) {
  const size_t colon = text.find(':');
  ModelReference reference{std::string(text.substr(0, colon)),
                           colon == std::string_view::npos ? "" : std::string(text.substr(colon + 1))};
  const size_t slash = reference.repository.find('/');
  const std::string_view whole = reference.repository;
  if (slash == std::string::npos || !is_plain(whole.substr(0, slash), "-_.") || !is_plain(whole.substr(slash + 1), "-_."))
    return fail(Errc::invalid_argument, "{}: expected ORG/NAME or ORG/NAME:FILE", text.substr(0, 200));
  if (colon != std::string_view::npos && !is_safe_path(reference.file))
    return fail(Errc::invalid_argument, "{}: what stands after the colon is no file's name", text.substr(0, 200));
  return reference;
}

std::string RepositoryFile::identity() const {
  if (!sha256.empty()) return "sha256:" + sha256;
  return git_sha1.empty() ? fmt::format("size:{}", size) : "git:" + git_sha1;
}

Result<std::string> parse_commit(std::string_view body, const std::string& id) {
  QUERN_ASSIGN(const Json json, Json::parse(body, id));
  const std::string commit = text_of(json.find("sha"));
  if (!is_hex(commit, 40)) return fail(Errc::malformed, "{}: the hub names no commit", id);
  return commit;
}

Result<void> parse_tree(std::string_view body, Repository& repository) {
  QUERN_ASSIGN(const Json json, Json::parse(body, repository.id));
  if (!json.is_array()) return fail(Errc::malformed, "{}: the hub lists no files", repository.id);
  if (json.size() > kMaxFiles - repository.files.size())
    return fail(Errc::out_of_range, "{}: more than {} files", repository.id, kMaxFiles);
  for (const Json& entry : json.as_array()) {
    if (text_of(entry.find("type")) != "file") continue;  // a folder, whose files are listed as well
    QUERN_ASSIGN(RepositoryFile file, read_file_entry(entry, repository.id));
    repository.files.push_back(std::move(file));
  }
  return {};
}

std::optional<std::string> next_link(std::string_view header) {
  while (true) {
    const size_t begin = header.find('<'), end = header.find('>', begin);
    if (begin == std::string_view::npos || end == std::string_view::npos) return {};
    const std::string_view url = header.substr(begin + 1, end - begin - 1);
    header.remove_prefix(end + 1);
    const std::string_view parameters = header.substr(0, header.find('<'));  // and the comma before another link
    if (parameters.find("rel=\"next\"") != std::string_view::npos || parameters.find("rel=next") != std::string_view::npos)
      return std::string(url);
  }
}

HttpRequest hub_request(const HubAccess& access, std::string_view path) {
  HttpRequest request;
  request.url = access.endpoint + std::string(path);
  request.headers = {{"User-Agent", access.user_agent}};
  if (!access.token.empty()) request.headers.add("Authorization", "Bearer " + access.token);
  request.timeout_s = 0;
  request.idle_timeout_s = access.idle_timeout_s;
  return request;
}

std::string file_path(const Repository& repository, const RepositoryFile& file) {
  return fmt::format("/{}/resolve/{}/{}", repository.id, repository.commit, percent_encoded(file.path, "-_.~/"));
}

Error status_error(const HttpResponse& response, std::string_view what, bool with_token) {
  const auto header = [&](std::string_view name) {
    const std::string* field = response.headers.find(name);
    return field ? field->substr(0, 300) : std::string();
  };
  const std::string code = header("x-error-code"), said = header("x-error-message");
  const auto error = [&](Errc errc, std::string_view text) {
    return Error{errc, printable_line(fmt::format("{}: {}", what, text))};
  };
  const std::string_view token_hint = with_token ? "the token that was sent does not allow it" : "a token may help (HF_TOKEN)";
  if (code == "GatedRepo")
    return error(Errc::denied,
                 fmt::format("its owners ask readers to agree to something first, on its page at the hub; {}", token_hint));
  if (code == "RevisionNotFound") return error(Errc::not_found, "there is no such revision");
  if (code == "EntryNotFound") return error(Errc::not_found, "there is no such file");
  if (said == "Access to this resource is disabled.") return error(Errc::denied, "the hub has disabled access to it");
  if (response.status == 401 && said == "Invalid credentials in Authorization header")
    return error(Errc::denied, "the hub does not know the token that was sent");
  if (code == "RepoNotFound" || response.status == 401)
    return error(Errc::denied, fmt::format("there is no such repository, or it is private or gated; {}", token_hint));
  switch (response.status) {
    case 403:
      return error(Errc::denied,
                   fmt::format("reading it is not allowed (private or gated){}{}; {}", said.empty() ? "" : ": ", said, token_hint));
    case 404:
      return error(Errc::not_found, "there is no such repository, revision or file (or it is private)");
    case 416:
      return error(Errc::mismatch, "the server does not have the part of it that is missing here");
    case 429:
      if (const auto limit = RateLimit::of(response); limit && limit->left == 0)
        return error(Errc::busy, fmt::format("the hub asks for patience: too many requests ({}); {} s until it takes more",
                                             limit->counted, limit->seconds));
      return error(Errc::busy, "the hub asks for patience (too many requests)");
    default:
      return error(Errc::io, fmt::format("the server answers with status {}{}{}", response.status, said.empty() ? "" : ": ", said));
  }
}

bool is_temporary(int status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

double retry_after_s(const HttpResponse& response) {
  if (const auto limit = RateLimit::of(response); limit && limit->left == 0 && response.status == 429)
    return static_cast<double>(std::min(limit->seconds, kMaxWait) + 1);  // the header's seconds are rounded
  const std::string* field = response.headers.find("retry-after");
  uint64_t seconds = 0;
  if (!field || std::from_chars(field->data(), field->data() + field->size(), seconds).ec != std::errc()) return 0;
  return static_cast<double>(std::min(seconds, kMaxWait));
}

bool is_from_elsewhere(const HubAccess& access, const HttpResponse& response) {
  const auto hub = parse_url(access.endpoint), answered = parse_url(response.final_url);
  return hub && answered && hub->origin() != answered->origin();
}

bool wait_for(double seconds, const std::function<bool()>& cancelled) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (cancelled && cancelled()) return false;
    std::this_thread::sleep_for(
        std::min<std::chrono::duration<double>>(std::chrono::duration<double>(0.05), end - std::chrono::steady_clock::now()));
  }
  return !cancelled || !cancelled();
}

Result<Repository> fetch_repository(const HubAccess& access, const std::string& id, const std::string& revision,
                                    const std::function<bool()>& cancelled) {
  QUERN_TRY(access.check());
  if (!is_plain(revision, "-_./")) return fail(Errc::invalid_argument, "{}: is no name of a revision", revision.substr(0, 200));
  QUERN_ASSIGN(const HttpResponse answer,
               ask(access, fmt::format("/api/models/{}/revision/{}", id, percent_encoded(revision, "-_.~")), id, cancelled));
  Repository repository{.id = id, .revision = revision, .commit = {}, .files = {}};
  QUERN_ASSIGN(repository.commit, parse_commit(answer.body, id));
  std::string path = fmt::format("/api/models/{}/tree/{}?recursive=true&expand=false", id, repository.commit);
  for (size_t page = 0; page < kMaxPages; ++page) {
    QUERN_ASSIGN(const HttpResponse listed, ask(access, path, id, cancelled));
    QUERN_TRY(parse_tree(listed.body, repository));
    const std::string* link = listed.headers.find("link");
    const auto next = link ? next_link(*link) : std::nullopt;
    if (!next) return without_repetition(std::move(repository));
    QUERN_ASSIGN(path, path_at_hub(access, *next, id));
  }
  return fail(Errc::out_of_range, "{}: its list of files has more than {} pages", id, kMaxPages);
}

}  // namespace quern
