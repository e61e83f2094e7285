// What a browser is shown: the page at "/" and the documentation under "/docs". Both lie in the program, and ask this server for everything.
#pragma once

#include <string_view>

#include "server/http/router.h"

namespace quern {

// A file that scripts/page has built: "index.html", "docs/serve.html"; empty where quern was built without it.
std::string_view site_file(std::string_view name);

// Answers with such a file, under a policy that lets it ask this server and nobody else. scripts: it runs some.
void send_site_file(ServerResponse& response, std::string_view name, bool scripts);

// GET /docs and below.
void add_docs_routes(Router& router);

}  // namespace quern
