"""`sf2f-bench weights`: fetched over a local server, imported, verified; every bad file is refused."""

from __future__ import annotations

import bz2
import hashlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from sf2f_bench.commands.main import main
from sf2f_bench.extractors import weights
from sf2f_bench.extractors.fetch import OFFLINE_VARIABLE, fetch, take_in, unpack, verify
from sf2f_bench.extractors.weights import FILES, FOLDER_VARIABLE, WeightFile, all_files
from sf2f_bench.registry import EXTRACTORS, Registry
from sf2f_bench.types import BenchError, ExtractorCard

NAME = "toy.pt"
CONTENT = b"the weights as they were published"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; `broken.pt` announces more than it sends."""

    def log_message(self, *parts: object) -> None: ...

    def do_GET(self) -> None:
        if not self.path.startswith("/broken/"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:-5])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its address and the folder that it serves."""
    folder = tmp_path_factory.mktemp("server")
    service = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=service.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{service.server_address[1]}", folder
    service.shutdown()
    service.server_close()


@pytest.fixture
def chosen(server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for weights on a bare machine; a toy file in the table, published by the server."""
    url, folder = server
    for file in folder.iterdir():
        file.unlink()
    for variable in ("HOME", "TORCH_HOME", "DEEPFACE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", OFFLINE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "chosen"))
    put(monkeypatch, WeightFile(NAME, "a toy", f"{url}/{NAME}", "CC0", len(CONTENT), digest(CONTENT)))
    return tmp_path / "chosen"


def put(monkeypatch: pytest.MonkeyPatch, file: WeightFile) -> None:
    monkeypatch.setitem(FILES, file.name, file)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["weights", *map(str, words)], catch_exceptions=True)


def rest(folder: Path) -> list[str]:
    """Every file below, hidden ones too: a transfer that failed leaves none."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------- list


def test_every_file_is_listed_with_what_one_must_know_of_it(
    chosen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    chosen.mkdir()
    (chosen / NAME).write_bytes(CONTENT)
    short = " ".join(call("list").output.split())
    assert f"{NAME} yes" in short
    assert "resnet50_ft_weight.pkl no 165 vggface2-resnet50," in short
    done = call("list", "--all")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert f"{NAME}  in {chosen}" in lines
    assert "resnet50_ft_weight.pkl  not here" in lines
    for words in (
        "165,000,856 bytes; licence: none stated",
        "used by vggface2-resnet50, vggface2-resnet50-rgb; sha256 9a954e40",
        "(by hand, in a browser)",
        "used by inception-2015; sha256 6726825d",
        "used by dinov2-vits14",
        f"folders: {chosen}",
    ):
        assert words in done.output


def test_the_files_of_deepface_are_in_the_list(chosen: Path) -> None:
    done = call("list", "--all")
    assert "deepface" in done.output
    assert all(f"{name}  " in done.output for name in all_files())


def test_the_list_needs_no_torch(chosen: Path) -> None:
    code = "import sys; from sf2f_bench.commands.main import main; main(['weights', 'list'], standalone_mode=False)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- a stranger's extractors


class Strangers:
    """Two extractors of another package, which share one file and have one more."""

    card = ExtractorCard(licence="MIT", files=("by-hand.pt",))

    @classmethod
    def card_of(cls, name: str) -> ExtractorCard:
        return replace(cls.card, files=(*cls.card.files, cls.address))


@pytest.fixture
def strangers(server: tuple[str, Path], chosen: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the file that they share."""
    Strangers.address = f"{server[0]}/their-net.pt#sha256={digest(CONTENT)}"
    shipped, get = Registry.targets, Registry.get

    def targets(self: Registry) -> dict[str, str]:
        return {**shipped(self), **({"one": "their:One", "two": "their:Two"} if self is EXTRACTORS else {})}

    monkeypatch.setattr(Registry, "targets", targets)
    monkeypatch.setattr(
        Registry, "get", lambda self, name: Strangers if name in ("one", "two") else get(self, name)
    )
    return "their-net.pt"


def test_the_files_of_a_plug_in_join_the_list(strangers: str) -> None:
    assert f"{strangers} no – one, two" in " ".join(call("list").output.split())
    done = call("list", "--all")
    assert done.exit_code == 0, done.output
    for words in (
        f"{strangers}  not here",
        "weights of two; size not known; licence: MIT",
        f"used by one, two; sha256 {digest(CONTENT)}",
        "by-hand.pt  not here",
    ):
        assert words in done.output


def test_a_file_of_a_plug_in_is_fetched_and_checked(
    strangers: str, chosen: Path, server: tuple[str, Path]
) -> None:
    (server[1] / strangers).write_bytes(CONTENT.swapcase())
    with pytest.raises(BenchError, match="is a different file: sha256"):
        fetch(strangers)
    (server[1] / strangers).write_bytes(CONTENT)
    assert fetch(strangers) == weights.weights_file(strangers) == chosen / strangers
    with pytest.raises(
        BenchError, match=r"has no known address.*get by-hand\.pt .see the package of one, two"
    ):
        fetch("by-hand.pt")


# ---------------------------------------------------------------- fetch


def test_a_good_file_arrives(chosen: Path, server: tuple[str, Path]) -> None:
    (server[1] / NAME).write_bytes(CONTENT)
    done = call("fetch", NAME)
    assert done.exit_code == 0, done.output
    assert done.output.strip().endswith(str(chosen / NAME))
    assert (chosen / NAME).read_bytes() == CONTENT
    assert rest(chosen) == [NAME]


def test_what_is_here_is_not_fetched_again(chosen: Path) -> None:
    chosen.mkdir()
    (chosen / NAME).write_bytes(CONTENT)
    assert fetch(NAME) == chosen / NAME  # the server has no such file


def test_a_wrong_file_that_is_here_is_replaced_where_it_lies(chosen: Path, server: tuple[str, Path]) -> None:
    (server[1] / NAME).write_bytes(CONTENT)
    common = weights.folders()[1]
    common.mkdir(parents=True)
    (common / NAME).write_bytes(b"something else")
    assert fetch(NAME) == common / NAME
    assert (common / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "mirror", "message"),
    [
        (CONTENT.swapcase(), "", "sent is a different file: sha256 .*; it was not kept"),
        (CONTENT[:-5], "", f"sent is truncated: {len(CONTENT) - 5} bytes, expected {len(CONTENT)}"),
        (CONTENT, "/broken", "cannot download .*/broken/toy.pt .*29 bytes read, 5 more expected"),
        (None, "", "cannot download .*404"),
    ],
)
def test_what_is_not_the_published_file_is_refused_and_leaves_nothing(
    chosen: Path, server: tuple[str, Path], content: bytes | None, mirror: str, message: str
) -> None:
    if content is not None:
        (server[1] / NAME).write_bytes(content)
    with pytest.raises(BenchError, match=message) as caught:
        fetch(NAME, f"{server[0]}{mirror}" if mirror else None)
    assert f"put it into {chosen}" in str(caught.value)
    assert rest(chosen) == []


def test_a_broken_transfer_is_noticed_without_a_published_size(
    chosen: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, WeightFile(NAME, "no size, no checksum", f"{server[0]}/broken/{NAME}", "CC0"))
    with pytest.raises(BenchError, match="5 more expected"):
        fetch(NAME)
    assert rest(chosen) == []


def test_everybody_may_read_what_was_fetched(chosen: Path, server: tuple[str, Path]) -> None:
    (server[1] / NAME).write_bytes(CONTENT)
    assert fetch(NAME).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("shared_disk", [False, True])
def test_a_mirror_takes_the_publishers_place(
    chosen: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, shared_disk: bool
) -> None:
    put(
        monkeypatch,
        WeightFile(NAME, "a toy", "https://drive.google.com/file/d/1", "CC0", None, digest(CONTENT)),
    )
    (server[1] / NAME).write_bytes(CONTENT)
    mirror = server[1].as_uri() if shared_disk else server[0]
    done = call("fetch", NAME, "--mirror", f"{mirror}/")
    assert done.exit_code == 0, done.output
    assert (chosen / NAME).read_bytes() == CONTENT


def test_what_only_a_browser_gets_is_not_tried(chosen: Path) -> None:
    with pytest.raises(
        BenchError, match=r"needs a browser.*By hand: get resnet50_ft_weight\.pkl from https"
    ) as e:
        fetch("resnet50_ft_weight.pkl")
    assert str(chosen) in str(e.value)


def test_offline_nothing_is_tried(
    chosen: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (server[1] / NAME).write_bytes(CONTENT)
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    with pytest.raises(
        BenchError, match=f"{OFFLINE_VARIABLE} is set.*get {NAME} from .* put it into {chosen}"
    ):
        fetch(NAME)
    monkeypatch.setenv(OFFLINE_VARIABLE, "0")
    assert fetch(NAME).read_bytes() == CONTENT


def test_without_a_network_the_file_and_the_folder_are_named(chosen: Path) -> None:
    address = "http://127.0.0.1:9"  # the port of `discard`, where nobody listens
    with pytest.raises(BenchError, match=f"cannot download {address}/{NAME} .*put it into {chosen}"):
        fetch(NAME, address)
    with pytest.raises(BenchError, match="example is no address: expected one like https"):
        fetch(NAME, "example")
    assert rest(chosen) == []


def test_a_packed_file_is_unpacked(
    chosen: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "toy.dat"
    put(monkeypatch, WeightFile(name, "a toy", f"{server[0]}/{name}.bz2", "CC0", None, digest(CONTENT)))
    (server[1] / f"{name}.bz2").write_bytes(bz2.compress(CONTENT))
    assert fetch(name).read_bytes() == CONTENT
    assert rest(chosen) == [name]
    for content in (b"not packed", bz2.compress(CONTENT)[:-9]):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(BenchError, match="no complete bzip2 file"):
            unpack(tmp_path / "x")
        assert not (tmp_path / "x.unpacked").exists()


def test_an_unknown_name_gets_the_nearest_one(chosen: Path) -> None:
    with pytest.raises(BenchError, match=r"did you mean 'toy\.pt'"):
        fetch("toys.pt")


# ---------------------------------------------------------------- import


@pytest.mark.parametrize("name", [NAME, "toy (1).pt", "renamed"])
def test_the_published_file_is_known_by_its_content(chosen: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CONTENT)
    done = call("import", tmp_path / name)
    assert done.exit_code == 0, done.output
    assert (chosen / NAME).read_bytes() == CONTENT
    assert take_in(chosen / NAME) == chosen / NAME  # what lies there already may be given again


def test_a_conversion_is_known_by_its_name(chosen: Path, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "toy.safetensors")
    assert take_in(tmp_path / "toy.safetensors") == chosen / "toy.safetensors"
    (tmp_path / "toy.safetensors").write_bytes(b"damaged")
    with pytest.raises(BenchError, match="cannot be read as weights"):
        take_in(tmp_path / "toy.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [(CONTENT[:-1], "is truncated"), (CONTENT.swapcase(), "is a different file: sha256")],
)
def test_a_known_name_with_other_content_is_refused(
    chosen: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(BenchError, match=message):
        take_in(tmp_path / NAME)
    assert not chosen.exists()


class RunsCode:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("name", ["open.pt", "open.pth", "open.pkl"])
def test_a_hostile_file_that_no_checksum_stops_is_refused_and_does_not_run(
    chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    put(monkeypatch, WeightFile(name, "no checksum", "https://example.org", "CC0"))
    trap = tmp_path / "trap"
    content = {"weight": RunsCode(trap)}
    if name.endswith("pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(content, 2))
    else:
        torch.save(content, tmp_path / name)
    with pytest.raises(BenchError, match=r"more than tensors|mkdir.*could run code"):
        take_in(tmp_path / name)
    assert not trap.exists()
    assert not chosen.exists()


def test_a_strange_file_is_refused_with_the_names_that_are_known(chosen: Path, tmp_path: Path) -> None:
    (tmp_path / "strange.pt").write_bytes(b"anything")
    done = call("import", tmp_path / "strange.pt")
    assert done.exit_code == 2
    with pytest.raises(BenchError, match=rf"neither its name nor its content .*{NAME}.*--model"):
        take_in(tmp_path / "strange.pt")
    with pytest.raises(BenchError, match="there is no file"):
        take_in(tmp_path / "nothing.pt")


# ---------------------------------------------------------------- verify


def test_all_files_that_are_here_are_read_again(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, WeightFile("open.bin", "no checksum", "https://example.org", "CC0"))
    chosen.mkdir()
    (chosen / NAME).write_bytes(CONTENT)
    (chosen / "open.bin").write_bytes(b"anything")
    save_file({"x": torch.zeros(1)}, chosen / "toy.safetensors")
    done = call("verify")
    assert done.exit_code == 0, done.output
    assert f"{chosen / NAME}  good\n  sha256 {digest(CONTENT)}" in done.output
    for name in ("open.bin", "toy.safetensors"):
        assert f"{chosen / name}  no published checksum to compare with" in done.output
    assert done.output.count("embedded-judge.safetensors  good") == 1


def test_a_wrong_file_is_found_wherever_it_lies_and_fails_the_command(
    chosen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen.mkdir()
    (chosen / NAME).write_bytes(CONTENT)
    common = weights.folders()[1]
    common.mkdir(parents=True)
    (common / NAME).write_bytes(CONTENT.swapcase())
    assert {found.path: found.wrong is None for found in verify() if found.path.name == NAME} == {
        chosen / NAME: True,
        common / NAME: False,
    }
    done = call("verify")
    assert done.exit_code == 2
    assert f"{common / NAME}  is a different file" in done.output
    monkeypatch.setenv(FOLDER_VARIABLE, str(common))  # the same folder twice is read once
    assert len([found for found in verify() if found.path.name == NAME]) == 1


def test_a_damaged_file_of_the_package_is_found(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sf2f_bench.extractors import embedded

    monkeypatch.setattr(embedded, "path_of", lambda spec: chosen / spec.filename)
    chosen.mkdir()
    (chosen / "embedded-judge.safetensors").write_bytes(b"damaged")
    states = {found.path.name: found.wrong for found in verify() if found.path.name.startswith("embedded")}
    names = ("judge", "judge-2", "perceptual", "traits")
    assert states.keys() == {f"embedded-{name}.safetensors" for name in names}
    assert all("is not the file of this release" in str(wrong) for wrong in states.values())
