"""Packages for Node.js that tests use, in the versions of a package-lock.json."""
import fcntl
import hashlib
import os
import shutil
import subprocess
import unittest


def read(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return None


def install(repository, build, folder):
    """BUILD/FOLDER with the packages that REPOSITORY/FOLDER/package-lock.json names."""
    if not shutil.which("npm") or not shutil.which("node"):
        raise unittest.SkipTest("nodejs and npm are not installed")
    source, packages = os.path.join(repository, folder), os.path.join(build, folder)
    os.makedirs(packages, exist_ok=True)
    with open(os.path.join(packages, "lock"), "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(os.path.join(source, "package-lock.json"), "rb") as file:
            wanted = hashlib.sha256(file.read()).hexdigest()
        installed = os.path.join(packages, "installed")
        if read(installed) != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(os.path.join(source, name), packages)
            done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=packages,
                                  capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, done.stdout + done.stderr
            with open(installed, "w", encoding="ascii") as file:
                file.write(wanted)
    return packages
