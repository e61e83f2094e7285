#!/usr/bin/env python3
"""The documentation as `quern serve` shows it: every page is there, every link leads somewhere, nothing asks another machine.

Usage: docs_site_test.py REPOSITORY QUERN   Exit 77 (skipped) where quern was built without it.
"""
import html.parser
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request


class Page(html.parser.HTMLParser):
    """What a page links to, what it loads, and what may be linked to in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.ids, self.scripts = [], [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        if tag in ("img", "link"):
            self.loads.append(attributes.get("src") or attributes["href"])
        if tag == "script" or any(name.startswith("on") for name in attributes):
            self.scripts += 1


def get(url):
    """(status, headers, text)"""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def crawl(root):
    """Of every page below root, by its address: what is in it. Says what is wrong on the way."""
    pages, others, waiting, wrong = {}, set(), [root], []
    while waiting:
        url = waiting.pop()
        if url in pages or url in others:
            continue
        status, headers, text = get(url)
        if status != 200:
            wrong.append(f"{url}: {status}")
            others.add(url)
            continue
        if "default-src 'none'" not in headers["content-security-policy"] or "script-src" in headers["content-security-policy"]:
            wrong.append(f"{url}: its policy: {headers['content-security-policy']}")
        if not headers["content-type"].startswith("text/html"):
            others.add(url)
            continue
        page = pages[url] = Page(text)
        for link in page.links + page.loads:
            to = urllib.parse.urldefrag(urllib.parse.urljoin(url, link)).url
            if to.startswith(root):
                waiting.append(to)
            elif link in page.loads and not link.startswith("data:"):
                wrong.append(f"{url}: loads {link}")
            elif not re.match(r"https?://|mailto:|data:", to) or to.startswith(root.removesuffix("docs/")):
                wrong.append(f"{url}: links out of the documentation: {link}")
    return pages, others, wrong


def look_at(root, repository):
    status, headers, text = get(root.removesuffix("/"))
    assert status == 200 and "<h1" in text, "/docs leads to /docs/"
    status, _, text = get(root + "nothing.html")
    assert status == 404 and "no page nothing.html" in text, text
    for way_out in ("%2e%2e/index.html", "..%2Findex.html", "x/../../index.html"):
        assert get(root + way_out)[0] in (400, 404), way_out
    pages, others, wrong = crawl(root)
    for url, page in pages.items():
        if len(page.ids) != len(set(page.ids)):
            wrong.append(f"{url}: an id is there twice")
        if page.scripts:
            wrong.append(f"{url}: a script")
        for link in page.links:
            to, anchor = urllib.parse.urldefrag(urllib.parse.urljoin(url, link))
            if anchor and to in pages and urllib.parse.unquote(anchor) not in pages[to].ids:
                wrong.append(f"{url}: {link}: no such heading")
    for name in [path.stem for path in (repository / "docs").glob("*.md")]:
        file = "index" if name == "README" else name
        if f"{root}{file}.html" not in pages:
            wrong.append(f"docs/{name}.md: has no page that is linked to")
    for picture in (repository / "docs").glob("*.svg"):
        if root + picture.name not in others:
            wrong.append(f"{picture.name}: is shown nowhere")
    print(f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links, {len(others)} other files")
    return wrong


def main():
    repository, quern = pathlib.Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(prefix="quern-docs-") as place:
        server = subprocess.Popen([quern, "serve", "--port", "0", "--data", f"{place}/data"], stdout=subprocess.PIPE,
                                  stderr=open(f"{place}/log", "w"), text=True)
        try:
            line = server.stdout.readline()
            found = re.match(r"listening on (http://\S+)", line)
            if not found:
                raise SystemExit(f"quern serve did not start: {line!r} {open(f'{place}/log').read()}")
            root = found.group(1) + "/docs/"
            status, _, text = get(root)
            if status == 404 and "built without its documentation" in text and text.count("\n") == 1:
                print("skipped: quern was built without it")
                return 77
            wrong = look_at(root, repository)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=60)
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
