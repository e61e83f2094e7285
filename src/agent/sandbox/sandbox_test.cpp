// Programs that try to break out, with bubblewrap and without. A test is skipped only where this machine offers nothing to confine files
// with; it then says what is missing.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "agent/sandbox/command.h"
#include "agent/sandbox/confinement.h"
#include "agent/temporary_folder_test.h"
#include "base/file.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

enum class With { bubblewrap, landlock };

class Sandbox : public testing::TestWithParam<With> {
 protected:
  void SetUp() override {
    const SandboxSupport& support = this_machines_sandbox();
    if (!support.system_call_filter) GTEST_SKIP() << "this kernel filters no system calls";
    if (GetParam() == With::bubblewrap && support.bubblewrap.empty()) GTEST_SKIP() << support.bubblewrap_problem;
    if (GetParam() == With::landlock && support.landlock == 0) GTEST_SKIP() << "this kernel has no Landlock";
    fs::create_directory(root());
    fs::create_directories(home() / ".ssh");
    ASSERT_TRUE(write_file(key(), "the secret key\n"));
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_EQ(read_file(key()).value_or("gone"), "the secret key\n");
    EXPECT_EQ(std::distance(fs::recursive_directory_iterator(home()), fs::recursive_directory_iterator()), 2);
  }

  fs::path root() const { return top.path() / "root"; }
  fs::path home() const { return top.path() / "home"; }
  fs::path key() const { return home() / ".ssh" / "id_ed25519"; }
  bool bubblewrap() const { return GetParam() == With::bubblewrap; }

  CommandOptions options(const std::string& script) const {
    CommandOptions o;
    o.process.arguments = {"bash", "-c", script};
    o.process.folder = root();
    o.process.environment = {"PATH=/usr/bin:/bin", "KEY=" + key().string(), "ROOT=" + root().string()};
    o.process.sandbox = {
        .mode = SandboxPolicy::Mode::required, .writable = {root()}, .use_bubblewrap = bubblewrap(), .wall_seconds = 30};
    return o;
  }
  static CommandOutcome outcome_of(const CommandOptions& o) {
    auto done = run_command(o);
    EXPECT_TRUE(done) << done.error().message;
    return done.value_or(CommandOutcome{});
  }
  std::string run(const std::string& script) const {
    const CommandOutcome done = outcome_of(options(script));
    EXPECT_EQ(done.ended_by_us, "");
    return done.text();
  }
  // This program again, confined, doing what the disabled test of that name does.
  CommandOutcome run_payload(const std::string& name, bool network = false) const {
    CommandOptions o = options("");
    const fs::path self = fs::canonical("/proc/self/exe");
    o.process.arguments = {self.string(), "--gtest_also_run_disabled_tests", "--gtest_filter=SandboxPayload.DISABLED_" + name};
    o.process.sandbox.readable = {self.parent_path()};
    o.process.sandbox.network = network;
    o.process.environment.emplace_back("ASAN_OPTIONS=detect_leaks=0");  // the leak checker wants ptrace
    return outcome_of(o);
  }

  TemporaryFolder top;
};

