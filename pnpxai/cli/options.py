"""Declares each option once, for the commands that take it and for the file that holds options."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import pydantic
import typer
import yaml
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError
from typer.models import ArgumentInfo, ParameterInfo

__all__ = ["Named", "Options", "OptionsFile", "first_wrong", "spelled"]


class Options(pydantic.BaseModel):
    """Options of a command: one field each; the docstring below a field is its help, ``typer.Option`` its spelling."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, protected_namespaces=(), use_attribute_docstrings=True
    )

    def after_interruption(self) -> str:
        """Return what remains of the work if Ctrl-C ends it, and what goes on with it."""
        return "nothing is kept"


def first_wrong(invalid: pydantic.ValidationError) -> tuple[str, str, bool]:
    """Return the first wrong option, the expected value in words, and whether there is no such option."""
    errors = invalid.errors()
    name = errors[0]["loc"][0]
    messages = [e["msg"][0].lower() + e["msg"][1:] for e in errors if e["loc"][0] == name]
    others = [message.removeprefix("input should be ") for message in messages[1:]]
    return str(name), " or ".join(dict.fromkeys([messages[0], *others])), errors[0]["type"] == "extra_forbidden"


def spelled(kind: type[Options], name: str) -> str:
    """Return how the command line spells an option."""
    marks = [mark for mark in kind.model_fields[name].metadata if isinstance(mark, ParameterInfo)]
    if marks and isinstance(marks[0], ArgumentInfo):
        return name
    own = [mark.default for mark in marks if isinstance(mark.default, str)]
    return own[0] if own else f"--{name.replace('_', '-')}"


def _with_settings(value: object) -> object:
    """Return a name with its settings as a mapping, of ``{SmoothGrad: {n_iter: 50}}`` on the command line."""
    return yaml.safe_load(value) if isinstance(value, str) and value.lstrip().startswith("{") else value


def _numbers(separator: str, kind: type) -> BeforeValidator:
    """Return a validator that makes numbers of ``0.4,0.5`` or ``224x320``."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            numbers = [kind(part) for part in value.split(separator)]
        except ValueError:
            return value
        return numbers[0] if len(numbers) == 1 else numbers

    return BeforeValidator(read)


def _known_modality(name: str) -> str:
    """Return the name of a modality, if a class has it."""
    from pnpxai.declare.registry import every  # imports torch, so only where a modality is named
    from pnpxai.modalities import Modality, SeveralModalities

    *names, last = (cls.name for cls in every(Modality) if cls is not SeveralModalities)
    if name not in (*names, last):
        listed = f"{', '.join(map(repr, names))} or {last!r}"
        raise PydanticCustomError("modality", "Input should be {listed}", {"listed": listed})
    return name


Named: TypeAlias = Annotated[str | dict[str, dict[str, Any]], BeforeValidator(_with_settings)]
"""A class's name, or the name with settings: ``{SmoothGrad: {n_iter: 50}}``."""
Level: TypeAlias = Literal["imagenet"] | float | list[float]
Side: TypeAlias = Annotated[int, Field(ge=1)]
Sides: TypeAlias = Annotated[list[Side], Field(min_length=2, max_length=2)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
_LISTED = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)


