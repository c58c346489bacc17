"""Plug-ins: from a name to an object that keeps its contract; a plug-in's own faults as one line."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from textwrap import shorten
from typing import Any

from sf2f_bench.registry import sources
from sf2f_bench.types import (
    AttributeJudge,
    AudioFrontend,
    BenchError,
    Dataset,
    DatasetCard,
    ExtractorCard,
    FeatureExtractor,
    Metric,
    MetricCard,
    ModelCard,
    SpeechToFace,
)

FILE = "file:"  # begins the name of a module that was loaded from a file
LONGEST = 300  # characters of an exception's own message


class Registry:
    """Names to objects, imported only when asked for.

    kind: what an entry is ("model"), for messages; group: the entry-point group that extends it; contract: the
    Protocol that what an entry makes must keep; card: the type of its card, where it has one.
    """

    def __init__(self, kind: str, group: str, contract: type, card: type | None = None) -> None:
        self.kind, self.group, self.contract, self.card = kind, group, contract, card

    def entries(self) -> dict[str, EntryPoint]:
        """Every installed plug-in, sorted by name. Raises BenchError where two packages claim one name."""
        found: dict[str, EntryPoint] = {}
        for entry in sorted(entry_points(group=self.group), key=lambda entry: entry.name):
            other = found.setdefault(entry.name, entry)
            if other is not entry and (other.value, owner_of(other)) != (entry.value, owner_of(entry)):
                raise BenchError(
                    f"the {self.kind} name {entry.name!r} is claimed twice, by {owner_of(other)} ({other.value}) and "
                    f"by {owner_of(entry)} ({entry.value}): uninstall one of the two packages (pip uninstall "
                    f"{owner_of(entry)}), or have its author choose another name in its entry points"
                )
        return found

    def targets(self) -> dict[str, str]:
        """``{name: "module:Name"}`` of every installed plug-in, sorted by name."""
        return {name: entry.value for name, entry in self.entries().items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries())

    def installed_as(self, name: str) -> str | None:
        """The installed plug-in that a reader would take this name for: case and blanks around it do not matter."""
        return next((known for known in self.entries() if known.casefold() == name.strip().casefold()), None)

    def get(self, name: str) -> Any:
        """The object behind a name, or behind ``path/to/mine.py:Mine``.

        Raises BenchError with the nearest names where there is none of this name, and with file and line where
        its module cannot be imported.
        """
        if is_file(name):
            return self._from_file(name)
        entries = self.entries()
        if name not in entries:
            raise BenchError(unknown(self.kind, name, list(entries)))
        return self.load(entries[name])

    def load(self, entry: EntryPoint) -> Any:
        """The object behind an entry point; see `get`."""
        module, _, attribute = entry.value.partition(":")
        owner = f"{self.kind} {entry.name!r} of the package {owner_of(entry)}"
        with plugin_faults():
            try:
                found = importlib.import_module(module)
            except ModuleNotFoundError as error:
                if not f"{module}.".startswith(f"{error.name}."):
                    raise
                raise BenchError(
                    f"{owner}: there is no module {error.name}; install the package again"
                ) from error
        sources.remember_package(found, sys.modules[module.partition(".")[0]], entry.dist)
        return _attribute(found, attribute, f"{owner} ({module})")

    def _from_file(self, name: str) -> Any:
        file, _, attribute = name.rpartition(":")
        if not Path(file).is_file():
            raise BenchError(
                f"{self.kind} {name}: there is no file {file}; expected path/to/file.py:ClassName"
            )
        with plugin_faults():
            return _attribute(_module_of(Path(file)), attribute, f"{self.kind} {name}: {file}")

    def build(self, name: str, *arguments: Any) -> Any:
        """What the entry makes of the arguments. Raises BenchError where it fails or does not keep the contract."""
        return self.check(name, self.call(name, self.get(name), *arguments))

    def by_family(self, name: str) -> Any:
        """What the family of a name makes of it: ``deepface:Dlib`` is made by `deepface`; see `build`."""
        return self.check(name, self.call(name, self.get(family_of(name)), name))

    def call(self, name: str, target: Any, *arguments: Any) -> Any:
        """`target`, the entry of this name, called; its exceptions, and other parameters, as one line."""
        with plugin_faults():
            try:
                made = target(*arguments)
            except TypeError as error:
                if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                    raise  # from inside
                given = ", ".join(type(argument).__name__ for argument in arguments) or "nothing"
                raise BenchError(
                    f"{self.kind} {name}: {place_of(target)} cannot be made from {given}: {error}"
                ) from error
        self.mark(name, made)
        return made

    def mark(self, name: str, *made: Any) -> None:
        """Remember of what the entry of this name made where its code comes from."""
        source = self._source_of(name)
        for thing in made:
            sources.mark(thing, source)

    def _source_of(self, name: str) -> str:
        """See `sources.source_of`; of the entry of a name, which has been loaded."""
        if is_file(name):
            return sources.source_of_module(_module_name(Path(name.rpartition(":")[0])))
        entry = self.entries().get(family_of(name))
        return sources.source_of_module(entry.value.partition(":")[0]) if entry else ""

    def check(self, name: str, thing: Any, contract: type | None = None) -> Any:
        """The plug-in's object; BenchError that names what it is missing of its contract, or of another one."""
        contract = contract or self.contract
        if (fault := self._fault(thing, contract, members_of(contract))) is not None:
            remedy = f"change it, see {contract.__name__} in sf2f_bench.types"
            raise BenchError(f"{self.kind} {name}: {place_of(thing)} {fault}: {remedy}")
        return thing

    def _fault(self, thing: Any, contract: type, members: dict[str, Any]) -> str | None:
        if missing := [member for member in members if not hasattr(thing, member)]:
            return f"has no {', '.join(missing)}"
        for member, template in members.items():
            if inspect.isfunction(template) and not _accepts(getattr(thing, member), template):
                return f"cannot be called as {member}{inspect.signature(template)}"
        for member, kind in members_of_kind(contract):
            if not isinstance(getattr(thing, member), kind):
                return f"has a {member} that is {described(getattr(thing, member))}, expected {kind.__name__}"
        if "frontend" in members and (
            fault := self._fault(thing.frontend, AudioFrontend, members_of(AudioFrontend))
        ):
            return f"has a frontend that {fault}"
        card = getattr(thing, "card", None)
        if self.card and ("card" in members or card is not None) and not isinstance(card, self.card):
            return f"has a card that is {described(card)}, expected a {self.card.__name__}"
        return None if card is None or self.card is None else _fault_of_card(card)


