// An MCP server behind an URL: the transport called "streamable HTTP". Every message is a POST, answered by one JSON text or by a stream
// of events; another stream, of a GET, brings what the server says on its own. A stream that breaks is taken up again where it broke, if
// the server numbers its events.
#pragma once

#include <memory>
#include <string>

#include "agent/mcp/channel.h"
#include "base/http/client.h"

namespace quern {

struct McpHttpServer {
  std::string url;
  HttpHeaders headers;  // sent with every request
  std::string ca_file;  // as HttpRequest's
};

// Its start() says what is wrong with the URL; nothing is sent yet.
std::unique_ptr<McpChannel> make_http_channel(const McpHttpServer& server, const McpLimits& limits);

}  // namespace quern
