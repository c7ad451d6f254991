"""The world kit in Python. What build.sh has componentize-py generate from the
WIT are the packages wit_world and componentize_py_types."""

import math
from dataclasses import replace
from itertools import pairwise

import wit_world
from componentize_py_types import Err, Ok, Some
from wit_world import exports
from wit_world.exports import values

DIRECTIONS = list(values.Direction)
STEPS = {
    values.Direction.NORTH: (0, 1),
    values.Direction.EAST: (1, 0),
    values.Direction.SOUTH: (0, -1),
    values.Direction.WEST: (-1, 0),
}


def area(shape):
    match shape:
        case values.Shape_Circle(radius):
            return math.pi * radius * radius
        case values.Shape_Rectangle((width, height)):
            return width * height
        case values.Shape_Polygon(corners):
            sides = pairwise(corners + corners[:1])
            return abs(sum(p.x * q.y - q.x * p.y for p, q in sides)) / 2
        case _:
            return 0.0


class Values(exports.Values):
    def birthday(self, who):
        return replace(who, age=min(who.age + 1, 255), tags=[*who.tags, "birthday"])

    def sort(self, people):
        return sorted(people, key=lambda person: person.age)

    def areas(self, shapes):
        return [area(shape) for shape in shapes]

    def scale(self, what, factor):
        match what:
            case values.Shape_Circle(radius):
                return values.Shape_Circle(radius * factor)
            case values.Shape_Rectangle((width, height)):
                return values.Shape_Rectangle((width * factor, height * factor))
            case values.Shape_Polygon(corners):
                return values.Shape_Polygon([values.Point(p.x * factor, p.y * factor) for p in corners])
            case _:
                return what

    def turn(self, from_, quarters):
        return DIRECTIONS[(from_.value + quarters) % 4]

    def walk(self, steps):
        moves = [STEPS[step] for step in steps]
        return (sum(east for east, _ in moves), sum(north for _, north in moves))

    def grant(self, has, more):
        return has | more

    def divide(self, dividend, divisor):
        if divisor == 0:
            raise Err("division by zero")
        quotient = abs(dividend) // abs(divisor)
        if (dividend < 0) != (divisor < 0):
            quotient = -quotient
        if quotient > 2**31 - 1:
            raise Err("overflow")
        return quotient

    def parse(self, text):
        if text == "":
            raise Err(values.ParseError_Empty())
        for position, found in enumerate(text):
            if not "0" <= found <= "9":
                raise Err(values.ParseError_BadDigit(values.BadDigit(position, found)))
        value = int(text)
        if value > 2**64 - 1:
            raise Err(values.ParseError_Overflow(text))
        return value

    def check(self, holds):
        if not holds:
            raise Err(None)

    def sum(self, numbers):
        return sum(numbers)

    def reverse(self, bytes):
        return bytes[::-1]

    def mirror(self, text):
        return text[::-1]

    def repeat(self, text, times):
        return text * times

    def split(self, text, separator):
        return text.split(separator)

    def join(self, parts, separator):
        return separator.join(parts)

    def transpose(self, rows):
        return [list(column) for column in zip(*rows)]

    def count(self, words):
        counts = {}
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        return list(counts.items())

    def swap(self, pair):
        text, number = pair
        return (number, text)

    def flip(self, outcome):
        if isinstance(outcome, Ok):
            raise Err(outcome.value)
        return outcome.value

    def wrap(self, value):
        return Some(value)

    def unwrap(self, value):
        return value.value if value is not None else None

    def pack(self, *arguments):
        return values.Everything(*arguments)


class Counters(exports.Counters):
    def difference(self, a, b):
        return a.value() - b.value()

    def sum(self, of):
        return sum(counter.value() for counter in of)


sum_so_far = 0
lines = []


class WitWorld(wit_world.WitWorld):
    def add(self, n):
        global sum_so_far
        sum_so_far += n
        return sum_so_far

    def total(self):
        return sum_so_far

    def remember(self, line):
        lines.append(line)
        return len(lines)

    def recall(self):
        return lines

    def say(self, line):
        print(line, flush=True)

    def fail(self, why):
        raise RuntimeError(why)