std::string alive_with(const std::string& marker) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    if (line.starts_with("sleep") && line.find(marker) != std::string::npos) return entry.path().string();
  }
  return "";
}
std::string alive_after_a_while(const std::string& marker) {
  for (int i = 0; i < 300 && !alive_with(marker).empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return alive_with(marker);
}
// Of a sleep that only this test starts: seconds, then a part of a second that names it.
std::string unique_nap() { return fmt::format("77.{}{}", ::getpid(), ::rand() % 10000); }

TEST_P(Sandbox, RunsOrdinaryProgramsInItsFolder) {
  EXPECT_EQ(run("echo hello > a && cat a && mkdir -p b/c && mv a b/c/d && find . | sort | tr '\\n' ' '; id -u; echo x > /dev/null; "
                "head -c 1 /dev/urandom | wc -c; awk 'BEGIN {print 6*7}'; cat <<< here; cat <(echo there)"),
            fmt::format("hello\n. ./b ./b/c ./b/c/d {}\n1\n42\nhere\nthere\n", ::getuid()));
  EXPECT_EQ(read_file(root() / "b/c/d").value_or(""), "hello\n");
}

TEST_P(Sandbox, LetsProgramsHaveGroupsOfTheirOwn) {
  EXPECT_EQ(run("timeout 0.1 sleep 60; echo $?; set -m; sleep 60 & kill %1; wait 2>/dev/null; echo done"), "124\ndone\n");
}

TEST_P(Sandbox, WritesNowhereElse) {
  const std::string said = run(
      "for place in / /usr /usr/bin /etc /dev /dev/shm/../.. /proc \"$(dirname $KEY)\" /var/tmp /root; do "
      "( echo x > \"$place/quern-was-here\" ) 2>/dev/null && echo \"wrote to $place\"; done; "
      "echo x > $ROOT/../quern-was-here; echo x 2>/dev/null > $KEY && echo overwrote; rm -f $KEY; chmod 777 $KEY; ln $KEY hard && echo linked; exit 0");
  EXPECT_THAT(said, Not(HasSubstr("wrote to")));
  EXPECT_THAT(said, AllOf(Not(HasSubstr("overwrote")), Not(HasSubstr("linked"))));
  EXPECT_FALSE(fs::exists("/usr/quern-was-here") || fs::exists("/etc/quern-was-here") || fs::exists(top.path() / "quern-was-here"));
}

TEST_P(Sandbox, ReadsNothingOfTheUsers) {
  const std::string said =
      run("cat $KEY; ln -s $KEY link; cat link; ln -s $(dirname $KEY) folder; cat folder/*; cat ../home/.ssh/*; "
          "cat /proc/1/root$KEY; cat /proc/$PPID/root$KEY; cat /proc/self/root$KEY; cat /proc/1/environ; cat /etc/shadow; "
          "cat /proc/1/cwd/../home/.ssh/*; for f in /proc/[0-9]*/fd/*; do [[ $f == /proc/$$/* ]] || timeout 0.2 cat $f; done 2>&1; "
          "ls -a $(dirname $KEY); exit 0");
  EXPECT_THAT(said, Not(HasSubstr("secret")));
  EXPECT_THAT(said, Not(HasSubstr("id_ed25519\n")));
  EXPECT_THAT(said, Not(HasSubstr("root:$")));
}

TEST_P(Sandbox, ReadsWhatItIsGivenAndDoesNotWriteThere) {
  CommandOptions o = options("cat $KEY; echo x >> $KEY || echo refused; touch \"$ROOT/inner/x\" || echo refused too");
  fs::create_directory(root() / "inner");
  o.process.sandbox.readable = {home()};
  if (bubblewrap()) o.process.sandbox.readable.push_back(root() / "inner");  // a part that is read-only needs a mount
  const CommandOutcome done = outcome_of(o);
  EXPECT_THAT(done.text(), AllOf(HasSubstr("the secret key\n"), HasSubstr("refused\n")));
  if (bubblewrap()) {
    EXPECT_THAT(done.text(), HasSubstr("refused too"));
  }
}

TEST_P(Sandbox, HasATemporaryFolderOfItsOwn) {
  const TemporaryFolder elsewhere;
  ASSERT_TRUE(write_file(elsewhere.path() / "note", "private"));
  const std::string said = run("echo x > $TMPDIR/mine; echo x > ~/too; ls $TMPDIR | tr '\\n' ' '; echo $HOME; cat " +
                               (elsewhere.path() / "note").string() + "; touch " + elsewhere.path().string() + "/y; exit 0");
  EXPECT_THAT(said, HasSubstr("mine "));
  EXPECT_THAT(said, HasSubstr("too "));
  EXPECT_THAT(said, Not(HasSubstr("private\n")));
  EXPECT_FALSE(fs::exists(elsewhere.path() / "y"));
  EXPECT_FALSE(fs::exists("/tmp/mine"));
  const std::string place = run("echo -n $TMPDIR");
  EXPECT_EQ(bubblewrap(), place == "/tmp");
  if (!bubblewrap()) {
    EXPECT_FALSE(fs::exists(place)) << place;
  }
}

// A listener of this process on 127.0.0.1.
struct Listener {
  UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  int port = 0;
  Listener() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd.get(), 10), 0);
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
  }
};

