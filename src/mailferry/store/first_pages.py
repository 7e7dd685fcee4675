"""A damaged journal whose beginning is gone gets the beginning of an empty one.

The first page tells where everything is; without it nothing of the file can be read.  But every file
of one version begins alike: the migrations made the tables when the file was empty, so their first
pages have the same numbers.  What is put in place is the list of tables only.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import apsw

from mailferry.store.database import JOURNAL, open_database, rows

# An offset in the header of a file (https://www.sqlite.org/fileformat.html, 1.3).
_PAGE_COUNT_AT: Final = 28


def mend_first_pages(copy: Path) -> bool:
    """Make the list of tables readable in `copy`, a copy of a damaged journal, which is changed.

    Returns whether that was necessary.  `copy` must be alone in its folder, but for its WAL.
    """
    with suppress(apsw.Error), closing(apsw.Connection(os.fspath(copy))) as connection:
        if rows(connection, "SELECT count(*) FROM sqlite_schema WHERE name = 'account'") == [(1,)]:
            return False
    empty = copy.with_name("empty")
    with closing(open_database(empty, JOURNAL)) as connection:
        pages = rows(connection, "SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'")
        page_size = int(connection.pragma("page_size"))
    with empty.open("rb") as template, copy.open("r+b") as damaged:
        for (number,) in pages:
            place = (number - 1) * page_size
            template.seek(place)
            damaged.seek(place)
            damaged.write(template.read(page_size))
        length = damaged.seek(0, os.SEEK_END)
        damaged.seek(_PAGE_COUNT_AT)
        damaged.write((length // page_size).to_bytes(4, "big"))
        damaged.write(bytes(8))  # The list of free pages comes next: it is given up.
    return True
