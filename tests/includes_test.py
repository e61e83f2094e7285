#!/usr/bin/env python3
"""A file of src/ includes what it uses of the headers that its layer precompiles (cmake/layers.cmake), itself or through headers of src/.

The compiler cannot tell: to it they are always there. By words, so roughly; a build without precompiled headers is the full answer
(-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON). Usage: includes_test.py REPOSITORY
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.MULTILINE)
COMMENT = re.compile(r"//[^\n]*")

# What gives a header's use away.
WORDS = {
    "algorithm": r"std::(ranges::)?(sort|stable_sort|min|max|clamp|find(_if)?|(any|all|none)_of|copy(_n)?|fill(_n)?|transform|(min|max)_element|(lower|upper)_bound|"
                 r"count(_if)?|equal|reverse|unique|remove_if|nth_element|partial_sort|rotate|replace|mismatch|search|is_sorted|adjacent_find|binary_search|generate)\(",
    "array": r"std::(array|to_array)\b",
    "chrono": r"std::chrono\b",
    "cmath": r"std::(sqrt|exp|expm1|log|log2|log10|log1p|pow|fabs|floor|ceil|l?round|l?rint|tanh|cos|sin|isnan|isfinite|isinf|nearbyint|fmod|ldexp|frexp|hypot)f?\(",
    "cstring": r"std::(mem(cpy|cmp|set|move|chr)|str(len|cmp|ncmp|error|chr|signal|str|rchr))\(",
    "deque": r"std::deque\b",
    "filesystem": r"std::filesystem\b",
    "functional": r"std::(function|c?ref|bind|not_fn)\b",
    "map": r"std::(multi)?map<",
    "memory": r"std::(unique_ptr|shared_ptr|weak_ptr|make_unique|make_shared|enable_shared_from_this|addressof)\b",
    "mutex": r"std::(mutex|lock_guard|unique_lock|scoped_lock|once_flag|call_once)\b",
    "optional": r"std::(optional|nullopt|make_optional)\b",
    "set": r"std::(multi)?set<",
    "span": r"std::(span|as_bytes|as_writable_bytes)\b",
    "string": r"std::(string|to_string)\b",
    "thread": r"std::(thread|jthread|this_thread)\b",
    "unordered_map": r"std::unordered_(multi)?map<",
    "variant": r"std::(variant|visit|monostate|holds_alternative|get_if)\b",
    "vector": r"std::vector\b",
    "fmt/format.h": r"\bfmt::(format|format_to|to_string|formatter|memory_buffer|join|runtime)\b",
    "tl/expected.hpp": r"\btl::",
}
# Headers that promise another's names.
BRINGS = {
    "fmt/ranges.h": ["fmt/format.h"],
    "fmt/chrono.h": ["fmt/format.h", "chrono"],
    "gtest/gtest.h": ["map", "memory", "set", "string", "vector"],
    "gmock/gmock.h": ["algorithm", "functional", "map", "memory", "optional", "set", "string", "variant", "vector"],
}


def precompiled(cmake: str) -> set[str]:
    """The headers that precompile_layer names."""
    named = re.search(r"target_precompile_headers\(\$\{target\} PRIVATE (<[^)]*)\)", cmake)
    return set(re.findall(r"<([^>]+)>", named.group(1))) if named else set()


def reached(path: pathlib.Path, texts: dict[pathlib.Path, str], src: pathlib.Path) -> set[str]:
    """The system headers that a file includes, itself or through headers of src/."""
    seen, left, found = set(), [path], set()
    while left:
        here = left.pop()
        if here in seen or here not in texts:
            continue
        seen.add(here)
        for bracket, header in INCLUDE.findall(texts[here]):
            if bracket == "<":
                found.update([header, *BRINGS.get(header, [])])
            else:
                left.append(src / header)
    return found


def missing(src: pathlib.Path, headers: set[str]) -> list[str]:
    texts = {path: COMMENT.sub("", path.read_text(encoding="utf-8")) for path in [*src.rglob("*.h"), *src.rglob("*.cpp")]}
    found = []
    for path in sorted(texts):
        included = reached(path, texts, src)
        for header in sorted(headers - included):
            if use := re.search(WORDS[header], texts[path]):
                found.append(f"src/{path.relative_to(src)}: {use.group(0).rstrip('(<')} without <{header}>")
    return found


def check_the_check() -> None:
    """What this test exists to find, it finds."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder)
        for name, text in {"a.h": "#include <vector>\n", "b.cpp": '#include "a.h"\nstd::vector<int> v;\n', "c.cpp": "// std::vector\nstd::vector<int> v;\n"}.items():
            (src / name).write_text(text)
        assert missing(src, {"vector"}) == ["src/c.cpp: std::vector without <vector>"], missing(src, {"vector"})


def main() -> int:
    check_the_check()
    repository = pathlib.Path(sys.argv[1])
    headers = precompiled((repository / "cmake/layers.cmake").read_text())
    if len(headers) < 5 or not headers <= WORDS.keys():
        print(f"cmake/layers.cmake: precompiles {sorted(headers)}; WORDS lacks {sorted(headers - WORDS.keys())}")
        return 1
    found = missing(repository / "src", headers)
    print("\n".join(found) or f"{len(headers)} precompiled headers, included where they are used")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
