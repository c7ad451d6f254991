"""Writes a small web site into files, crawls it politely, and ranks its pages.

    python.wasm crawl.py [pages [milliseconds between two]]

What it prints depends on its arguments alone.
"""

import hashlib
import html.parser
import json
import os
import pathlib
import random
import re
import statistics
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

SITE = pathlib.Path("site")
WORDS = "bear water moss lichen claw tun dry wait wake drop leaf stone rain sun".split()


def write_site(count: int, dice: random.Random) -> None:
    """Pages that link to each other, earlier ones more often."""
    for number in range(count):
        links = {int(number * dice.random() ** 2) for _ in range(4)} | {number + 1, number * 2 + 1}
        text = " ".join(dice.choices(WORDS, weights=range(len(WORDS), 0, -1), k=300))
        page = SITE / f"section-{number % 7}" / f"page-{number:04d}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        anchors = "".join(
            f'<a href="../section-{n % 7}/page-{n:04d}.html">see {n}</a>\n' for n in sorted(links)
        )
        page.write_text(f"<html><title>Page {number}</title><p>{text}</p>{anchors}</html>\n")


@dataclass
class Page:
    title: str = ""
    links: list[str] = field(default_factory=list)
    words: Counter = field(default_factory=Counter)


class Reader(html.parser.HTMLParser):
    def __init__(self, url: str):
        super().__init__()
        self.url, self.page, self.tag = url, Page(), ""

    def handle_starttag(self, tag, attrs):
        self.tag = tag
        if tag == "a":
            self.page.links.append(urljoin(self.url, dict(attrs)["href"]))

    def handle_data(self, data):
        if self.tag == "title":
            self.page.title += data
        elif self.tag == "p":
            self.page.words.update(re.findall(r"\w+", data))


def crawl(start: str, pause: float):
    """Yields each page that can be reached, nearest first."""
    seen, queue = {start}, deque([start])
    while queue:
        url = queue.popleft()
        path = pathlib.Path(urlsplit(url).path.lstrip("/"))
        before = time.monotonic()
        time.sleep(pause)
        if time.monotonic() - before < pause:
            raise RuntimeError("the pause was too short")
        try:
            source = path.read_text()
        except FileNotFoundError:
            yield url, None
            continue
        reader = Reader(url)
        reader.feed(source)
        yield url, reader.page
        for link in reader.page.links:
            if link not in seen:
                seen.add(link)
                queue.append(link)


def rank(links: dict[str, list[str]], rounds: int = 20) -> dict[str, float]:
    share = dict.fromkeys(links, 1 / len(links))
    for _ in range(rounds):
        following = dict.fromkeys(links, 0.15 / len(links))
        for url, targets in links.items():
            targets = [t for t in targets if t in links] or list(links)
            for target in targets:
                following[target] += 0.85 * share[url] / len(targets)
        share = following
    return share


def save(path: pathlib.Path, value) -> None:
    """Replaces a file as a whole, so that it is never half written."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(value, sort_keys=True))
    os.replace(draft, path)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    pause = int(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.01
    write_site(count, random.Random(1773))
    print(f"wrote {count} pages", flush=True)

    words, links, missing, lengths = Counter(), {}, [], []
    digest = hashlib.sha256()
    for url, page in crawl("http://site/site/section-0/page-0000.html", pause):
        digest.update(url.encode())
        if page is None:
            missing.append(url)
            print(f"{url}: missing", flush=True)
            continue
        links[url] = page.links
        words.update(page.words)
        lengths.append(sum(page.words.values()))
        save(pathlib.Path("crawled.json"), {"pages": len(links), "words": words})
        print(f"{url}: {page.title}, {len(page.links)} links, {digest.hexdigest()[:12]}", flush=True)

    held = json.loads(pathlib.Path("crawled.json").read_text())
    if held != {"pages": len(links), "words": words}:
        raise RuntimeError("crawled.json is not what was saved last")
    for url, share in sorted(rank(links).items(), key=lambda item: (-item[1], item[0]))[:5]:
        print(f"{share:.5f} {url}")
    for word, times in words.most_common(5):
        print(f"{times:6d} {word}")
    print(f"{len(links)} pages, {len(missing)} missing, {statistics.mean(lengths):.1f} words each, {digest.hexdigest()}")


if __name__ == "__main__":
    main()
