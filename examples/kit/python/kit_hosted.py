"""The world kit-hosted in Python."""

import kit
from componentize_py_types import Err
from kit import Counters, Values
from wit_world.imports.host import Bucket, log, remove
from wit_world.imports.levels import Level

__all__ = ["Counters", "Values", "WitWorld"]

held = None


class WitWorld(kit.WitWorld):
    def fill(self, name, entries):
        with Bucket(name) as bucket:
            for key, value in entries:
                log(Level.DEBUG, key)
                try:
                    bucket.put(key, value)
                except Err as why:
                    log(Level.WARNING, why.value)
                    raise
            return bucket.keys()

    def look_up(self, name, key):
        try:
            bucket = Bucket.open(name)
        except Err as why:
            log(Level.ERROR, why.value)
            return None
        with bucket:
            return bucket.get(key)

    def weigh(self, bucket):
        return sum(len(bucket.get(key)) for key in bucket.keys())

    def hold(self, bucket):
        global held
        before, held = held, bucket
        return before

    def discard(self):
        global held
        if held is None:
            return None
        bucket, held = held, None
        return remove(bucket)
