"""Runs a kit's component on wasmtime: python wasmtime_peer.py c.

It says "ready"; then each line it reads is an operation and how often to do it,
and it answers with the nanoseconds of computing that it took. Arguments are made
once, and calls go to wasmtime's C interface: what Python adds to each is two calls
of C functions through ctypes, which the operation "floor" measures.
"""

import json
import sys
import time
from ctypes import byref, pointer
from pathlib import Path

from wasmtime import Engine, Store, WasiConfig, _ffi as ffi
from wasmtime.component import Component, Linker, Record

engine = Engine()
component = Component.from_file(engine, str(Path(__file__).parent / "build" / sys.argv[1] / "component.wasm"))
linker = Linker(engine)
linker.add_wasip2()


def start():
    store = Store(engine)
    store.set_wasi(WasiConfig())
    return store, linker.instantiate(store, component)


store, instance = start()
values = instance.get_export_index(store, "waterbear:kit/values")


def person(i):
    r = Record()
    r.name, r.age, r.tags = f"person {i}", i % 256, ["admin", "x"]
    r.email = None if i % 2 else "ann@example.org"
    return r


class Operation:
    """A call with arguments that are made once."""

    def __init__(self, name, *args, interface=values):
        self.func = instance.get_func(store, instance.get_export_index(store, name, interface))
        types = self.func.type(store)
        self.args = (ffi.wasmtime_component_val_t * len(args))()
        for i, (_, t) in enumerate(types.params):
            t.convert_to_c(store, args[i], pointer(self.args[i]))
        self.result = ffi.wasmtime_component_val_t()

    def run(self, times):
        call, delete = ffi.wasmtime_component_func_call, ffi.wasmtime_component_val_delete
        func, context, args, n = byref(self.func._func), store._context(), self.args, len(self.args)
        result = byref(self.result)
        for _ in range(times):
            if call(func, context, args, n, result, 1):
                raise RuntimeError("the call failed")
            delete(result)


class Floor:
    def run(self, times):
        delete = ffi.wasmtime_component_val_delete
        value = byref(ffi.wasmtime_component_val_t())
        for _ in range(times):
            delete(value)
            delete(value)


class Instantiate:
    def run(self, times):
        for _ in range(times):
            start()


operations = {
    "floor": Floor(),
    "instantiate": Instantiate(),
    "empty": Operation("total", interface=None),
    "record": Operation("birthday", person(0)),
    "text of 10": Operation("repeat", "0123456789", 1),
    "text of 1 MiB": Operation("repeat", "x" * (1 << 20), 1),
    "bytes of 1 MiB": Operation("reverse", bytes(1 << 20)),
    "numbers of 1 MiB": Operation("sum", [0] * (1 << 18)),
    "1000 records": Operation("sort", [person(i) for i in range(1000)]),
}

print("ready", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    before = time.process_time_ns()
    operations[request["operation"]].run(request["times"])
    print(time.process_time_ns() - before, flush=True)
