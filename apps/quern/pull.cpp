// quern pull: a checkpoint from a hub into the catalogue.
#include "catalogue/pull.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "command.h"
#include "hub_environment.h"
#include "models.h"
#include "transfer_view.h"

namespace quern {
namespace {

struct Options {
  std::string model, endpoint;
  PullWishes wishes;
  int jobs = 4;
  bool any = false, no_cache = false, dry_run = false, json = false;
};

std::atomic<bool> interrupted = false;

Json as_json(const PullPlan& plan, const std::filesystem::path& path) {
  Json json = Json::object();
  json["name"] = plan.selection.name;
  json["path"] = path.string();
  json["repository"] = plan.repository.id;
  json["commit"] = plan.repository.commit;
  json["bytes"] = plan.selection.bytes();
  json["files"] = Json::array();
  for (const RepositoryFile& file : plan.selection.files) {
    Json one = Json::object();
    one["path"] = file.path;
    one["bytes"] = file.size;
    json["files"].push_back(std::move(one));
  }
  return json;
}

Result<void> show_plan(const PullPlan& plan, const Catalogue& catalogue, bool json) {
  const auto path = catalogue.model_folder(plan.selection.name);
  if (json) return print_out(as_json(plan, path).dump() + "\n");
  std::string text = fmt::format("{} at {}\n", plan.repository.id, plan.repository.commit);
  for (const RepositoryFile& file : plan.selection.files) text += fmt::format("{:>12}  {}\n", size_text(file.size), file.path);
  return print_out(text + fmt::format("{:>12}  in {} files, to {}\n", size_text(plan.selection.bytes()),
                                      plan.selection.files.size(), path.string()));
}

Result<int> run_pull(const Options& o) {
  QUERN_ASSIGN(const ModelReference reference, ModelReference::parse(o.model));
  QUERN_ASSIGN(const Catalogue catalogue, users_catalogue());
  QUERN_ASSIGN(const HubAccess access, hub_from_environment(o.endpoint));
  const auto cancelled = [] { return interrupted.load(); };
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { interrupted = true; });
  QUERN_ASSIGN(const PullPlan plan, plan_pull(access, reference, o.wishes, cancelled));
  if (o.dry_run) {
    QUERN_TRY(show_plan(plan, catalogue, o.json));
    return kSuccess;
  }
  PullOptions options{.any_model = o.any};
  options.download.connections = o.jobs;
  options.download.cancelled = cancelled;
  if (!o.no_cache) options.hub_cache = hub_cache_from_environment();
  Result<PullOutcome> pulled;
  {
    TransferView view;
    options.download.on_progress = [&](const DownloadProgress& p) {
      view.show(p.done, p.total, fmt::format("{} of {} files", p.files_done, p.files));
    };
    pulled = pull(catalogue, access, plan, options);
  }
  QUERN_TRY(pulled);
  if (o.json) {
    Json json = as_json(plan, pulled->path);
    json["fetched_bytes"] = pulled->fetched_bytes;
    json["cached_bytes"] = pulled->cached_bytes;
    json["already_there"] = pulled->already_there;
    QUERN_TRY(print_out(json.dump() + "\n"));
  } else {
    const std::string cached =
        pulled->cached_bytes ? fmt::format(" ({} from the hub's cache)", size_text(pulled->cached_bytes)) : std::string();
    QUERN_TRY(print_out(fmt::format("{} is {}: {}{}, {}\ntry: quern chat --model {}\n", plan.selection.name,
                                    pulled->already_there ? "there already" : "there now", size_text(pulled->bytes), cached,
                                    pulled->path.string(), plan.selection.name)));
  }
  return kSuccess;
}

}  // namespace

void add_pull_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "pull", "Download a model into the catalogue");
  command->footer(
      "Examples:\n"
      "  quern pull ORG/NAME                       a checkpoint: safetensors, config, tokenizer, templates\n"
      "  quern pull ORG/NAME:Q4_K_M                of a repository of GGUF files the one whose name has that in it\n"
      "  quern pull ORG/NAME --dry-run             what would be fetched\n"
      "  quern pull ORG/NAME --include '*.json'    some files only\n\n"
      "From a hub with Hugging Face's interface: the usual one, $HF_ENDPOINT or --endpoint. Repositories that need an account: $HF_TOKEN, or the\n"
      "token that the hub's own tools have saved; it is sent to the hub only. What those tools have in their cache is not fetched again.\n"
      "The model lies in $QUERN_MODELS, or $XDG_DATA_HOME/quern/models, when all of it is there and its hashes are right. After an interruption of any kind the same command goes on. docs/models.md.");
  command->add_option("model", o->model, "Repository, and of GGUF files which one")->type_name("ORG/NAME[:FILE]")->required();
  command->add_option("--revision", o->wishes.revision, "Branch, tag or commit")->capture_default_str();
  command->add_option("--include", o->wishes.include, "Only files whose path this pattern matches (*, ?); may be given again")
      ->allow_extra_args(false)
      ->type_name("PATTERN");
  command->add_option("--exclude", o->wishes.exclude, "No files whose path this pattern matches; may be given again")
      ->allow_extra_args(false)
      ->type_name("PATTERN");
  command->add_option("--name", o->wishes.name, "Its name in the catalogue; absent: the repository's, or the GGUF file's")
      ->type_name("NAME");
  command->add_option("--endpoint", o->endpoint, "Address of the hub")->type_name("URL");
  command->add_option("-j,--jobs", o->jobs, "Connections at the same time")->check(CLI::Range(1, 32))->capture_default_str();
  command->add_flag("--no-hub-cache", o->no_cache, "Fetch also what the hub's own tools have in their cache");
  command->add_flag("--any", o->any, "Also a model that quern cannot run");
  command->add_flag("--dry-run", o->dry_run, "Fetch nothing; show the files and their sizes");
  command->add_flag("--json", o->json, "One JSON document");
  command->callback([o, &body] { body = [o] { return run_pull(*o); }; });
}

}  // namespace quern
