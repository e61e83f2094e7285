// quern: parses the command line, runs one subcommand, turns its result into an exit code and, on failure, one line on stderr.
#include <csignal>
#include <cstdio>
#include <new>

#include "base/system_error.h"
#include "command.h"
#include "interface.h"

namespace quern {
namespace {

int report(std::string message) {
  for (char& c : message)
    if (c == '\n' || c == '\r') c = ' ';  // one line, whatever a file's name or content brought along
  fmt::print(stderr, "quern: {}\n", message);
  return kFailure;
}

int run(int argc, char** argv) {
  CLI::App app{"quern runs the Qwen3-Next model family on your own machine and puts it to work.", "quern"};
  app.set_version_flag("--version", std::string("quern ") + QUERN_VERSION);
  app.require_subcommand(0, 1);
  app.get_formatter()->column_width(34);
  app.footer("Each command has --help with an example. Without --model they use pebble, the model that comes with quern.");
  bool interface_wanted = false;
  app.add_flag("--describe-interface", interface_wanted)->group("");  // for packaging: not among what --help shows
  Body body = welcome;
  add_run_command(app, body);
  add_mcp_command(app, body);
  add_serve_command(app, body);
  add_ask_command(app, body);
  add_report_command(app, body);
  add_chat_command(app, body);
  add_pull_command(app, body);
  add_list_command(app, body);
  add_rm_command(app, body);
  add_doctor_command(app, body);
  add_generate_command(app, body);
  add_logits_command(app, body);
  add_tokenize_command(app, body);
  add_render_command(app, body);
  add_inspect_command(app, body);
  add_schema_command(app, body);
  add_quantize_command(app, body);
  add_calibrate_command(app, body);
  add_compare_command(app, body);
  add_synth_command(app, body);
  add_bench_command(app, body);
  add_eval_command(app, body);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kSuccess : kUsage;
  }
  if (interface_wanted)
    body = [&app]() -> Result<int> {
      QUERN_TRY(print_out(describe_interface(app).dump_indented() + "\n"));
      return kSuccess;
    };
  const Result<int> code = body();
  return code ? *code : report(code.error().message);
}

}  // namespace
}  // namespace quern

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is a failed write, reported like any other
  try {
    return quern::run(argc, argv);
  } catch (const quern::SystemError& e) {
    return quern::report(e.what());
  } catch (const std::bad_alloc&) {
    return quern::report("out of memory");
  } catch (const std::exception& e) {
    return quern::report(e.what());
  }
}