class Subject(Options):
    """Model and data."""

    model: Annotated[str | None, typer.Argument()] = None
    """``module:attribute``, a Python file that defines a model (``file.py``, ``file.py:attribute``), or a name that
    torchvision or timm knows, such as resnet50 (with its own scaling and classes)."""
    data: Annotated[Annotated[list[str], _LISTED] | None, typer.Argument()] = None
    """Pictures (files, folders, patterns such as 'photos/*.jpg'), or one .npy, .npz, .csv, .parquet or .txt file, or
    ``module:attribute``."""
    weights: Annotated[str | None, typer.Option(metavar="FILE")] = None
    """The model's weights: a state dict as .safetensors, .pt or .pth (read without running code)."""
    device: str | None = None
    """Where the model runs, such as cuda; by default where it is."""
    modality: Annotated[Annotated[str, AfterValidator(_known_modality)] | None, typer.Option(metavar="KIND")] = None
    """image, text, table, series, graph, or the name of another modality; by default the data tells."""
    label: Annotated[str | None, typer.Option(metavar="NAME")] = None
    """The column or array that holds true classes; of a .npz by default y, labels or label."""
    inputs: Annotated[list[str] | None, typer.Option("--input", metavar="NAME")] = None
    """The columns or arrays that the model takes, in its order; by default all others."""
    class_names: Annotated[str | list[str] | None, typer.Option(metavar="FILE")] = None
    """The model's classes in the order of its outputs: a file with one on each line."""
    feature_names: Annotated[str | list[str] | None, typer.Option(metavar="FILE")] = None
    """Names of columns or channels, one on each line; by default a table's own."""
    tokenizer: Annotated[str | None, typer.Option(metavar="WHERE")] = None
    """``module:attribute`` of what makes ids of texts."""
    layer: Annotated[str | None, typer.Option(metavar="NAME")] = None
    """Explain the values at this layer of the model."""
    target: Annotated[int | str | list[int] | None, _numbers(",", int), typer.Option(metavar="TARGET")] = None
    """Explain this output: a number, several (3,5,5), or a target as Python writes it, such as 'Contrast(282, 281)'; by
    default the largest of each example."""
    target_labels: Annotated[bool, typer.Option("--target-labels")] = False
    """Explain the true classes instead."""


class Scaling(Options):
    """Pictures in a folder."""

    resize: Side | None = None
    """Scale them so that the shorter side has so many pixels."""
    size: Annotated[Side | Sides | None, _numbers("x", int), typer.Option(metavar="N|HxW")] = None
    """Scale them to this height and width; after ``--resize``, cut it out of the middle."""
    mean: Annotated[Level | None, _numbers(",", float), typer.Option(metavar="X,...")] = None
    """Subtracted from values of 0 to 1, one number or one for each channel; imagenet for its usual mean and std."""
    std: Annotated[Level | None, _numbers(",", float), typer.Option(metavar="X,...")] = None
    """What is then divided by."""
    transform: Annotated[str | None, typer.Option(metavar="WHERE")] = None
    """``module:attribute`` of what makes a tensor of a PIL picture, in place of all these."""


class Sample(Options):
    """Examples, explainers and metrics."""

    count: Count | None = None
    """How many examples, from the first; by default all (8 to explain, 64 to tune on)."""
    seed: int = 0
    """Fixes all that is drawn at random."""


class Explainers(Options):
    """Examples, explainers and metrics."""

    explainers: Annotated[list[Named] | None, typer.Option("--explainer", "-e", metavar="NAME")] = None
    """A name, file.py:Class, or '{SmoothGrad: {n_iter: 50}}'; several times for several; by default all that fit."""


class Metrics(Options):
    """Examples, explainers and metrics."""

    metrics: Annotated[list[Named] | None, typer.Option("--metric", "-m", metavar="NAME")] = None
    """A name, file.py:Class, or a name with settings; several times for several."""


class SearchLimits(Options):
    """Search."""

    n_trials: Count | None = None
    """How many settings are tried (for each explainer); by default 20 to tune, 10 to rank."""
    budget: Annotated[int | str | None, _numbers(",", int), typer.Option(metavar="AMOUNT")] = None
    """What it may cost: 90s, 5min, '300 trials'; to rank also '20000 rows' through the model."""
    storage: Annotated[str | None, typer.Option(metavar="PLACE")] = None
    """Where trials are kept, so that the same command goes on, and several share the work: a folder, a .db or .journal
    file, or the URL of a database."""

    def after_interruption(self) -> str:
        """Return where trials are, if they are kept."""
        if self.storage is None:
            return "nothing is kept: with --storage the same command would go on"
        return f"trials are kept in {self.storage}; the same command goes on"