TEST_P(Sandbox, ReachesTheNetworkOnlyWhenGranted) {
  const Listener listener;
  CommandOptions o = options(fmt::format("(exec 3<>/dev/tcp/127.0.0.1/{}) && echo connected || echo failed", listener.port));
  EXPECT_THAT(outcome_of(o).text(), HasSubstr("failed"));
  o.process.sandbox.network = true;
  EXPECT_EQ(outcome_of(o).text(), "connected\n");
}

TEST_P(Sandbox, ReachesNoServiceByThePathOfItsSocket) {
  const UniqueFd service(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (top.path() / "bus").string();
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(service.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(service.get(), 1), 0);
  for (const bool network : {false, true}) {
    ASSERT_TRUE(write_file(root() / "socket", path));
    const CommandOutcome done = run_payload("ConnectsToASocket", network);
    EXPECT_THAT(done.text(), HasSubstr("could not connect")) << network;
  }
}

TEST_P(Sandbox, MakesNoCallThatLeadsOut) {
  const CommandOutcome done = run_payload("MakesCalls");
  for (const char* call : {"ptrace", "mount", "unshare", "setns", "bpf", "keyctl", "add_key", "userfaultfd", "perf_event_open",
                           "io_uring_setup", "kexec_load", "process_vm_readv", "packet socket", "netlink audit socket",
                           "socket with upper bits", "new user namespace", "TIOCSTI", "TIOCSTI with upper bits"})
    EXPECT_THAT(done.text(), HasSubstr(fmt::format("<{}: Operation not permitted>", call)));
  EXPECT_THAT(done.text(), HasSubstr("<clone3: Function not implemented>"));
  EXPECT_THAT(done.text(), HasSubstr(bubblewrap() ? "<setsid: Success>" : "<setsid: Operation not permitted>"));
  EXPECT_EQ(done.exit_code, 0);
}

#ifdef __x86_64__
TEST_P(Sandbox, EndsAtACallOfAForeignArchitecture) {
  const CommandOutcome done = run_payload("MakesAForeignCall");
  // A kernel without 32-bit calls ends it as well, with its own signal.
  EXPECT_THAT(done.exit_code, AnyOf(128 + SIGSYS, 128 + SIGSEGV));
  EXPECT_THAT(done.text(), Not(HasSubstr("still here")));
}
#endif

TEST_P(Sandbox, HasNoPrivileges) {
  const std::string said = run("grep -E 'CapEff|CapPrm|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t\\n'");
  EXPECT_EQ(said, "CapPrm:0000000000000000CapEff:0000000000000000NoNewPrivs:1Seccomp:2");
}

TEST_P(Sandbox, SeesNoProcessOutside) {
  const std::string script =
      fmt::format("kill -STOP {0} 2>/dev/null && echo stopped it; cat /proc/{0}/environ /proc/{0}/maps; exit 0", ::getpid());
  const std::string said = run(script);
  if (bubblewrap() || this_machines_sandbox().landlock >= 6) {
    EXPECT_THAT(said, Not(HasSubstr("stopped it")));
  }
  EXPECT_THAT(said, Not(HasSubstr("/lib")));
}

TEST_P(Sandbox, BoundsAForkBomb) {
  const std::string nap = unique_nap();
  CommandOptions o = options("f() { if [ $1 -lt 9 ]; then f $(($1+1)) & f $(($1+1)) & fi; exec sleep " + nap + "; }; f 0");
  o.process.sandbox.processes = 40;
  const auto start = std::chrono::steady_clock::now();
  const CommandOutcome done = outcome_of(o);
  EXPECT_EQ(done.ended_by_us, "started more than 40 processes");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(25));
  EXPECT_EQ(alive_after_a_while(nap), "");
}

