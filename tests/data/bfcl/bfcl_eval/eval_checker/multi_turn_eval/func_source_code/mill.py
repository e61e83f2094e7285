"""A mill, with everything that can go wrong in a service."""
import os
import sys
import time

from bfcl_eval.eval_checker.multi_turn_eval.func_source_code.old_records import OLD_RECORDS


class Mill:
    def __init__(self):
        self.grain = {}
        self.flour = 0
        self.records = []
        self._calls = 0  # private: not part of the state that is compared

    def _load_scenario(self, scenario, long_context=False):
        self.grain = scenario.get("grain", {})
        self.records = list(OLD_RECORDS) if long_context else []
        if scenario.get("burnt_down"):
            raise RuntimeError("the mill is gone")

    def fill(self, kind, kilos):
        self._calls += 1
        self.grain[kind] = self.grain.get(kind, 0) + kilos
        return {"kind": kind, "kilos": self.grain[kind]}

    def grind(self, kind, kilos=1):
        if self.grain.get(kind, 0) < kilos:
            raise ValueError(f"not enough {kind}")
        self.grain[kind] -= kilos
        self.flour += kilos
        return {"flour": self.flour}

    def stock(self):
        self._calls += 1
        return {"grain": self.grain, "flour": self.flour, "records": len(self.records)}

    def clatter(self):
        for _ in range(2000):
            print("clack " * 500)
            print("clack " * 500, file=sys.stderr)
        os.write(1, b"{}\n")
        return "much noise"

    def interrupt(self):
        for descriptor in range(3, 10):
            try:
                os.write(descriptor, b"{}\n")
            except OSError:
                pass
        return "an answer that nobody asked for came before"

    def song(self, verses):
        return "la" * verses

    def listen(self):
        return input()

    def spin(self):
        while True:
            time.sleep(0.01)

    def collapse(self):
        os._exit(3)

    def look_around(self, path):
        with open(path) as file:
            return file.read()

    def quit(self):
        return "never called"
