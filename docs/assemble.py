"""A hook for mkdocs: pages from files outside docs/, README as the start page, and the links between them.

No text is written twice: a page of the site is a file of the repository. Files that they link to are copied. Lists are
read as GitHub reads them, and the built site may load nothing from other machines.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
README = "README.md"
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
HEADING = re.compile(r"^(#+) +(.+?)\s*$", re.MULTILINE)
FENCE = re.compile(r"(^ *```.*?^ *```\s*?$)", re.MULTILINE | re.DOTALL)
TIGHT_LIST = re.compile(r"^((?![-*+] |\d+\. |#|\|| |<).+\n)(?=[-*+] |\d+\. )", re.MULTILINE)
FROM_ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^\s>]+"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README, the pages of the navigation, and every page and picture that a page links to."""
    files.append(File.generated(config, "index.md", content=(ROOT / README).read_text(encoding="utf-8")))
    in_docs = [f"docs/{file.src_uri}" for file in files.documentation_pages() if file.generated_by is None]
    waiting = [README, *in_docs, *(name for name in named_in(config.nav) if (ROOT / name).is_file())]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if path != README and not path.startswith("docs/"):
            files.append(File(path, str(ROOT), config.site_dir, config.use_directory_urls))
        if path.endswith(".md"):
            waiting += linked_files(path)
    return files


def named_in(nav: object) -> Iterator[str]:
    """The paths in a navigation, at any depth."""
    if isinstance(nav, str):
        yield nav
    for part in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from named_in(part)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links for the site and lists as GitHub reads them; fenced blocks stay as they are."""
    place = page.file.src_uri
    origin = README if page.file.generated_by else f"docs/{place}" if is_in_docs(page.file) else place
    parts = FENCE.split(markdown)
    for number in range(0, len(parts), 2):
        text = TIGHT_LIST.sub(r"\1\n", parts[number])
        parts[number] = LINK.sub(lambda link: for_site(link[1], origin, place), text)
    return "".join(parts)


def on_post_build(config: MkDocsConfig) -> None:
    """Raise PluginError if a built page would load anything from another machine."""
    for path in sorted(Path(config.site_dir).rglob("*.html")):
        if found := FROM_ELSEWHERE.search(path.read_text(encoding="utf-8")):
            raise PluginError(f"{path} loads from elsewhere: {found[0]}")


def linked_files(origin: str) -> set[str]:
    """The paths in the repository of all files that a file links to."""
    text = "".join(FENCE.split((ROOT / origin).read_text(encoding="utf-8"))[::2])
    targets = {in_repository(link[1], origin) for link in LINK.finditer(text)}
    return {target for target in targets if target and (ROOT / target).is_file()} - {README}


def in_repository(link: str, origin: str) -> str:
    """The path that a relative link in a file leads to; empty for an address and for a place in the file itself."""
    path = unquote(link.partition("#")[0])
    is_address = re.match(r"[a-z]+:", link) is not None
    return (
        "" if is_address or not path else posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
    )


def for_site(link: str, origin: str, place: str) -> str:
    """A link in the file `origin`, rewritten for the page at `place`."""
    if re.match(r"[a-z]+:", link):
        return link
    path, anchor = in_repository(link, origin) or origin, link.partition("#")[2]
    target = "index.md" if path == README else path.removeprefix("docs/")
    start = posixpath.dirname(place) or "."
    return posixpath.relpath(target, start) + (f"#{anchor}" if anchor else "")


def is_in_docs(file: File) -> bool:
    """Whether a file is in docs/, and not elsewhere in the repository."""
    return file.abs_src_path is not None and Path(file.abs_src_path).is_relative_to(ROOT / "docs")
