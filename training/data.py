"""Training windows from files that generators write while training runs.

A file is a whole number of windows, raw little-endian u16, no header: the low 14 bits are the token id, bit 14 is set on the
first token of a conversation, bit 15 on training targets (assistant text). Files are read once, in the order of their names, and
deleted: no window is seen twice unless the generators fall behind, which is counted and said.
"""
import glob
import os
import queue
import random
import subprocess
import threading
import time
from typing import Iterator, List, Optional

import numpy as np
import torch
from torch import Tensor

from model import ID


class Generators:
    """Runs a shell command over and over in several processes, each time with a seed of its own and a file to write.

    File NNNN-KK.bin is round NNNN of process KK: which windows are trained on, and in which order, does not depend on timing.
    """

    def __init__(self, command: str, directory: str, processes: int, seed: int, backlog: int = 16):
        self.command, self.directory, self.processes, self.seed, self.backlog = command, directory, processes, seed, backlog
        self.stopping, self.failures = threading.Event(), 0
        self.running: List[Optional[subprocess.Popen]] = [None] * processes
        self.threads = [threading.Thread(target=self.work, args=(k,), daemon=True) for k in range(processes)]
        for thread in self.threads:
            thread.start()

    def names(self) -> Iterator[str]:
        number = 0
        while True:
            for k in range(self.processes):
                yield f"{number:04d}-{k:02d}.bin"
            number += 1

    def work(self, k: int) -> None:
        number = 0
        while not self.stopping.is_set():
            if len(glob.glob(os.path.join(self.directory, f"*-{k:02d}.bin"))) >= self.backlog:
                time.sleep(0.2)
                continue
            path = os.path.join(self.directory, f"{number:04d}-{k:02d}.bin")
            seed = self.seed + number * self.processes + k
            command = self.command.replace("{seed}", str(seed)).replace("{out}", path + ".part")
            self.running[k] = process = subprocess.Popen(["nice", "-n", "10", "sh", "-c", command], start_new_session=True,
                                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            errors = process.communicate()[1].decode(errors="replace")
            if self.stopping.is_set():
                return
            if process.returncode != 0 or not os.path.exists(path + ".part"):
                self.failures += 1
                print(f"generator failed ({process.returncode}): {command}\n{errors[-2000:]}", flush=True)
                open(path + ".part", "wb").close()  # an empty file: the reader goes on to the next name
                time.sleep(1)
            os.rename(path + ".part", path)
            number += 1

    def stop(self) -> None:
        self.stopping.set()
        for process in self.running:
            if process is not None and process.poll() is None:
                os.killpg(process.pid, 15)  # its own process group, started above
        for thread in self.threads:
            thread.join(timeout=5)


class Windows:
    """Batches [batch, window] of raw windows as int64, read ahead by one thread. next() may be called from one thread."""

    def __init__(self, directory: str, window: int, batch: int, vocab_size: int, seed: int,
                 generators: Optional[Generators] = None, pinned: bool = False):
        self.directory, self.window, self.batch, self.vocab_size = directory, window, batch, vocab_size
        self.generators, self.pinned = generators, pinned
        self.ready: queue.Queue = queue.Queue(maxsize=8)
        self.seen: List[Tensor] = []  # some batches for the case of a lag
        self.random, self.reused, self.read, self.error = random.Random(seed), 0, 0, None
        threading.Thread(target=self.read_ahead, daemon=True).start()

    def paths(self) -> Iterator[str]:
        if self.generators is not None:
            for name in self.generators.names():
                path = os.path.join(self.directory, name)
                while not os.path.exists(path):
                    time.sleep(0.01)
                yield path
        while True:
            for path in sorted(glob.glob(os.path.join(self.directory, "*.bin"))):
                yield path
            time.sleep(0.05)

    def read_ahead(self) -> None:
        try:
            rest = np.empty((0, self.window), np.uint16)
            for path in self.paths():
                data = np.fromfile(path, "<u2")
                os.remove(path)
                if data.size % self.window:
                    raise ValueError(f"{path}: {data.size} tokens, not a whole number of windows of {self.window}")
                if data.size and int((data & ID).max()) >= self.vocab_size:
                    raise ValueError(f"{path}: token {(data & ID).max()}, vocabulary {self.vocab_size}")
                rest = np.concatenate([rest, data.reshape(-1, self.window)])
                while len(rest) >= self.batch:
                    batch = torch.from_numpy(rest[:self.batch].astype(np.int64))
                    self.ready.put(batch.pin_memory() if self.pinned else batch)
                    rest = rest[self.batch:]
        except Exception as error:
            self.error = error

    def next(self) -> Tensor:
        waited = 0.0
        while True:
            if self.error is not None:
                raise self.error
            try:
                batch = self.ready.get(timeout=0.05)
                self.read += 1
                if len(self.seen) < 256:
                    self.seen.append(batch)
                else:
                    self.seen[self.random.randrange(256)] = batch
                return batch
            except queue.Empty:
                waited += 0.05
                if self.seen:
                    self.reused += 1
                    if self.reused in (1, 10, 100, 1000):
                        print(f"generators fall behind: {self.reused} batches trained on again, {self.read} new so far", flush=True)
                    return self.random.choice(self.seen)
                all_failed = self.generators is not None and self.generators.failures >= self.generators.processes
                if waited > 120 or all_failed:
                    raise RuntimeError("no training data")
