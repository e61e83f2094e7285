#!/usr/bin/env python3
"""Man pages and completions from what the program itself says: `quern --describe-interface` (apps/quern/interface.h).

    interface.py INTERFACE.json OUT VERSION DATE     OUT/man1/*.1.gz, OUT/zsh/_quern, OUT/fish/quern.fish

help2man would need GNU's form of --help, which CLI11 does not write. The same input gives the same bytes.
"""
import gzip
import io
import json
import pathlib
import re
import sys


def commands_below(command, words=()):
    """(words, command) of every command, depth first; the program itself has no words."""
    yield words, command
    for sub in command["commands"]:
        yield from commands_below(sub, (*words, sub["name"]))


def is_positional(option):
    return not option["names"][0].startswith("-")


def values_of(option):
    """The fixed set of an option's values, if it has one: TEXT:{a,b}."""
    found = re.search(r":\{([^}]*)\}", option["type"])
    return found[1].split(",") if found else []


def word_of(option):
    """The type without what CLI11 adds of its checks: INT:INT in [1 - 9] is INT."""
    return re.sub(r":(\{.*\}|.* in \[.*\]|[A-Z]+)$", "", option["type"])


def metavar(option):
    """What stands for the value."""
    values = values_of(option)
    if values:
        return "|".join(values) if len(values) <= 4 else option["names"][-1].lstrip("-").upper()
    return word_of(option)


def bounds(option):
    found = re.search(r"in \[([^\]]*) - ([^\]]*)\]", option["type"])
    return f"{found[1]} to {found[2]}" if found else ""


