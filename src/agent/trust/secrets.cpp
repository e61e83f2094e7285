#include "agent/trust/secrets.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cctype>

namespace quern {
namespace {

constexpr std::string_view kOpen = "{{secret:", kClose = "}}";

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

std::string as_json(std::string_view text) {
  std::string quoted;
  append_json_string(quoted, text);
  return quoted.substr(1, quoted.size() - 2);
}

std::string as_url(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x80 && (std::isalnum(u) || std::string_view("-._~").find(c) != std::string_view::npos))
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned>(u));
  }
  return out;
}

std::string as_base64(std::string_view text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<size_t>(length));
  while (out.ends_with('=')) out.pop_back();  // with and without padding
  return out;
}

}  // namespace

std::string SecretStore::placeholder(std::string_view name) { return std::string(kOpen).append(name).append(kClose); }

std::vector<std::string> SecretStore::names() const {
  std::vector<std::string> all;
  for (const Secret& secret : secrets_) all.push_back(secret.name);
  return all;
}

Result<void> SecretStore::add(std::string name, std::string value, std::vector<std::string> tools) {
  if (!is_name(name)) return fail(Errc::invalid_argument, "secret {}: expected letters, digits, - and _", name.substr(0, 64));
  for (const Secret& secret : secrets_)
    if (secret.name == name) return fail(Errc::invalid_argument, "secret {}: there is one of that name already", name);
  if (value.size() < kMinBytes || value.size() > (size_t{1} << 20))
    return fail(Errc::invalid_argument, "secret {}: expected {} bytes to 1 MiB: what is shorter cannot be kept out of outputs",
                name, size_t{kMinBytes});
  const auto hide = [&](std::string form) {
    if (form.size() >= kMinBytes) forms_.emplace_back(std::move(form), placeholder(name));
  };
  std::string_view rest = value;
  while (rest.find('\n') != std::string_view::npos) {  // a key of several lines may come back line by line
    hide(std::string(rest.substr(0, rest.find('\n'))));
    rest.remove_prefix(rest.find('\n') + 1);
  }
  hide(std::string(rest));
  for (const std::string& form : {value, as_json(value), as_url(value), as_base64(value)}) hide(form);
  std::sort(forms_.begin(), forms_.end(), [](const auto& a, const auto& b) {
    return a.first.size() != b.first.size() ? a.first.size() > b.first.size() : a < b;
  });
  secrets_.push_back({std::move(name), std::move(value), std::move(tools)});
  return {};
}

std::string SecretStore::redact(std::string text) const {
  for (const auto& [form, instead] : forms_)
    for (size_t at = text.find(form); at != std::string::npos; at = text.find(form, at + instead.size()))
      text.replace(at, form.size(), instead);
  return text;
}

Result<std::string> SecretStore::reveal_text(std::string_view text, std::string_view tool) const {
  std::string out;
  for (;;) {
    const size_t open = text.find(kOpen);
    const size_t close = open == std::string_view::npos ? open : text.find(kClose, open);
    if (close == std::string_view::npos) return out.append(text);
    const std::string_view name = text.substr(open + kOpen.size(), close - open - kOpen.size());
    const auto secret = std::find_if(secrets_.begin(), secrets_.end(), [&](const Secret& s) { return s.name == name; });
    if (secret == secrets_.end()) return fail(Errc::not_found, "no secret is called {}", name.substr(0, 64));
    if (std::find(secret->tools.begin(), secret->tools.end(), tool) == secret->tools.end())
      return fail(Errc::denied, "{} may not be given the secret {}", tool, secret->name);
    out.append(text.substr(0, open)).append(secret->value);
    text.remove_prefix(close + kClose.size());
  }
}

Result<Json> SecretStore::reveal(const Json& arguments, std::string_view tool) const {
  if (arguments.is_string()) {
    QUERN_ASSIGN(std::string text, reveal_text(arguments.as_string(), tool));
    return Json(std::move(text));
  }
  Json out = arguments;
  if (out.is_array())
    for (Json& item : out.as_array()) {
      QUERN_ASSIGN(item, reveal(item, tool));
    }
  if (out.is_object())
    for (auto& [key, value] : out.as_object()) {
      QUERN_ASSIGN(value, reveal(value, tool));
    }
  return out;
}

}  // namespace quern
