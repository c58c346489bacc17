"""Addresses of Dask schedulers at which nobody, or somebody else, answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.faults.cases import Case, writing

ADDRESSES = {
    "nobody": "tcp://127.0.0.1:9",
    "no port": "tcp://127.0.0.1",
    "no scheme": "127.0.0.1:9",
    "unknown scheme": "nosuch://127.0.0.1:9",
    "port that is none": "tcp://127.0.0.1:99999",
    "port of letters": "tcp://127.0.0.1:abc",
    "negative port": "tcp://127.0.0.1:-1",
    "port 0": "tcp://127.0.0.1:0",
    "empty": "",
    "a blank": " ",
    "a word": "nosuch",
    "host that is none": "tcp://nosuch.invalid:8786",
    "TLS without a certificate": "tls://127.0.0.1:9",
    "web socket": "ws://127.0.0.1:9",
    "web page": "http://127.0.0.1:9",
    "inproc": "inproc://nosuch/1/1",
    "unix socket": "unix:///tmp/nosuch",
    "escape sequences": "tcp://\x1b[31m:9",
    "line break": "tcp://127.0.0.1:9\n",
    "IPv6 half": "tcp://[::1:9",
    "300 letters": "tcp://" + "x" * 300 + ":9",
    "not UTF-8": "tcp://\udcff:9",
    "a list": "tcp://127.0.0.1:9,tcp://127.0.0.1:10",
    "a file": "my.toml",
}


def cases() -> Iterator[Case]:
    for command in (("prepare", "tiny-64"), ("run", "tiny-64", "--gallery", "6", "--ks", "1,2")):
        for name, address in ADDRESSES.items():
            if command[0] == "run" and name not in ("nobody", "a word", "empty", "inproc"):
                continue
            yield Case(
                "Dask",
                f"{command[0]}: {name}",
                (*command, f"--scheduler={address}"),
                "empty",
                says="(?i)scheduler|Dask",
            )
    yield Case(
        "Dask",
        "address in a settings file is a number",
        ("prepare", "tiny-64", "--config", "my.toml"),
        "empty",
        writing("my.toml", "scheduler = 8786"),
        says="scheduler",
    )
    yield Case(
        "Dask",
        "somebody else answers",
        ("prepare", "tiny-64", "--scheduler=tcp://127.0.0.1:47113"),
        "empty",
        _web_server,
        says="(?i)scheduler|Dask",
    )


def _web_server(folder: Path) -> None:
    """Something that speaks no word of Dask, for as long as this process lives."""
    import socket
    import threading

    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", 47113))
    server.listen()

    def answer() -> None:
        while True:
            other, _ = server.accept()
            other.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            other.close()

    threading.Thread(target=answer, daemon=True).start()