# Man pages


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def paragraphs(text):
    """A help text's paragraphs: (verbatim, lines). Lines that are indented stay as they are."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        run = []
        for line in block.split("\n"):
            indented = line.startswith("  ")
            if run and indented != run[-1][0]:
                yield run[0][0], [each for _, each in run]
                run = []
            run.append((indented, line))
        if run:
            yield run[0][0], [each for _, each in run]


def option_entry(option):
    value = "" if option["flag"] else f" \\fI{roff(metavar(option))}\\fR"
    names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option["names"])
    notes = []
    values = values_of(option)
    if len(values) > 4:
        notes.append("One of " + ", ".join(values))
    if bounds(option):
        notes.append(bounds(option))
    if option["default"] and not option["flag"]:
        notes.append(f"default {option['default']}")
    text = option["description"] + (f" ({'; '.join(notes)})" if notes else "")
    return f".TP\n{names}{value}\n{roff(text)}\n"


def body_of(footer):
    """Sections from a footer: its examples, and what else it says."""
    examples, notes, in_examples = [], [], False
    for verbatim, lines in paragraphs(footer):
        if not verbatim and re.match(r"Examples?(, .*)?:$", lines[-1]):
            in_examples = True
            continue
        if verbatim:
            (examples if in_examples else notes).append(".nf\n" + roff("\n".join(lines)) + "\n.fi")
        else:
            in_examples = False
            notes.append(roff(" ".join(line.strip() for line in lines)))
    out = ""
    if examples:
        out += ".SH EXAMPLES\n" + "\n.PP\n".join(examples) + "\n"
    if notes:
        out += ".SH NOTES\n" + "\n.PP\n".join(notes) + "\n"
    return out


ENVIRONMENT = [
    ("QUERN_MODELS", "The folder of the user's models; otherwise $XDG_DATA_HOME/quern/models or ~/.local/share/quern/models."),
    ("XDG_DATA_HOME, XDG_STATE_HOME, XDG_CACHE_HOME", "Where saved chats and memories, journals of runs, and indexes of documents are kept."),
    ("HF_TOKEN, HF_ENDPOINT", "For quern-pull(1): who asks, and which hub."),
    ("NO_COLOR", "Where set, nothing is coloured."),
]
EXIT = [("0", "success"), ("1", "failure, with one line on standard error"), ("2", "wrong usage")]


def man_page(words, command, program, version, date):
    name = "-".join(("quern", *words))
    title = f'.TH {name.upper()} 1 "{date}" "quern {version}" "User Commands"\n'
    description = command["description"].rstrip(".")
    if words:
        description = description[:1].lower() + description[1:] if not description[1:2].isupper() else description
    out = title + f".SH NAME\n{roff(name)} \\- {roff(description)}\n.SH SYNOPSIS\n"
    positionals = [option for option in command["options"] if is_positional(option)]
    name_of = lambda option: f"\\fI{roff(word_of(option) if word_of(option) != 'TEXT' else option['names'][0])}\\fR"
    arguments = "".join(f" {name_of(o)}" if o["required"] else f" [{name_of(o)}]" for o in positionals)
    commands = " \\fICOMMAND\\fR …" if command["commands"] else ""
    out += f"\\fBquern{''.join(' ' + roff(word) for word in words)}\\fR [\\fIOPTIONS\\fR]{arguments}{commands}\n"
    if command["commands"]:
        out += ".SH COMMANDS\n"
        for sub in command["commands"]:
            out += f".TP\n\\fB{roff('-'.join(('quern', *words, sub['name'])))}\\fR(1)\n{roff(sub['description'])}\n"
    if positionals:
        out += ".SH ARGUMENTS\n"
        for option in positionals:
            out += f".TP\n{name_of(option)}\n{roff(option['description'])}\n"
    groups = {}
    for option in command["options"]:
        if not is_positional(option):
            groups.setdefault(option["group"], []).append(option)
    if groups:
        out += ".SH OPTIONS\n"
        for index, (group, options) in enumerate(groups.items()):
            if index > 0 or group != "Options":
                out += f".SS {roff(group)}\n"
            out += "".join(option_entry(option) for option in options)
    out += body_of(command["footer"])
    if not words:
        out += ".SH ENVIRONMENT\n" + "".join(f".TP\n\\fB{roff(key)}\\fR\n{roff(text)}\n" for key, text in ENVIRONMENT)
        out += ".SH EXIT STATUS\n" + "".join(f".TP\n{key}\n{text}\n" for key, text in EXIT)
    others = [("quern",)] if words else []
    others += [("quern", *words, sub["name"]) for sub in command["commands"]][:8]
    out += ".SH SEE ALSO\n" + ", ".join(f"\\fB{roff('-'.join(each))}\\fR(1)" for each in others) + "\n"
    return name, out


def write_man_pages(program, folder, version, date):
    folder.mkdir(parents=True, exist_ok=True)
    for words, command in commands_below(program):
        name, text = man_page(words, command, program, version, date)
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
            file.write(text.encode())
        (folder / f"{name}.1.gz").write_bytes(buffer.getvalue())


# Completions


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def kind_of(option):
    """What an option's value is, as far as a shell can help: values, models, folders, files, or nothing."""
    name, kind = option["names"][-1], word_of(option)
    if values_of(option):
        return "values"
    if name == "--model":
        return "models"
    if "DIR" in kind:
        return "folders"
    if re.search(r"FILE|TASK|URL\|", kind) or name in ("IN", "OUT", "M", "--file", "--out", "--schema", "--tokenizer"):
        return "files"
    return "text"


def first_sentence(text):
    return re.split(r"[;:.] ", text, maxsplit=1)[0].rstrip(".")


ZSH_HEAD = """#compdef quern
# Made by packaging/interface.py from what the program says of itself.

_quern_models() {
  local -a names
  names=(${(f)"$(command ls -- ${QUERN_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/quern/models} 2>/dev/null)"})
  names=(${${names:#*.partial}%.gguf} pebble)
  _alternative "models:model:(${(j: :)${(@q)names}})" 'files:file:_files'
}
"""


def zsh_action(option):
    kind = kind_of(option)
    if kind == "values":
        return "(" + " ".join(values_of(option)) + ")"
    return {"models": "_quern_models", "folders": "_files -/", "files": "_files", "text": " "}[kind]


def zsh_escape(text):
    return re.sub(r"([\\\[\]:])", r"\\\1", text)


