"""Runs the leaderboard's services for quern: python3 -I -c THIS ROOT, where ROOT is the folder bfcl_eval.

A JSON object a line on standard input, answered by one on standard output. What the services print goes nowhere.

  {"do": "load", "services": {"Class": "module"}}
  {"do": "start", "services": {...}, "config": {"Class": ...}, "long_context": false}
      new instances of each class, one for the model and one for the ground truth
  {"do": "call", "who": "model" or "truth", "calls": [{"name": {arguments}} or "name(x=1)"]}  ->  {"results": ["text"]}
  {"do": "compare"}  ->  {"difference": null, or one line}

What fails is answered {"error": "one line"}; and "missing": "package", where an import wants one that is not there.
"""
import ast
import copy
import importlib
import inspect
import io
import json
import os
import sys
import types

PACKAGE = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"
MOST_TEXT = 1 << 20  # characters of a result
REFUSED = {"kill", "exit", "quit", "remove", "unlink", "popen", "Popen", "run"}  # the leaderboard does not call these


class Failure(Exception):
    pass


def make_packages(root):
    """The modules import one another by their full names; the packages' own __init__ files are not run."""
    name, folder = "", root
    for part in PACKAGE.split("."):
        parent, name = name, f"{name}.{part}" if name else part
        folder = os.path.join(folder, part) if parent else root
        module = types.ModuleType(name)
        module.__path__ = [folder]
        sys.modules[name] = module
        if parent:
            setattr(sys.modules[parent], part, module)


def load(services):
    return {name: getattr(importlib.import_module(f"{PACKAGE}.{module}"), name) for name, module in services.items()}


def one_line(value):
    try:
        text = str(value)
    except Exception as error:  # a service's own __str__
        text = type(error).__name__
    return " ".join(text.split())[:300]


def sendable(text):
    if len(text) > MOST_TEXT:
        text = f"{text[:MOST_TEXT]}... ({len(text) - MOST_TEXT} characters left out)"
    return text.encode("utf-8", "replace").decode("utf-8")


def shown(value):
    try:
        return one_line(repr(value))
    except Exception as error:
        return f"({type(error).__name__})"


def read_call(call):
    """Name, positional and named arguments."""
    if isinstance(call, dict):
        (name, arguments), = call.items()
        return name, [], arguments
    tree = ast.parse(call.strip(), mode="eval").body
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise ValueError(f"not a call: {call[:100]}")
    if any(keyword.arg is None for keyword in tree.keywords):
        raise ValueError(f"arguments without names: {call[:100]}")
    named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in tree.keywords}
    return tree.func.id, [ast.literal_eval(value) for value in tree.args], named


class Side:
    """The services of the model, or of the ground truth."""

    def __init__(self, classes, config, long_context):
        self.instances = {}
        self.methods = {}
        for name, service in classes.items():
            instance = service()
            if hasattr(instance, "_load_scenario"):
                instance._load_scenario(copy.deepcopy(config.get(name, {})), long_context=long_context)
            self.instances[name] = instance
            for method, bound in inspect.getmembers(instance, predicate=inspect.ismethod):
                if not method.startswith("_"):
                    self.methods[method] = bound

    def call(self, call):
        try:
            name, positional, named = read_call(call)
            if name in REFUSED:
                raise Failure(f"Function call {name} is not allowed.")
            if name not in self.methods:
                raise Failure(f"name '{name}' is not defined")
            result = self.methods[name](*positional, **named)
            if isinstance(result, dict):
                try:
                    return json.dumps(result)
                except Exception:
                    return str(result)
            return str(result)
        except (Exception, SystemExit) as error:
            try:
                return f"Error during execution: {error}"
            except Exception:
                return f"Error during execution: {type(error).__name__}"


def compare(model, truth):
    for name, expected in truth.instances.items():
        found = model.instances[name]
        for attribute, value in vars(expected).items():
            if attribute.startswith("_"):
                continue
            if not hasattr(found, attribute):
                return f"{name}.{attribute}: not there"
            if getattr(found, attribute) != value:
                return f"{name}.{attribute}: {shown(getattr(found, attribute))}, expected {shown(value)}"
    return None


class Driver:
    def __init__(self):
        self.sides = {}

    def answer(self, request):
        do = request["do"]
        if do == "load":
            load(request["services"])
            return {}
        if do == "start":
            classes = load(request["services"])
            self.sides = {who: Side(classes, request["config"], request["long_context"]) for who in ("model", "truth")}
            return {}
        if do == "call":
            if request["who"] == "truth":
                for call in request["calls"]:
                    read_call(call)  # one that is none is a fault of the data, not a result
            return {"results": [sendable(self.sides[request["who"]].call(call)) for call in request["calls"]]}
        difference = compare(self.sides["model"], self.sides["truth"])
        return {"difference": difference and sendable(difference)}

    def answer_whatever(self, line):
        try:
            return self.answer(json.loads(line))
        except ModuleNotFoundError as error:
            answer = {"error": sendable(one_line(error))}
            if error.name and not error.name.startswith("bfcl_eval"):
                answer["missing"] = error.name.split(".")[0]
            return answer
        except (Exception, SystemExit) as error:
            return {"error": sendable(f"{type(error).__name__}: {one_line(error)}")}


def main():
    sys.dont_write_bytecode = True
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    make_packages(sys.argv[1])
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # what a service prints must neither be taken for an answer nor fill a pipe
        os.dup2(nothing, descriptor)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), open(os.devnull, "w"), open(os.devnull, "w")
    driver = Driver()
    for line in requests:
        answers.write(json.dumps(driver.answer_whatever(line)) + "\n")
        answers.flush()


main()
