"""Names of people as tables, folders and archives spell them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping


def composed(name: str) -> str:
    """A name in composed Unicode, without blanks around it: a Mac's file system returns names decomposed."""
    return unicodedata.normalize("NFC", name.strip())


def plain_name(name: str) -> str:
    """A name without case, accents and punctuation; numbers that punctuation parts stay apart."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"(?<!\d)[\W_]+|[\W_]+(?!\d)", "", bare) or name


def by_plain_name(names: Iterable[str]) -> dict[str, str]:
    """Names by their `plain_name`, to suggest what a folder should be called."""
    return {plain_name(name): name for name in names}


def suggestion(name: str, known: Mapping[str, str]) -> str:
    """What to do about a folder whose name differs from a known one in case, accents or punctuation; else nothing.

    Windows and some archives lose a dot at the end of a name ("Robert_Downey_Jr.").
    """
    likely = known.get(plain_name(name))
    return (
        f": most likely {likely}, whose name must be spelt as in the table; rename the folder"
        if likely
        else ""
    )