def zsh_spec(option):
    if is_positional(option):
        action = "_files" if kind_of(option) == "text" else zsh_action(option)
        return quoted(f"{'*' if option['repeats'] else ''}:{zsh_escape(option['names'][0])}:{action}")
    value = "" if option["flag"] else f":{zsh_escape(metavar(option)) or 'value'}:{zsh_action(option)}"
    text = f"[{zsh_escape(first_sentence(option['description']))}]{value}"
    names = option["names"]
    if option["repeats"]:
        return " ".join(quoted(f"*{name}{text}") for name in names)
    exclusive = "(" + " ".join(names) + ")"
    return " ".join(quoted(f"{exclusive}{name}{text}") for name in names)


def zsh_function(words, command):
    name = "_".join(("_quern", *words)).replace("-", "_")
    specs = [zsh_spec(option) for option in command["options"]]
    if command["commands"]:
        specs += ["'1: :->command'", "'*:: :->arguments'"]
    out = f"{name}() {{\n"
    if command["commands"]:
        out += "  local curcontext=$curcontext state line\n  local -a commands\n"
        out += "  commands=(\n" + "".join(f"    {quoted(zsh_escape(sub['name']) + ':' + sub['description'])}\n" for sub in command["commands"]) + "  )\n"
    out += f"  _arguments {'-C ' if command['commands'] else ''}" + " \\\n    ".join(specs) + "\n"
    if command["commands"]:
        out += "  case $state in\n    command) _describe command commands ;;\n    arguments)\n      case $line[1] in\n"
        out += "".join(f"        {sub['name']}) {name}_{sub['name'].replace('-', '_')} ;;\n" for sub in command["commands"])
        out += "      esac ;;\n  esac\n"
    return out + "}\n"


def write_zsh(program, file):
    out = ZSH_HEAD + "".join("\n" + zsh_function(words, command) for words, command in commands_below(program))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(out + '\n_quern "$@"\n', encoding="utf-8")


FISH_HEAD = """# Made by packaging/interface.py from what the program says of itself.

function __quern_models
    set -l folder $HOME/.local/share/quern/models
    set -q XDG_DATA_HOME; and set folder $XDG_DATA_HOME/quern/models
    set -q QUERN_MODELS; and set folder $QUERN_MODELS
    command ls $folder 2>/dev/null | string match -v '*.partial' | string replace -r '\\.gguf$' ''
    echo pebble
end

complete -c quern -f
"""


def fish_line(condition, rest):
    return f"complete -c quern -n {quoted(condition)} {rest}\n"


def fish_quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_option(condition, option):
    rest = []
    for name in option["names"]:
        rest.append(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}")
    if not option["flag"]:
        kind = kind_of(option)
        if kind == "values":
            rest.append("-x -a " + fish_quoted(" ".join(values_of(option))))
        else:
            rest.append({"models": "-r -F -a '(__quern_models)'", "folders": "-x -a '(__fish_complete_directories)'", "files": "-r -F", "text": "-x"}[kind])
    rest.append("-d " + fish_quoted(first_sentence(option["description"])))
    return fish_line(condition, " ".join(rest))


def write_fish(program, file):
    out = FISH_HEAD
    for words, command in commands_below(program):
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in words)
        if command["commands"]:
            names = " ".join(sub["name"] for sub in command["commands"])
            none_yet = "__fish_use_subcommand" if not words else f"{seen}; and not __fish_seen_subcommand_from {names}"
            for sub in command["commands"]:
                out += fish_line(none_yet, f"-a {sub['name']} -d {fish_quoted(sub['description'])}")
        for option in command["options"]:
            if is_positional(option):
                out += fish_line(seen, "-F")
            else:
                out += fish_option(seen or "__fish_use_subcommand", option)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(out, encoding="utf-8")


def main():
    source, out, version, date = sys.argv[1:]
    program = json.loads(pathlib.Path(source).read_text(encoding="utf-8"))
    out = pathlib.Path(out)
    write_man_pages(program, out / "man1", version, date)
    write_zsh(program, out / "zsh/_quern")
    write_fish(program, out / "fish/quern.fish")


if __name__ == "__main__":
    main()