TEST_P(Sandbox, BoundsMemoryOfOneProcessAndOfAll) {
  CommandOptions o = options("head -c 300M /dev/zero | tail -c 200M | wc -c");
  o.process.sandbox.memory_bytes = int64_t{64} << 20;
  const CommandOutcome one = outcome_of(o);
  EXPECT_THAT(one.text(), Not(HasSubstr("209715200")));
  o.process.arguments[2] = "for i in 1 2 3 4 5 6; do (head -c 15M /dev/zero; sleep 60) | tail -c 15M > /dev/null & done; wait";
  EXPECT_EQ(outcome_of(o).ended_by_us, "used more than 64 MiB of memory");
}

TEST_P(Sandbox, BoundsProcessorTimeFilesAndOutput) {
  CommandOptions o = options("while :; do :; done");
  o.process.sandbox.cpu_seconds = 1;
  EXPECT_THAT(outcome_of(o).exit_code, AnyOf(128 + SIGXCPU, 128 + SIGKILL));
  o = options("head -c 3M /dev/zero > big; wc -c < big");
  o.process.sandbox.file_bytes = 1 << 20;
  EXPECT_THAT(outcome_of(o).text(), HasSubstr("1048576\n"));
  o = options("yes");
  o.process.sandbox.output_bytes = 1 << 20;
  EXPECT_EQ(outcome_of(o).ended_by_us, "printed more than 1048576 bytes");
}

TEST_P(Sandbox, LeavesNothingRunning) {
  const std::string nap = unique_nap();
  // In its own session where that is allowed, without a parent, deaf to hang-ups, its output closed.
  const CommandOutcome done = outcome_of(options("(setsid sh -c 'trap \"\" HUP TERM; exec sleep " + nap +
                                                 "' >/dev/null 2>&1 & "
                                                 "nohup sleep " +
                                                 nap + " >/dev/null 2>&1 & ); sleep 0.3; echo done"));
  EXPECT_EQ(done.text(), "done\n");
  EXPECT_EQ(alive_after_a_while(nap), "");
  CommandOptions o = options("(setsid sleep " + nap + " &) ; sleep " + nap);
  o.process.sandbox.wall_seconds = 0.5;
  EXPECT_EQ(outcome_of(o).ended_by_us, "took longer than 0.5 s");
  EXPECT_EQ(alive_after_a_while(nap), "");
}

TEST_P(Sandbox, TellsNothingOfTheEnvironment) {
  const std::string said = run("env | cut -d= -f1 | sort | tr '\\n' ' '");
  EXPECT_EQ(said, "HOME KEY PATH PWD ROOT SHLVL TMPDIR _ ");
}

TEST_P(Sandbox, RefusesProgramsAndFoldersItCannotSee) {
  ASSERT_TRUE(write_file(home() / "tool", "#!/bin/sh\n"));
  fs::permissions(home() / "tool", fs::perms::owner_all);
  fs::create_symlink(home() / "tool", root() / "tool");
  CommandOptions o = options("");
  for (const fs::path& program : {home() / "tool", root() / "tool"}) {
    o.process.arguments = {program.string()};
    const auto done = run_command(o);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message,
              "sandbox: " + (home() / "tool").string() + ": lies outside of what a confined program may read");
  }
  fs::remove(home() / "tool");
  o = options("true");
  o.process.folder = home();
  EXPECT_EQ(run_command(o).error().code, Errc::denied);
  o = options("true");
  o.process.sandbox.readable = {"relative"};
  EXPECT_EQ(run_command(o).error().message, "sandbox: relative: expected an absolute path");
  o.process.sandbox.readable = {"/no/such/thing"};
  EXPECT_EQ(run_command(o).error().message, "sandbox: /no/such/thing: No such file or directory");
  o.process.sandbox.readable = {};
  o.process.sandbox.writable = {"/"};
  EXPECT_EQ(run_command(o).error().message, "sandbox: /: cannot be given to a confined program as a whole");
}

INSTANTIATE_TEST_SUITE_P(Machine, Sandbox, testing::Values(With::bubblewrap, With::landlock),
                         [](const auto& made) { return made.param == With::bubblewrap ? "Bubblewrap" : "Landlock"; });

