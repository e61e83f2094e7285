// The page at "/" and what it needs from the server: conversations that are kept, answers with tools, questions about calls.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "agent/tools/tool.h"
#include "server/context.h"
#include "server/http/router.h"
#include "server/page/approvals.h"
#include "server/page/history.h"

namespace quern {

// What the models of the page may call. Calls are carried out one at a time.
struct PageTools {
  ToolRegistry registry;
  std::string root;                            // the folder they work in
  std::function<bool(ToolRegistry&)> refresh;  // MCP servers whose tools have changed; empty: there are none
  std::mutex mutex;
};

// GET / where there is no page: a line that says who is there, which is also what programs are told where there is one.
void add_greeting_route(Router& router, const ServerContext& context);

// What its routes share.
class Page {
 public:
  // tools: not owned; nullptr: none. The history lies in context.data; without that, in memory.
  static Result<std::unique_ptr<Page>> create(ServerContext& context, PageTools* tools);

  // GET / and everything under /page/api and /docs. The page outlives the router.
  void add_routes(Router& router);

 private:
  Page(ServerContext& context, PageTools* tools, std::unique_ptr<PageHistory> history)
      : context_(context), tools_(tools), history_(std::move(history)) {}

  using Handler = Result<Json> (Page::*)(const ServerRequest& request);
  void add(Router& router, const char* method, const char* pattern, Handler handler);
  Result<Json> state(const ServerRequest& request);
  Result<Json> list(const ServerRequest& request);
  Result<Json> create(const ServerRequest& request);
  Result<Json> get(const ServerRequest& request);
  Result<Json> fork(const ServerRequest& request);
  Result<Json> change(const ServerRequest& request);
  Result<Json> remove(const ServerRequest& request);
  Result<Json> count(const ServerRequest& request);
  Result<Json> approve(const ServerRequest& request);
  void send_export(const Router& router, const ServerRequest& request, ServerResponse& response);
  void answer(const Router& router, const ServerRequest& request, ServerResponse& response);

  ServerContext& context_;
  PageTools* tools_;
  std::unique_ptr<PageHistory> history_;
  Approvals approvals_;
};

}  // namespace quern
