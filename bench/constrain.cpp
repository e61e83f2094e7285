// bench_constrain: JSON Schema as token masks, on collections of schemas with instances that are named on the command line.
//
//   bench_constrain --tokenizer tokenizer.json --maskbench DIR [--ratchet FILE [--update]]    files of {"schema", "tests": [{"data", "valid"}]}
//   bench_constrain --tokenizer tokenizer.json --suite DIR [--ratchet FILE [--update]]        JSON-Schema-Test-Suite's tests/draft2020-12
//
// A maskbench case is a file: right when its schema is enforced and every instance is judged right; a suite case is one test. Instances
// are judged token by token through the masks, on their plain dump. Times are thread CPU time: compilation, the first mask (with
// compilation), every mask. The ratchet file lists the cases that are not right; another one fails the run.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <map>
#include <set>

#include "base/file.h"
#include "constrain/matcher.h"
#include "constrain/schema_machine.h"

namespace quern {
namespace {

struct Options {
  std::string tokenizer, maskbench, suite, ratchet;
  bool update = false;
};

double cpu_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
}

enum class Outcome { right, refused, wrong };
constexpr std::string_view kOutcomes[] = {"right", "refused", "wrong"};

struct Totals {
  std::map<std::string, Outcome> cases;
  std::map<std::string, int> reasons;
  std::vector<double> masks_us, first_us, compile_us;
  int64_t instances = 0, wrongly_accepted = 0, wrongly_rejected = 0, disagreements = 0;
};

std::string percentiles(std::vector<double> x) {
  if (x.empty()) return "none";
  std::sort(x.begin(), x.end());
  double sum = 0;
  for (const double v : x) sum += v;
  const auto at = [&](double p) { return x[std::min(x.size() - 1, static_cast<size_t>(p * static_cast<double>(x.size())))]; };
  return fmt::format("mean {:8.1f} us   p50 {:7.1f}   p90 {:7.1f}   p99 {:8.1f}   p99.9 {:9.1f}   max {:9.1f}   of {}",
                     sum / static_cast<double>(x.size()), at(0.5), at(0.9), at(0.99), at(0.999), x.back(), x.size());
}

class Runner {
 public:
  Runner(const Tokenizer& tokenizer, const Vocabulary& vocabulary, Totals& totals)
      : tokenizer_(tokenizer), vocabulary_(vocabulary), totals_(totals), byte_tokens_(256, -1) {
    for (size_t i = 0; i < vocabulary.size(); ++i)
      if (const std::string_view bytes = vocabulary.bytes(static_cast<int32_t>(i)); bytes.size() == 1)
        byte_tokens_[static_cast<unsigned char>(bytes[0])] = static_cast<int32_t>(i);
  }

  // Whether each instance is judged as its `valid` says; empty and a reason when the schema is refused.
  std::vector<bool> run(const Json& schema, const Json& tests, bool formats, const std::string& name) {
    Refusal refusal;
    SchemaMachineOptions options;
    options.schema.assert_formats = formats;
    const double start = cpu_us();
    auto machine = SchemaMachine::compile(schema, options, refusal);
    if (!machine) {
      totals_.compile_us.push_back(cpu_us() - start);
      const size_t slash = refusal.path.rfind('/');
      ++totals_.reasons[(slash == std::string::npos ? "" : refusal.path.substr(slash + 1) + ": ") + refusal.reason];
      return {};
    }
    Matcher matcher(std::move(machine), vocabulary_);
    totals_.compile_us.push_back(cpu_us() - start);
    if (!matcher.mask()) return {};
    totals_.first_us.push_back(cpu_us() - start);
    std::vector<bool> right;
    for (const Json& test : tests.as_array()) {
      const std::string text = test.find("data")->dump();
      const bool valid = test.find("valid")->as_bool();
      const auto accepted = accepts(matcher, text, name);
      ++totals_.instances;
      right.push_back(accepted == valid);
      if (accepted != valid) {
        ++(accepted ? totals_.wrongly_accepted : totals_.wrongly_rejected);
        fmt::print("wrongly {}: {}: after {} of {} bytes\n", accepted ? "accepted" : "rejected", name, matcher.text().size(),
                   text.size());
      }
      matcher.rollback(matcher.accepted());
    }
    return right;
  }

