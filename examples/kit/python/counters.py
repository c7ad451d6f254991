"""The resource of the interface counters. componentize-py looks for it in a
module of that name."""

from wit_world.exports import counters


class Counter(counters.Counter):
    def __init__(self, start):
        self.count = start

    def add(self, n):
        before = self.count
        self.count += n
        return before

    def value(self):
        return self.count

    @classmethod
    def merge(cls, a, b):
        return cls(a.count + b.count)
