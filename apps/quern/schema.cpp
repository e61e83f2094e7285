// quern schema: compiles a JSON Schema into a constraint, says whether it is enforced, and judges JSON texts with it.
#include <ctime>

#include <algorithm>
#include <numeric>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "command.h"
#include "constrain/matcher.h"
#include "constrain/schema_machine.h"
#include "text/tokenizer.h"

namespace quern {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;

struct Options {
  std::string schema, instances, model, tokenizer, formats = "assert";
  CLI::Option* instances_option = nullptr;
  bool bench = false, json = false;
};

struct Instance {
  std::string text;  // its plain dump
  bool accepted = false;
  size_t byte = 0;  // bytes before the first impossible one
};

// The time of this thread alone: what others do on the machine does not count.
double thread_us() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
}

// One JSON text a line. Its spelling is not what is judged: each becomes the plain dump that a model would be held to.
Result<std::vector<Instance>> read_instances(const std::string& file) {
  QUERN_ASSIGN(const std::string text, read_file(file, kMaxBytes));
  std::vector<Instance> instances;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    QUERN_ASSIGN(const Json value, Json::parse(std::string_view(text).substr(begin, end - begin),
                                               fmt::format("{}: line {}", file, instances.size() + 1), {.max_depth = 1000}));
    instances.push_back({.text = value.dump()});
    begin = end + 1;
  }
  return instances;
}

Result<void> judge(Machine& machine, Instance& instance) {
  const std::string_view text = instance.text;
  auto state = std::optional(machine.start());
  while (instance.byte < text.size()) {
    state = machine.step(*state, static_cast<uint8_t>(text[instance.byte]), text.substr(0, instance.byte));
    if (!state) break;
    ++instance.byte;
  }
  instance.accepted = state && machine.can_end(*state, text);
  return machine.healthy();
}

struct MaskTimes {
  double compile_us = 0, first_us = 0;
  std::vector<double> us;  // sorted

  double mean() const { return us.empty() ? 0 : std::accumulate(us.begin(), us.end(), 0.0) / static_cast<double>(us.size()); }
  double percentile(double p) const {
    if (us.empty()) return 0;
    return us[std::min(us.size() - 1, static_cast<size_t>(p / 100 * static_cast<double>(us.size())))];
  }
};

// Walks the accepted instances token by token, as a model would write them, and times the mask before each token.
Result<void> measure(const Options& o, std::unique_ptr<Machine> machine, const std::vector<Instance>& instances, MaskTimes& times) {
  QUERN_ASSIGN(const Tokenizer tokenizer, find_tokenizer(o.tokenizer, o.model));
  const Vocabulary vocabulary(tokenizer, {tokenizer.find_added("<|im_end|>")});
  Matcher matcher(std::move(machine), vocabulary);
  const auto time_mask = [&]() -> Result<double> {
    const double start = thread_us();
    QUERN_TRY(matcher.mask());
    return thread_us() - start;
  };
  for (const Instance& instance : instances) {
    if (!instance.accepted) continue;
    matcher.rollback(matcher.accepted());
    QUERN_ASSIGN(const auto ids, tokenizer.encode(instance.text, /*trusted=*/false));
    for (const int32_t id : ids) {
      QUERN_ASSIGN(const double us, time_mask());
      times.us.push_back(us);
      if (!matcher.accept(id)) break;  // the tokenizer's normal form is another text
    }
  }
  if (!times.us.empty()) {
    times.first_us = times.us.front();
  } else {
    QUERN_ASSIGN(times.first_us, time_mask());
  }
  std::sort(times.us.begin(), times.us.end());
  return {};
}

Json as_json(const MaskTimes& times) {
  Json out = Json::object();
  out["compile_us"] = times.compile_us;
  out["first_mask_us"] = times.first_us;
  out["masks"] = static_cast<int64_t>(times.us.size());
  out["mean_us"] = times.mean();
  out["p50_us"] = times.percentile(50);
  out["p90_us"] = times.percentile(90);
  out["p99_us"] = times.percentile(99);
  out["max_us"] = times.us.empty() ? 0.0 : times.us.back();
  return out;
}