class Tuning(Options):
    """Search."""

    sampler: Annotated[str, typer.Option(metavar="NAME")] = "auto"
    """tpe, random, grid, brute_force, gp, cma-es, qmc, or auto."""
    together: Annotated[bool, typer.Option("--together")] = False
    """Search which explainer, too: one search over all that are named, or that fit."""


class Workers(Options):
    """Work and results."""

    workers: Count = 1
    """How many processes do the work; to tune, they need ``--storage``."""


class Comparing(Options):
    """Work and results."""

    tuned: Annotated[str | None, typer.Option(metavar="FILE")] = None
    """A file that tune or rank wrote: compare what was found, too."""
    keep: Annotated[int, Field(ge=0)] = 16
    """How many examples' maps are kept."""
    controls: Annotated[bool, typer.Option(" /--no-controls")] = True
    """Leave out the maps that ignore the model."""


class Prompting(Options):
    """What a language model writes."""

    prompt: Annotated[str | None, typer.Option(metavar="FILE")] = None
    """Explain what a language model writes: a text file with the prompt, or JSON with messages, with question and
    sources, or with template and values. MODEL is then a local folder as transformers saves it."""
    response: str | None = None
    """The response to be explained; by default what the model writes."""
    units: Literal["auto", "token", "word", "sentence", "slot", "source", "turn"] = "auto"
    """What is explained of a prompt: token, word, sentence, slot, source, turn."""
    response_units: Literal["token", "word", "sentence", "response"] = "word"
    """What is explained of a response: token, word, sentence, response."""
    max_tokens: Count = 32
    """How many tokens the model writes."""


class Output(Options):
    """Work and results."""

    out: Annotated[str | None, typer.Option(metavar="PATH")] = None
    """Where to write: a folder (explain, compare), or a .json file (tune, rank)."""


class Run(Options):
    """Report."""

    folder: Annotated[str, typer.Argument()]
    """A run folder, which compare wrote."""
    title: str | None = None
    """The page's heading."""
    out: Annotated[str | None, typer.Option(metavar="FILE")] = None
    """The file; by default report.html in the folder."""


class Demo(Options):
    """Demo."""

    photos: Annotated[bool, typer.Option("--photos")] = False
    """Explain photographs by a network trained on ImageNet, which comes with the extra demo, instead."""
    n_trials: Count = 15
    """Trials for each tuned explainer."""
    n_images: Annotated[int, Field(ge=32, le=240)] = 64
    """Held-out digits to compare on, 32 to 240."""
    seed: int = 0
    """Fixes everything; another seed gives another run."""
    out: Annotated[str, typer.Option(metavar="FOLDER")] = "pnpxai-demo"
    """Where to write."""


class OnData(Subject, Scaling):
    """What all commands on a model and data take."""


class AtAGlance(Options):
    """Examples, explainers and metrics."""

    quick: Annotated[bool, typer.Option("--quick")] = False
    """Of pictures, show the likeliest class by three explainers; otherwise three classes by five."""
    every: Annotated[bool, typer.Option("--all")] = False
    """Of pictures too, explain by every explainer that fits, each into its own folder."""


class Explain(OnData, Sample, Explainers, AtAGlance, Prompting, Output):
    """What explain takes."""

    def after_interruption(self) -> str:
        """Return where finished explainers are."""
        return f"explainers that were finished are in {self.out or 'pnpxai-explanations'}; the others begin anew"


class Tune(OnData, Sample, Explainers, Metrics, SearchLimits, Tuning, Workers, Output):
    """What tune takes."""


class Rank(OnData, Sample, Explainers, Metrics, SearchLimits, Output):
    """What rank takes."""


class Compare(OnData, Sample, Explainers, Metrics, Comparing, Workers, Output):
    """What compare takes."""

    def after_interruption(self) -> str:
        """Return where the run is."""
        return f"what was measured is kept in {self.out or 'pnpxai-run'}; the same command goes on"


class OptionsFile(Tune, Compare, Explain):
    """What a file of options may hold: what any command that takes one does."""
