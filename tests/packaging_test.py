#!/usr/bin/env python3
"""What `cmake --install` puts where, and the Debian package made from it.  packaging_test.py REPOSITORY BUILD

Checks that need a program which is not here (lintian, mandoc, systemd-analyze, zsh, fish) are skipped, and say so.
"""
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

REPO, BUILD = (pathlib.Path(path).resolve() for path in sys.argv[1:3])


def run(*args, **more):
    return subprocess.run([str(arg) for arg in args], capture_output=True, text=True, timeout=300, **more)


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not here")


class Packaging(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="quern-packaging-")
        cls.root = pathlib.Path(cls.folder.name) / "root"
        done = run("cmake", "--install", BUILD, "--prefix", "/usr", "--strip", env={**os.environ, "DESTDIR": str(cls.root)})
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def ok(self, *args, **more):
        done = run(*args, **more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_layout(self):
        for path in ("usr/bin/quern", "usr/share/quern/models/pebble/config.json", "usr/share/bash-completion/completions/quern",
                     "usr/share/zsh/vendor-completions/_quern", "usr/share/fish/vendor_completions.d/quern.fish", "usr/share/man/man1/quern.1.gz",
                     "usr/share/man/man1/quern-eval-tools.1.gz", "lib/systemd/system/quern.service", "etc/quern/quern.yaml",
                     "usr/share/doc/quern/README.md", "usr/share/doc/quern/docs/models.md"):
            self.assertTrue((self.root / path).is_file(), path)

    def test_the_documentation_is_a_site_too(self):
        html = self.root / "usr/share/doc/quern/html"
        if not (REPO / "build/page/docs").is_dir():
            self.skipTest("scripts/page has not built it")
        wanted = {"index", "quern", "changelog"} | {page.stem for page in (REPO / "docs").glob("*.md")} - {"README"}
        self.assertEqual(wanted - {page.stem for page in html.glob("*.html")}, set())
        links = set(re.findall(r'(?:href|src)="([^":#]+)["#]', "".join(page.read_text(encoding="utf-8") for page in html.glob("*.html"))))
        self.assertEqual([link for link in sorted(links) if not (html / link).is_file()], [], "from a disk, too, every link leads somewhere")

    def test_another_prefix_is_another_layout(self):
        other = pathlib.Path(self.folder.name) / "other"
        self.ok("cmake", "--install", BUILD, "--prefix", other)
        unit = (other / "lib/systemd/system/quern.service").read_text()
        self.assertIn(f"ExecStart={other}/bin/quern serve --config {other}/etc/quern/quern.yaml", unit)
        self.assertTrue((other / "share/zsh/site-functions/_quern").is_file())
        (other / "etc/quern/quern.yaml").write_text("port: 1\n")
        self.ok("cmake", "--install", BUILD, "--prefix", other)
        self.assertEqual((other / "etc/quern/quern.yaml").read_text(), "port: 1\n", "a configuration that somebody changed stays")

    def test_the_installed_program_finds_its_model(self):
        quern = self.root / "usr/bin/quern"
        environment = {"PATH": os.environ["PATH"], "HOME": self.folder.name}
        moved = pathlib.Path(self.folder.name) / "moved"
        shutil.copytree(self.root / "usr", moved)
        for program in (quern, moved / "bin/quern"):
            listed = self.ok(program, "list", env=environment)
            self.assertIn(str(program.parent.parent / "share/quern/models/pebble"), listed)
        self.assertTrue(self.ok(quern, "generate", "--prompt", "a", "--max-tokens", "2", env=environment))

    def test_every_command_has_a_page(self):
        quern = self.root / "usr/bin/quern"
        commands = re.findall(r"^  ([a-z]+) ", self.ok(quern, "--help").split("Subcommands:")[1], re.MULTILINE)
        self.assertGreater(len(commands), 15)
        for command in commands:
            with gzip.open(self.root / f"usr/share/man/man1/quern-{command}.1.gz", "rt", encoding="utf-8") as file:
                page = file.read()
            for option in re.findall(r"^ +(?:-\w,)?(--[a-z][a-z-]*)", self.ok(quern, command, "--help"), re.MULTILINE):
                self.assertIn("\\fB" + option.replace("-", "\\-") + "\\fR", page, command)

    @needs("mandoc")
    def test_man_pages_are_well_formed(self):
        for page in sorted((self.root / "usr/share/man/man1").iterdir()):
            done = run("mandoc", "-Tlint", "-Wwarning", page)
            self.assertEqual(done.stdout.replace(str(page), page.name), "", page.name)

    @needs("man")
    def test_man_pages_render(self):
        page, environment = self.root / "usr/share/man/man1/quern-run.1.gz", {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}
        done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page, env=environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = run("man", "-l", page, env=environment)
        self.assertIn("--dry-run", done.stdout)
        self.assertIn("EXAMPLES", done.stdout)

    @needs("zsh")
    def test_zsh_completion(self):
        self.ok("zsh", "-n", self.root / "usr/share/zsh/vendor-completions/_quern")
        text = (self.root / "usr/share/zsh/vendor-completions/_quern").read_text(encoding="utf-8")
        for word in ("_quern_eval_tools()", "--max-tokens", "_quern_models", "(scalar avx2 avx512 amx)"):
            self.assertIn(word, text)

    @needs("fish")
    def test_fish_completion(self):
        file = self.root / "usr/share/fish/vendor_completions.d/quern.fish"
        environment = {**os.environ, "HOME": self.folder.name, "QUERN_MODELS": str(self.root / "usr/share/quern/models")}
        complete = lambda line: self.ok("fish", "--no-config", "-c", f"source {file}; complete -C '{line}'", env=environment)
        self.assertIn("generate", complete("quern gen"))
        self.assertIn("--max-tokens", complete("quern generate --max-t"))
        self.assertIn("pebble", complete("quern generate --model pe"))
        self.assertIn("--lengths", complete("quern eval needle --len"))
        self.assertIn("avx512", complete("quern bench --isa a"))

    @needs("systemd-analyze")
    def test_service(self):
        unit = self.root / "lib/systemd/system/quern.service"
        text = unit.read_text()
        self.assertIn("ExecStart=/usr/bin/quern serve --config /etc/quern/quern.yaml", text)
        local = pathlib.Path(self.folder.name) / "quern.service"
        local.write_text(text.replace("/usr/bin/quern", str(self.root / "usr/bin/quern")))  # verify looks whether the program is there
        done = run("systemd-analyze", "verify", "--man=no", local)
        said = [line for line in done.stderr.splitlines() if "quern" in line]
        self.assertEqual(said, [], done.stderr)
        security = run("systemd-analyze", "security", "--offline=yes", "--threshold=30", local)
        self.assertEqual(security.returncode, 0, security.stdout + security.stderr)  # exposure below 3.0: "OK"

    @needs("dpkg-deb")
    def test_debian_package(self):
        out = pathlib.Path(self.folder.name) / "deb"
        self.ok("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", out, "-G", "DEB", env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
        package = next(out.glob("quern_*.deb"))
        fields = self.ok("dpkg-deb", "--field", package)
        self.assertRegex(fields, r"(?m)^Depends: .*libc6")
        names = {line.split(None, 5)[5] for line in self.ok("dpkg-deb", "--contents", package).splitlines()}
        installed = {"./" + str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}
        doc = "./usr/share/doc/quern/"
        self.assertEqual(installed - names, {doc + "LICENSE", doc + "changelog"})  # Debian has them as copyright and changelog.gz
        debian = {doc + name for name in ("copyright", "changelog.gz", "changelog.Debian.gz")} | {"./usr/share/lintian/overrides/quern"}
        if (self.root / "usr/share/doc/quern/html/index.html").is_file():
            debian.add("./usr/share/doc-base/quern.quern")
        self.assertEqual({name for name in names if not name.endswith("/")} - installed, debian, "nothing else is only in the package")
        scripts = pathlib.Path(self.folder.name) / "control"
        self.ok("dpkg-deb", "--control", package, scripts)
        for script in ("postinst", "prerm", "postrm"):
            self.assertNotRegex((scripts / script).read_text(), r"\brm\b")
        if not shutil.which("lintian"):
            self.skipTest("lintian is not here")
        done = run("lintian", "--allow-root", "--fail-on", "error,warning", package)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