 private:
  bool accepts(Matcher& matcher, const std::string& text, const std::string& name) {
    auto ids = tokenizer_.encode(text, /*trusted=*/false);
    // Encoding normalises (NFC), which an instance may be about: such a text goes byte by byte.
    if (!ids || tokenizer_.decode(*ids) != text) {
      ids->clear();
      for (const char c : text) ids->push_back(byte_tokens_[static_cast<unsigned char>(c)]);
    }
    for (const int32_t id : *ids) {
      const double start = cpu_us();
      const auto mask = matcher.mask();
      totals_.masks_us.push_back(cpu_us() - start);
      if (!mask) {
        fmt::print("{}: {}\n", name, mask.error().message);
        return false;
      }
      const bool allowed = (*mask)->test(id);
      const bool taken = matcher.accept(id);
      if (allowed != taken) {
        ++totals_.disagreements;
        fmt::print("mask and step disagree: {}: token {} is {}\n", name, id, allowed ? "in the mask only" : "not in the mask");
      }
      if (!taken) return false;
    }
    return matcher.can_end();
  }

  const Tokenizer& tokenizer_;
  const Vocabulary& vocabulary_;
  Totals& totals_;
  std::vector<int32_t> byte_tokens_;
};

Result<Json> read_json(const std::filesystem::path& path) {
  QUERN_ASSIGN(const std::string text, read_file(path, 64 << 20));
  return Json::parse(text, path.string());
}

std::vector<std::filesystem::path> json_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".json") out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

Result<void> run_maskbench(const Options& o, Runner& runner, Totals& totals) {
  for (const auto& path : json_files(o.maskbench)) {
    const std::string name = path.stem().string();
    QUERN_ASSIGN(const Json file, read_json(path));
    const Json& tests = *file.find("tests");
    const size_t refused_before = totals.first_us.size();
    const std::vector<bool> right = runner.run(*file.find("schema"), tests, /*formats=*/true, name);
    const bool enforced = totals.first_us.size() > refused_before;
    totals.cases[name] = !enforced                                                     ? Outcome::refused
                         : std::find(right.begin(), right.end(), false) == right.end() ? Outcome::right
                                                                                       : Outcome::wrong;
  }
  return {};
}

Result<void> run_suite(const Options& o, Runner& runner, Totals& totals) {
  for (const auto& path : json_files(o.suite)) {
    QUERN_ASSIGN(const Json groups, read_json(path));
    for (const Json& group : groups.as_array()) {
      const std::string name = path.stem().string() + ": " + group.find("description")->as_string();
      const Json& tests = *group.find("tests");
      const std::vector<bool> right = runner.run(*group.find("schema"), tests, /*formats=*/false, name);
      for (size_t i = 0; i < tests.size(); ++i)
        totals.cases[name + ": " + tests.as_array()[i].find("description")->as_string()] = right.empty() ? Outcome::refused
                                                                                           : right[i]    ? Outcome::right
                                                                                                         : Outcome::wrong;
    }
  }
  return {};
}

