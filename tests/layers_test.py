#!/usr/bin/env python3
"""The layering of src/, as src/CMakeLists.txt orders it: a file includes headers of its own layer or of one declared before it.

apps/ is included from nowhere in src/; a test's helper header is included by tests only. A type's name is defined in one header: two of one name in
one program have each other's destructors, whatever the compiler says. Usage: layers_test.py REPOSITORY
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
TYPE = re.compile(r"^(?:struct|class|union|enum class) (\w+)(?: final)?(?: ?:(?!:)[^;{]*)?\s*\{", re.MULTILINE)


def layer_order(cmake: str) -> list[str]:
    return re.findall(r"^quern_layer\((\w+)", cmake, re.MULTILINE)


def violations(src: pathlib.Path, order: list[str]) -> list[str]:
    found = []
    rank = {name: i for i, name in enumerate(order)}
    for path in sorted([*src.rglob("*.h"), *src.rglob("*.cpp"), *src.rglob("*.cu"), *src.rglob("*.cuh")]):
        own = path.relative_to(src).parts[0]
        where = f"src/{path.relative_to(src)}"
        if own not in rank:
            found.append(f"{where}: folder {own} is not declared in src/CMakeLists.txt")
            continue
        for header in INCLUDE.findall(path.read_text(encoding="utf-8")):
            target = header.split("/")[0]
            if ".." in header.split("/"):
                found.append(f'{where}: "{header}" is not relative to src/')
            elif target not in rank or not (src / header).is_file():
                found.append(f'{where}: "{header}" is no header of src/')
            elif rank[target] > rank[own]:
                found.append(f'{where}: {own} includes "{header}" of the later layer {target}')
            elif header.endswith("_test.h") and not path.name.endswith(("_test.cpp", "_test.h")):
                found.append(f'{where}: "{header}" belongs to tests')
    return found


def twice_defined(src: pathlib.Path) -> list[str]:
    """Of one namespace, which all of src/ is but for instruction sets' (their names are told apart by it)."""
    where = {}
    for path in sorted(src.rglob("*.h")):
        if not path.name.endswith("_test.h") and "namespace quern {" in (text := path.read_text(encoding="utf-8")):
            for name in TYPE.findall(text):
                where.setdefault(name, []).append(f"src/{path.relative_to(src)}")
    return [f"{name} is defined in {' and in '.join(files)}" for name, files in where.items() if len(files) > 1]


def check_the_check() -> None:
    """What this test exists to find, it finds."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder)
        for name, text in {"base/a.h": "", "base/b.cpp": '#include "model/m.h"\n', "model/m.h": ' # include "base/a.h"\n', "model/n.cpp": '#include "apps/x.h"\n',
                           "base/two.h": "namespace quern {\nstruct Two {\n};\nstruct Other;\n", "model/two.h": "namespace quern {\nclass Two final : public Other {\n",
                           "model/x_test.h": "", "model/o.cpp": '#include "model/x_test.h"\n', "odd/p.cpp": "", "base/c.cpp": '#include "../model/m.h"\n'}.items():
            (src / name).parent.mkdir(exist_ok=True)
            (src / name).write_text(text)
        got = [line.split(":")[0] for line in violations(src, ["base", "model"])]
        assert got == ["src/base/b.cpp", "src/base/c.cpp", "src/model/n.cpp", "src/model/o.cpp", "src/odd/p.cpp"], got
        got = twice_defined(src)
        assert got == ["Two is defined in src/base/two.h and in src/model/two.h"], got


def main() -> int:
    check_the_check()
    src = pathlib.Path(sys.argv[1]) / "src"
    order = layer_order((src / "CMakeLists.txt").read_text())
    if len(order) < 5 or order[0] != "base":
        print(f"src/CMakeLists.txt: unexpected layers {order}")
        return 1
    found = violations(src, order) + twice_defined(src)
    print("\n".join(found) or f"{len(order)} layers, no include against their order, no type defined twice")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
