// What an MCP server sends: JSON-RPC texts, streams of events, lines, results. However a stream is cut into parts, it says the same; what is
// made of a message is valid text of bounded length.
#include "agent/mcp/connection.h"
#include "agent/mcp/content.h"
#include "agent/mcp/json_rpc.h"
#include "agent/mcp/line_reader.h"
#include "agent/mcp/sse.h"
#include "base/http/url.h"
#include "base/utf8.h"
#include "fuzz.h"

using namespace quern;

namespace {

void check_text(const std::string& text) {
  QUERN_CHECK(find_invalid_utf8(text) == std::string::npos);
  QUERN_CHECK(text.size() <= kMaxMcpText + 200, text.size());
}

void read_message(std::string_view text) {
  const std::string line = mcp_line(text);
  QUERN_CHECK(find_invalid_utf8(line) == std::string::npos && line.find('\n') == std::string::npos);
  const auto messages = parse_rpc(text);
  if (!fuzz::succeeded(messages)) return;
  for (const RpcMessage& message : *messages) {
    if (message.kind == RpcMessage::Kind::request) {
      const auto again = parse_rpc(rpc_request(message.id, message.method, message.body));
      QUERN_CHECK(again && again->size() == 1 && again->front().id == message.id && again->front().body == message.body);
    }
    for (const auto& text_of : {text_of_call, text_of_resource, text_of_prompt}) check_text(text_of(message.body).text);
  }
}

std::string events_of(std::string_view stream, size_t part) {
  SseParser parser(1 << 12);
  std::string seen;
  for (size_t at = 0; at < stream.size(); at += part) {
    const auto fed =
        parser.feed(stream.substr(at, part), [&](const SseEvent& event) { seen += event.type + "\n" + event.data + "\n\n"; });
    if (!fuzz::succeeded(fed)) return "";  // where exactly it is too much depends on the parts
  }
  return seen + parser.last_id();
}

std::string lines_of(std::string_view stream, size_t part) {
  LineReader reader(100);
  std::string seen;
  for (size_t at = 0; at < stream.size(); at += part)
    reader.feed(stream.substr(at, part), [&](std::string_view line) { (seen += line) += '\n'; }, [&] { seen += "dropped\n"; });
  return seen;
}

void read_url(std::string_view text) {
  const auto url = parse_url(text);
  if (!fuzz::succeeded(url)) return;
  const auto again = parse_url(url->to_string());
  QUERN_CHECK(again && again->to_string() == url->to_string(), url->to_string());
  QUERN_CHECK(url->to_string().find_first_of(" \r\n") == std::string::npos);
  (void)resolve_url(*url, text.substr(text.size() / 2));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text = fuzz::text_of(data + 1, size - 1);
  const size_t part = 1 + data[0] % 7;
  read_message(text);
  const std::string whole = events_of(text, text.size() + 1), parts = events_of(text, part);
  QUERN_CHECK(whole == parts || whole.empty() || parts.empty());
  QUERN_CHECK(lines_of(text, text.size() + 1) == lines_of(text, part));
  read_url(text);
  return 0;
}