TEST(SandboxSupport, RequiredIsAnErrorWhereItCannotBeHad) {
  SandboxSupport bare;
  bare.bubblewrap_problem = "bubblewrap is not installed";
  SandboxPolicy policy{.mode = SandboxPolicy::Mode::required, .writable = {"/tmp"}};
  const auto refused = confine(policy, "/bin/true", "/tmp", bare);
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      refused.error().message,
      "sandbox: this machine cannot confine a program: bubblewrap is not installed; no Landlock: files are not confined; system "
      "calls not filtered");
  policy.mode = SandboxPolicy::Mode::best;
  const auto weak = confine(policy, "/bin/true", "/tmp", bare);
  ASSERT_TRUE(weak);
  EXPECT_EQ(weak->summary, "FILES NOT CONFINED, SYSTEM CALLS NOT FILTERED, NETWORK NOT CONFINED");
  policy.mode = SandboxPolicy::Mode::none;
  EXPECT_EQ(confine(policy, "/bin/true", "/", bare)->summary, "");
}

TEST(SandboxSupport, SaysWhatHolds) {
  SandboxSupport support{.bubblewrap = "/usr/bin/bwrap", .landlock = 4, .system_call_filter = true};
  EXPECT_EQ(support.describe(), "bubblewrap (own files, processes and network); Landlock 4 (TCP); system calls filtered");
  support.bubblewrap.clear();
  support.bubblewrap_problem = "bubblewrap does not work here: bwrap: No permissions to create new namespace";
  EXPECT_EQ(support.describe(), support.bubblewrap_problem + "; Landlock 4 (files and TCP); system calls filtered");
  EXPECT_TRUE(support.confines());
  support.landlock = 0;
  EXPECT_FALSE(support.confines());
}

// ---- what this program does when it runs confined --------------------------------------------------------------------------------------

void report(const char* call, long result) { fmt::print("<{}: {}>\n", call, result < 0 ? std::strerror(errno) : "Success"); }

TEST(SandboxPayload, DISABLED_MakesCalls) {
  report("ptrace", ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr));
  report("mount", ::mount("none", "/tmp", "tmpfs", 0, nullptr));
  report("unshare", ::unshare(CLONE_NEWUSER));
  report("setns", ::setns(0, 0));
  report("bpf", ::syscall(SYS_bpf, 0, nullptr, 0));
  report("keyctl", ::syscall(SYS_keyctl, 0, 0, 0));
  report("add_key", ::syscall(SYS_add_key, "user", "x", "x", 1, -1));
  report("userfaultfd", ::syscall(SYS_userfaultfd, 0));
  report("perf_event_open", ::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0));
  report("io_uring_setup", ::syscall(SYS_io_uring_setup, 1, nullptr));
  report("kexec_load", ::syscall(SYS_kexec_load, 0, 0, nullptr, 0));
  report("process_vm_readv", ::syscall(SYS_process_vm_readv, ::getppid(), nullptr, 0, nullptr, 0, 0));
  report("packet socket", ::socket(AF_PACKET, SOCK_RAW, 0));
  report("netlink audit socket", ::socket(AF_NETLINK, SOCK_RAW, 9));
  report("socket with upper bits", ::syscall(SYS_socket, (1L << 32) | AF_INET, SOCK_STREAM, 0));
  report("new user namespace", ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  report("clone3", ::syscall(SYS_clone3, nullptr, 0));
  report("TIOCSTI", ::ioctl(0, TIOCSTI, "x"));
  report("TIOCSTI with upper bits", ::syscall(SYS_ioctl, 0, (1L << 32) | TIOCSTI, "x"));
  report("setsid", ::fork() == 0 ? (report("setsid", ::setsid()), std::fflush(stdout), ::_exit(0), 0) : 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
}

TEST(SandboxPayload, DISABLED_ConnectsToASocket) {
  const std::string path = read_file("socket").value_or("");
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int result = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  fmt::print("{}\n", result == 0 ? "reached it" : "could not connect");
}

#ifdef __x86_64__
TEST(SandboxPayload, DISABLED_MakesAForeignCall) {
  long result = 20;  // getpid of 32-bit x86
  asm volatile("int $0x80" : "+a"(result) : : "memory");
  fmt::print("still here\n");
}
#endif

}  // namespace
}  // namespace quern