// The cases that are not right, one "outcome<TAB>case" a line. Fails on a case that is not right and not listed; --update writes what is.
Result<bool> ratchet(const Options& o, const Totals& totals) {
  bool worse = false;
  std::error_code ignored;
  if (std::filesystem::exists(o.ratchet, ignored)) {
    QUERN_ASSIGN(const std::string text, read_file(o.ratchet, 64 << 20));
    std::set<std::string, std::less<>> known;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size()), tab = text.find('\t', at);
      if (tab < end) known.insert(text.substr(tab + 1, end - tab - 1));
      at = end + 1;
    }
    for (const auto& [name, outcome] : totals.cases) {
      if (outcome == Outcome::right || known.contains(name)) continue;
      fmt::print("worse: {}: was right, is {}\n", name, kOutcomes[static_cast<size_t>(outcome)]);
      worse = true;
    }
  } else if (!o.update) {
    return fail(Errc::not_found, "{}: there is no such file; --update makes it", o.ratchet);
  }
  if (o.update && !worse) {
    std::string text;
    for (const auto& [name, outcome] : totals.cases)
      if (outcome != Outcome::right) text += fmt::format("{}\t{}\n", kOutcomes[static_cast<size_t>(outcome)], name);
    QUERN_ASSIGN(AtomicFile file, AtomicFile::create(o.ratchet));
    QUERN_TRY(file.write(text));
    QUERN_TRY(file.commit());
  }
  return worse;
}

Result<int> run(const Options& o) {
  QUERN_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(o.tokenizer));
  const double start = cpu_us();
  const Vocabulary vocabulary(tokenizer, {tokenizer.find_added("<|im_end|>")});
  fmt::print("vocabulary of {} tokens made in {:.0f} ms\n", vocabulary.size(), (cpu_us() - start) / 1000);
  Totals totals;
  Runner runner(tokenizer, vocabulary, totals);
  QUERN_TRY(o.suite.empty() ? run_maskbench(o, runner, totals) : run_suite(o, runner, totals));

  int64_t counts[3] = {};
  for (const auto& [name, outcome] : totals.cases) ++counts[static_cast<size_t>(outcome)];
  fmt::print("cases {}: right {}, refused {}, wrong {}\n", totals.cases.size(), counts[0], counts[1], counts[2]);
  fmt::print("instances judged {}: wrongly accepted {}, wrongly rejected {}; mask and step disagreed {} times\n", totals.instances,
             totals.wrongly_accepted, totals.wrongly_rejected, totals.disagreements);
  fmt::print("compilation  {}\nfirst mask   {}\nevery mask   {}\n", percentiles(totals.compile_us), percentiles(totals.first_us),
             percentiles(totals.masks_us));
  std::vector<std::pair<int, std::string>> reasons;
  for (const auto& [reason, n] : totals.reasons) reasons.emplace_back(n, reason);
  std::sort(reasons.rbegin(), reasons.rend());
  fmt::print("refused schemas, by reason:\n");
  for (const auto& [n, reason] : reasons) fmt::print("  {:5} {}\n", n, reason.substr(0, 140));
  bool worse = false;
  if (!o.ratchet.empty()) {
    QUERN_ASSIGN(worse, ratchet(o, totals));
  }
  return counts[2] > 0 || totals.disagreements > 0 || worse ? 1 : 0;
}

}  // namespace
}  // namespace quern

int main(int argc, char** argv) {
  quern::Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    std::string* value = arg == "--tokenizer"   ? &o.tokenizer
                         : arg == "--maskbench" ? &o.maskbench
                         : arg == "--suite"     ? &o.suite
                         : arg == "--ratchet"   ? &o.ratchet
                                                : nullptr;
    if (arg == "--update") {
      o.update = true;
    } else if (value && i + 1 < argc) {
      *value = argv[++i];
    } else {
      fmt::print(stderr, "bench_constrain: unexpected {}; see the head of bench/constrain.cpp\n", arg);
      return 2;
    }
  }
  if (o.tokenizer.empty() || o.maskbench.empty() == o.suite.empty()) {
    fmt::print(stderr, "usage: bench_constrain --tokenizer F (--maskbench DIR | --suite DIR) [--ratchet F [--update]]\n");
    return 2;
  }
  const auto result = quern::run(o);
  if (!result) {
    fmt::print(stderr, "bench_constrain: {}\n", result.error().message);
    return 1;
  }
  return *result;
}