def _fault_of_card(card: Any) -> str | None:
    """What in a card a record could not hold: known before anything is trained."""
    from pydantic import ValidationError

    try:
        _adapter(card.__class__).validate_python(vars(card))
    except ValidationError as error:
        (fault, *_) = error.errors()
        name = ".".join(map(str, fault["loc"]))
        return f"has a card whose {name} is {fault['input']!r}: {fault['msg']}"
    return None


@cache
def _adapter(kind: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def members_of_kind(contract: type) -> list[tuple[str, type]]:
    """The attributes of a Protocol that are texts or flags."""
    kinds = {"str": str, "bool": bool}
    return [
        (name, kinds[said])
        for name, said in getattr(contract, "__annotations__", {}).items()
        if said in kinds
    ]


@cache
def members_of(contract: type) -> dict[str, Any]:
    """Attributes (None) and methods (the Protocol's own functions) that a Protocol asks for."""
    methods = {
        name: value
        for name, value in vars(contract).items()
        if (inspect.isfunction(value) or isinstance(value, property))
        and (not name.startswith("_") or name == "__call__")
    }
    return dict.fromkeys(contract.__annotations__) | methods


def _accepts(method: Any, template: Any) -> bool:
    """Whether a bound method can be called as the Protocol's function is."""
    own = list(inspect.signature(template).parameters.values())[1:]
    keywords = {part.name: None for part in own if part.kind is part.KEYWORD_ONLY}
    try:
        inspect.signature(method).bind(*[None] * (len(own) - len(keywords)), **keywords)
    except TypeError:
        return False
    except ValueError:  # of a compiled function, whose parameters cannot be known
        return True
    return True


def extractor_named(name: str) -> FeatureExtractor:
    """The extractor of that name, of a family (``deepface:Dlib``), or of a file (``mine.py:Mine``).

    Raises BenchError for an unknown name and a faulty plug-in, Unavailable where its weights or its package are not
    installed.
    """
    return EXTRACTORS.by_family(name)


def extractor_card(name: str, registry: Registry | None = None) -> ExtractorCard:
    """The card of an extractor (or of a judge, by its registry), which is not made: its weights may be missing.

    One made under several names has a class method ``card_of(name)``, any other a class attribute `card`; a
    plug-in without either gets the defaults. Raises BenchError for an unknown name.
    """
    made_by = (registry or EXTRACTORS).get(family_of(name))
    if hasattr(made_by, "card_of"):
        return made_by.card_of(name)
    return getattr(made_by, "card", ExtractorCard())


def installed_metrics(
    gallery_size: int, ks: Sequence[int], identities: int, further: Sequence[str] = ()
) -> list[Metric]:
    """The metrics of all installed sets, for galleries of this size, these k and so many test identities.

    further: ``mine.py:Mine``, a metric's class that is made without arguments, or ``mine.py:metrics``, the function
    of a set. Raises BenchError for a set that cannot be made, a metric that does not keep the contract, and for two
    metrics of one name.
    """
    found: dict[str, Metric] = {}
    for name in dict.fromkeys((*METRICS, *further)):
        make = METRICS.get(name)
        if isinstance(make, type):
            metrics = [METRICS.call(name, make)]
        else:
            metrics = METRICS.call(name, make, gallery_size, ks, identities)
        if not isinstance(metrics, list | tuple):
            raise unfit(f"{METRICS.kind} {name}", make, metrics, "a list of metrics")
        for metric in metrics:
            METRICS.check(name, metric)
            if (other := found.setdefault(metric.name, metric)) is not metric:
                places = " and ".join(map(place_of, (other, metric)))
                raise BenchError(f"two metrics are called {metric.name}, {places}: rename one of them")
        METRICS.mark(name, *metrics)
    return list(found.values())


def place_of(thing: Any) -> str:
    """``Mine (mine.py:12)``: where a class or function, or the class of anything else, is defined."""
    if not hasattr(thing, "__qualname__"):
        thing = type(thing)
    thing = inspect.unwrap(thing)  # not the decorator that it stands under
    try:
        place = f"{_shown(str(inspect.getsourcefile(thing)))}:{inspect.getsourcelines(thing)[1]}"
    except (OSError, TypeError):
        place = getattr(thing, "__module__", "no module")
    return f"{thing.__qualname__} ({place})"


def family_of(name: str) -> str:
    """``deepface:Dlib`` -> ``deepface``; the name itself where it is of no family, or of a file."""
    return name if is_file(name) else name.partition(":")[0]


def is_file(name: str) -> bool:
    """Whether a name is of a file: ``path/to/mine.py:Mine``."""
    return ".py:" in name


def _module_name(file: Path) -> str:
    return f"{FILE}{str(file.resolve()).replace('.', '_')}"


class _FromSource(SourceFileLoader):
    """Never from compiled code: that is known by size and whole second alone, so a quick edit would go unnoticed."""

    def path_stats(self, path: str) -> Any:
        """Raise OSError, which makes Python read the source and keep nothing compiled."""
        raise OSError


@contextmanager
def _nothing_compiled_is_kept() -> Iterator[None]:
    """For the modules beside a file, which it imports itself."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _module_of(file: Path) -> Any:
    """The module in a file, named by its path; one that was imported before is not imported again."""
    name = _module_name(file)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file, loader=_FromSource(name, str(file)))
    assert spec is not None
    assert spec.loader is not None
    import cloudpickle

    sources.remember_file(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _nothing_compiled_is_kept():
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SyntaxError) and not error.filename:  # null bytes
            error.filename, error.lineno = str(file), 1
        raise
    # Workers that prepare data cannot import a file by its path: its classes travel with them.
    cloudpickle.register_pickle_by_value(module)
    return module


def _attribute(module: Any, attribute: str, whose: str) -> Any:
    if not hasattr(module, attribute):
        raise BenchError(f"{whose} has no class {attribute}")
    return getattr(module, attribute)


def owner_of(entry: EntryPoint) -> str:
    """The name of the package that brings a plug-in."""
    return entry.dist.name if entry.dist is not None else "an unnamed package"


# ---------------------------------------------------------------- faults


def unfit(what: str, made_by: Any, came: Any, wanted: str) -> BenchError:
    """The error for a plug-in that gave something else than its contract says."""
    return BenchError(
        f"{what}: {place_of(made_by)} gave {described(came)}, expected {wanted}; the checks of sf2f_bench.testing show "
        "such faults in seconds"
    )


def described(thing: Any) -> str:
    """``float32 [3, 64]`` of an array or a tensor, the type of anything else."""
    if hasattr(thing, "dtype") and hasattr(thing, "shape"):
        return f"{thing.dtype} {list(thing.shape)}"
    if isinstance(thing, tuple | list):
        return f"{type(thing).__name__} of {', '.join(map(described, thing)) or 'nothing'}"
    return "nothing" if thing is None else type(thing).__name__


@contextmanager
def plugin_faults() -> Iterator[None]:
    """What a plug-in's own code raises inside, as a BenchError of one line with its file and line.

    BenchErrors pass unchanged, and so do exceptions of the harness itself: of these a traceback is wanted.
    """
    try:
        yield
    except BenchError:
        raise
    except (Exception, SystemExit) as error:  # a plug-in that ends the program would end it without a word
        if (fault := fault_of(error)) is None:
            raise
        raise BenchError(fault) from error


def fault_of(error: BaseException) -> str | None:
    """``mine.py:43, in Mine.fit: ValueError: ...``; None where no plug-in took part.

    The line is the innermost one of a plug-in; the method is the one that the harness called.
    """
    plugins, ours = _plugin_packages(), __name__.partition(".")[0]
    line = method = beyond = ""
    called = False  # the innermost frame so far is a plug-in's, or of a library that it called
    for frame, number in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        place = f"{_shown(frame.f_code.co_filename)}:{number}"
        if frame.f_code.co_filename.startswith("<"):  # code that was made, such as a dataclass's __init__
            continue
        if module.startswith(FILE) or module.partition(".")[0] in plugins:
            method = method if called else frame.f_code.co_qualname
            line, called, beyond = place, True, ""
        elif module.partition(".")[0] == ours:
            called, beyond = False, place
    if isinstance(error, SyntaxError) and Path(error.filename or "").is_file():
        line, method, beyond = f"{_shown(str(error.filename))}:{error.lineno}", "", ""
    if not line:
        return None
    inside = f", in {method}" if method not in ("", "<module>") else ""
    text = shorten(str(error), LONGEST, placeholder=" ...")
    further = f" (raised at {beyond}, which this line called)" if beyond else ""
    remedy = "correct this line of the plug-in"
    if isinstance(error, ModuleNotFoundError):
        remedy = f"install the package that brings {error.name}"
    return (
        f"{line}{inside}: {type(error).__name__}: {text}{further}; {remedy}, then give the same command again "
        "(--traceback shows every call)"
    )


def _plugin_packages() -> set[str]:
    """The packages that bring the installed plug-ins, without sf2f_bench itself."""
    values = (entry.value for registry in REGISTRIES for entry in entry_points(group=registry.group))
    return {value.partition(":")[0].partition(".")[0] for value in values} - {__name__.partition(".")[0]}


def _shown(file: str) -> str:
    """A path from the working folder where the file lies in it."""
    path = os.path.relpath(file) if os.path.isabs(file) else file
    return file if path.startswith(os.pardir) else path


# ---------------------------------------------------------------- names


def unknown(kind: str, name: str, known: list[str]) -> str:
    """The message for a name that is not known: the nearest ones, else all of them."""
    plain = {other.casefold(): other for other in known}
    near = [plain[word] for word in difflib.get_close_matches(name.casefold(), plain, n=3, cutoff=0.5)]
    near = near or [other for word, other in plain.items() if name.casefold() in word][:3]
    hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"known: {', '.join(known)}."
    return f"unknown {kind} {name!r}: {hint}"


MODELS = Registry("model", "sf2f_bench.models", SpeechToFace, ModelCard)
DATASETS = Registry("data set", "sf2f_bench.datasets", Dataset, DatasetCard)
# A family by its first part: "deepface:Dlib".
EXTRACTORS = Registry("extractor", "sf2f_bench.extractors", FeatureExtractor, ExtractorCard)
ATTRIBUTE_JUDGES = Registry("attribute judge", "sf2f_bench.attribute_judges", AttributeJudge)
# (gallery size, ks, identities) -> list of Metric
METRICS = Registry("set of metrics", "sf2f_bench.metrics", Metric, MetricCard)
REGISTRIES = (MODELS, DATASETS, EXTRACTORS, ATTRIBUTE_JUDGES, METRICS)