std::string as_text(const std::vector<Instance>& instances) {
  const auto accepted = std::count_if(instances.begin(), instances.end(), [](const Instance& i) { return i.accepted; });
  std::string out = fmt::format("{} of {} instances accepted\n", accepted, instances.size());
  for (size_t i = 0; i < instances.size(); ++i) {
    const auto& [text, is_accepted, byte] = instances[i];
    if (is_accepted) continue;
    const size_t from = byte > 40 ? byte - 40 : 0;
    const std::string before = replace_invalid_utf8(std::string_view(text).substr(from, byte - from));
    out += fmt::format("line {}: refused {} byte {}: {}{}\n", i + 1, byte == text.size() ? "at its end," : "at", byte,
                       from > 0 ? "…" : "", printable_line(before));
  }
  return out;
}

std::string as_text(const MaskTimes& times) {
  return fmt::format(
      "compiling {:.0f} us, the first mask {:.0f} us; {} masks: mean {:.2f} us, median {:.2f}, 90 % {:.2f}, 99 % {:.2f}, longest "
      "{:.0f}\n",
      times.compile_us, times.first_us, times.us.size(), times.mean(), times.percentile(50), times.percentile(90),
      times.percentile(99), times.us.empty() ? 0.0 : times.us.back());
}

Result<int> schema(const Options& o) {
  QUERN_ASSIGN(const std::string text, read_file(o.schema, kMaxBytes));
  QUERN_ASSIGN(Json document, Json::parse(text, o.schema, {.max_depth = 1000}));
  std::vector<Instance> instances;
  if (o.instances_option->count() > 0) {
    QUERN_ASSIGN(instances, read_instances(o.instances));
  }
  SchemaMachineOptions options;
  options.schema.assert_formats = o.formats == "assert";
  Refusal refusal;
  MaskTimes times;
  const double start = thread_us();
  std::unique_ptr<SchemaMachine> machine = SchemaMachine::compile(std::move(document), options, refusal);
  times.compile_us = thread_us() - start;
  Json out = Json::object();
  std::string plain;
  if (!machine) {
    out["status"] = "refused";
    out["path"] = refusal.path;
    out["reason"] = refusal.reason;
    plain = fmt::format("refused: {}: {}\n", printable_line(refusal.path), printable_line(refusal.reason));
  } else {
    out["status"] = "enforced";
    plain = "enforced: every text that the constraint lets through satisfies the schema\n";
    Json list = Json::array();
    for (Instance& instance : instances) {
      QUERN_TRY(judge(*machine, instance));
      Json judged = Json::object();
      judged["accepted"] = instance.accepted;
      judged["byte"] = static_cast<int64_t>(instance.byte);
      list.push_back(std::move(judged));
    }
    if (o.instances_option->count() > 0) {
      out["instances"] = std::move(list);
      plain += as_text(instances);
    }
    if (o.bench) {
      QUERN_TRY(measure(o, std::move(machine), instances, times));
      out["bench"] = as_json(times);
      plain += as_text(times);
    }
  }
  QUERN_TRY(print_out(o.json ? out.dump() + "\n" : plain));
  return kSuccess;
}

}  // namespace

void add_schema_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "schema", "Say what of a JSON Schema generated text is held to");
  command->footer(
      "Examples:\n"
      "  quern schema person.json\n"
      "  quern schema person.json --instances people.jsonl --bench --json\n\n"
      "A schema is enforced exactly or refused, with the keyword's place and the reason; both are success (exit 0). Each line of "
      "--instances\n"
      "is one JSON text, judged as a plain dump spells it: accepted or not, and how many of its bytes were possible.\n"
      "docs/constrain.md says what is refused and why.");
  command->add_option("SCHEMA", o->schema, "A JSON Schema, a file")->required();
  o->instances_option = command->add_option("--instances", o->instances, "File of JSON texts, one a line, to judge");
  command->add_option("--formats", o->formats, "What format means: assert or ignore")
      ->check(CLI::IsMember({"assert", "ignore"}))
      ->capture_default_str();
  command->add_flag("--bench", o->bench, "Time the mask before each token of the accepted instances");
  command->add_option("--model,-m", o->model, "The model whose vocabulary --bench uses; absent: the embedded one");
  command->add_option("--tokenizer", o->tokenizer, "A tokenizer.json, a model folder or a .gguf file, instead of the model's");
  command->add_flag("--json", o->json, "One JSON document");
  command->callback([o, &body] { body = [o] { return schema(*o); }; });
}

}  // namespace quern
