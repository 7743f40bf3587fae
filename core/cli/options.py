"""Options that commands share, and commands that take them as whole values. Imports no torch.

`grouped` gives a command one option per field of every parameter that is annotated with a dataclass: one of the groups
below, or any settings that are declared with `core.options.option`; a subclass of those that names some in `shown`
leaves the others at their defaults. So a hyper-parameter's range and help are written where it is declared, and nowhere
else.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, get_type_hints

import typer

from core.config import MAX_REFERENCES
from core.engines import registry
from core.engines.base import TrainingConfig
from core.engines.fewshot_gan.config import NAME as FEW_SHOT_GAN
from core.evaluate.plans import NetworkChoice, TrainingPlan
from core.options import Option, options_of
from core.progress import OnProgress

if TYPE_CHECKING:
    from core.evaluate.metric_networks import MetricNetworks
    from core.imaging.listing import Listed
    from core.metrics.own_networks import OwnNetworks
    from core.studio import Studio

_STYLE = "The style picture(s)"
_TRAINING = "Training"
_RUN = "Running"
Command = TypeVar("Command", bound=Callable[..., None])

CropMode = Literal["detect", "aligned"]
Crop = Annotated[CropMode, typer.Option(help="Find the face, or take photos as aligned crops.")]
Reference = Annotated[
    list[Path] | None,
    typer.Option("--reference", help=f"Style picture with a face; up to {MAX_REFERENCES}.", rich_help_panel=_STYLE),
]
ReferenceCrop = Annotated[
    CropMode | None,
    typer.Option(help="Find the references' faces (default), or take them as aligned crops.", rich_help_panel=_STYLE),
]
StyleName = Annotated[
    str | None,
    typer.Option("--style", help="A ready-made style's name (see `styles`), or a style file.", rich_help_panel=_STYLE),
]
Save = Annotated[Path, typer.Option(help="Folder for what this makes.")]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help=f"Engine ({', '.join(entry.name for entry in registry.entries())}); the app's by default.",
        rich_help_panel=_RUN,
    ),
]
JsonOutput = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, no progress.", rich_help_panel=_RUN)
]


@contextmanager
def refused_values() -> Iterator[None]:
    """Turn a ValueError of settings into a usage error."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _known_models() -> str:
    names = dict.fromkeys(name for entry in registry.entries() for name in entry.variants)
    return f"[{'|'.join(('auto', *names))}]"


@dataclasses.dataclass(frozen=True)
class Running:
    """Which engine runs, and where."""

    engine: EngineName = None
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar=_known_models(),
            help="Which of the engine's models; what suits by default.",
            show_default="auto",
            rich_help_panel=_RUN,
        ),
    ] = None
    device: Annotated[str | None, typer.Option(help="PyTorch device; chosen by default.", rich_help_panel=_RUN)] = None

    def entry(self) -> registry.EngineEntry:
        """Return the engine's entry. Raises EngineUnknown."""
        return registry.entry(self.engine)

    def open(self, on_progress: OnProgress) -> Studio:
        """Load the engine. Raises as `Studio.open`, and a usage error for a model that it lacks."""
        from core.studio import Studio

        with refused_values():
            return Studio.open(self.engine, backbone=self.backbone, device=self.device, on_progress=on_progress)


def only_few_shot_gan(engine: str | None) -> None:
    """Refuse an engine whose inside can't be looked into, or that lacks the paper's methods. Raises EngineUnknown."""
    if (chosen := registry.entry(engine).name) != FEW_SHOT_GAN:
        raise typer.BadParameter(
            f"this measures what only the engine '{FEW_SHOT_GAN}' has, and '{chosen}' is chosen; "
            f"add --engine {FEW_SHOT_GAN}"
        )


@dataclasses.dataclass(frozen=True)
class PhotoSet:
    """Photos to measure with, and how they are cut."""

    photos: Annotated[Path, typer.Option(help="Folder of photos or aligned crops.")]
    index: Annotated[
        Path | None, typer.Option(help="CSV with file, source, split, colour; found beside the photos.")
    ] = None
    split: Annotated[str | None, typer.Option(help="Only this split of the index.")] = None
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many photos, evenly spread.")] = None
    crop: Crop = "detect"

    def listed(self) -> list[Listed]:
        """List them. Raises PicturesUnusable."""
        from core.imaging.listing import list_photos

        return list_photos(self.photos, index=self.index, split=self.split, limit=self.limit)


OracleFolder = Annotated[
    Path | None,
    typer.Option("--oracles", help="Folder with your own metric networks (ONNX recogniser, SqueezeNet features)."),
]


@dataclasses.dataclass(frozen=True)
class Networks:
    """Which networks measure."""

    oracles: OracleFolder = None
    judges: Annotated[
        NetworkChoice,
        typer.Option(
            help="Stand-ins that ship, published networks (downloads them), or the published ones already here."
        ),
    ] = "auto"

    def choose(self, studio: Studio, own: OwnNetworks | None, on_progress: OnProgress) -> MetricNetworks:
        """Load the rest. Raises as `choose_networks`."""
        from core.evaluate.metric_networks import choose_networks

        return choose_networks(studio, self.judges, own=own, on_progress=on_progress)


def own_networks(folder: Path | None) -> OwnNetworks | None:
    """Read the user's metric networks from a folder. Raises JudgeUnavailable."""
    from core.metrics.own_networks import load_own_networks

    return None if folder is None else load_own_networks(folder)


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """Settings of a training as typed: the options of all engines that train, and a preset to start from."""

    preset: str | None
    typed: Mapping[str, Any]

    shown: ClassVar[Sequence[str] | None] = None  # only these options; all where None
    hidden: ClassVar[Sequence[str]] = ("preview_every",)  # the command line shows no previews

    def preset_of(self, entry: registry.EngineEntry) -> str | None:
        """Return the preset that was typed, or the engine's first one."""
        presets = () if entry.training is None else entry.training.presets
        return self.preset or next(iter(presets), None)

    def check(self, entry: registry.EngineEntry) -> TrainingConfig:
        """Refuse what the engine does not know or allow, before anything slow is done; its defaults stay open."""
        if entry.training is None:
            raise typer.BadParameter(f"the engine '{entry.name}' does not train; choose another one with --engine")
        known = [item.name for item in options_of(entry.training) if item.name not in TrainingOptions.hidden]
        for name in self.typed:
            if name not in known:
                listed = ", ".join(map(flag, known))
                raise typer.BadParameter(f"the engine '{entry.name}' has no {flag(name)}; it has {listed}")
        with refused_values():
            return entry.training.from_preset(self.preset_of(entry), **self.typed)

    def config(self, studio: Studio, entry: registry.EngineEntry, **more: Any) -> TrainingConfig:
        """Return the settings with the loaded engine's defaults filled in; a usage error for what it refuses."""
        with refused_values():
            return studio.config(self.preset_of(entry), **self.typed, **more)

    @classmethod
    def parameters(cls) -> list[inspect.Parameter]:
        """Merge the options of all engines that train; one that not all have names its engines."""
        training = {entry.name: entry.training for entry in registry.entries() if entry.training is not None}
        presets = tuple(dict.fromkeys(name for kind in training.values() for name in kind.presets))
        start = typer.Option(
            "--preset", metavar=f"[{'|'.join(presets)}]", help="Kind of drawing, sets the steps.",
            show_default=presets[0] if presets else False, rich_help_panel=_STYLE,
        )  # fmt: skip
        found: dict[str, dict[str, Option]] = {}
        for engine, kind in training.items():
            for item in options_of(kind):
                if item.name not in cls.hidden and (cls.shown is None or item.name in cls.shown):
                    found.setdefault(item.name, {})[engine] = item
        return [
            _parameter("preset", Annotated[str | None, start], None),
            *(_merged(items, training) for items in found.values()),
        ]


class DrawnTraining(TrainingOptions):
    """The same beside drawing, whose seed is the training's too."""

    hidden = (*TrainingOptions.hidden, "seed")


class ArmTraining(TrainingOptions):
    """What arms share; the rest is what they differ in."""

    shown = ("steps", "seed")

    def plan(self, entry: registry.EngineEntry) -> TrainingPlan:
        """Return it. Refuses what the engine does not know or allow."""
        seed = self.check(entry).seed
        return TrainingPlan(self.preset_of(entry) or "", seed, self.typed.get("steps"))


def _merged(items: Mapping[str, Option], training: Mapping[str, type[TrainingConfig]]) -> inspect.Parameter:
    """One option of one or several engines: the widest range, and all choices."""
    lows, highs = ([getattr(item, end) for item in items.values()] for end in ("low", "high"))
    first = next(iter(items.values()))
    merged = dataclasses.replace(
        first,
        optional=True,
        default=None,
        help=first.help if len(items) == len(training) else f"{first.help} ({', '.join(items)})",
        low=None if None in lows else min(lows),
        high=None if None in highs else max(highs),
        choices={name: label for item in items.values() for name, label in item.choices.items()},
    )
    shown = first.default is not None and not any(first.name in preset for preset in _presets(items, training))
    return _option_parameter(
        merged, [training[name] for name in items], str(first.default) if shown else False, _TRAINING
    )


def _presets(
    engines: Mapping[str, Option], training: Mapping[str, type[TrainingConfig]]
) -> Iterator[Mapping[str, Any]]:
    for name in engines:
        yield from training[name].presets.values()


def flag(name: str) -> str:
    """`"swap_layers"` -> `"--swap-layers"`."""
    return "--" + name.replace("_", "-")


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _option_parameter(
    item: Option, kinds: Sequence[type], show_default: bool | str = True, panel: str | None = None
) -> inspect.Parameter:
    """A command's parameter for an option that is a field of one or several dataclasses."""
    kind: Any = item.type
    if item.choices or kind is tuple:  # read by the dataclass itself, which knows former names
        info = typer.Option(
            flag(item.name),
            parser=functools.partial(_read, item=item, kinds=kinds),
            metavar=f"[{'|'.join(item.choices)}]" if item.choices else "N,N...",
            help=item.help, show_default=show_default, rich_help_panel=panel,
        )  # fmt: skip
        kind = str
    else:
        low, high = (item.low, item.high) if kind in (int, float) else (None, None)
        info = typer.Option(
            flag(item.name), min=low, max=high, help=item.help, show_default=show_default, rich_help_panel=panel
        )
    return _parameter(item.name, Annotated[kind | None if item.default is None else kind, info], item.default)


def _read(text: str, *, item: Option, kinds: Sequence[type]) -> Any:
    """What a typed choice or list of numbers means to the first dataclass that takes it."""
    value: Any = text
    if item.type is tuple:
        parts = [part.strip() for part in text.split(",")]
        if not all(part.isdecimal() for part in parts):
            raise typer.BadParameter(f"{flag(item.name)} takes whole numbers such as 7,9,11, got '{text}'")
        value = tuple(sorted({int(part) for part in parts}))
    problem = ""
    for kind in kinds:
        try:
            return getattr(kind(**{item.name: value}), item.name)
        except ValueError as error:
            problem = str(error)
    raise typer.BadParameter(problem)


def _parameters_of(kind: type) -> list[inspect.Parameter]:
    if issubclass(kind, TrainingOptions):
        return kind.parameters()
    if declared := options_of(kind, getattr(kind, "shown", None)):
        return [_option_parameter(item, [kind]) for item in declared]
    hints = get_type_hints(kind, include_extras=True)
    defaults = ((field, field.default) for field in dataclasses.fields(kind))  # type: ignore[arg-type]
    empty = inspect.Parameter.empty
    return [_parameter(f.name, hints[f.name], empty if d is dataclasses.MISSING else d) for f, d in defaults]


def _collect(kind: type, values: dict[str, Any]) -> Any:
    if issubclass(kind, TrainingOptions):
        preset = values.pop("preset")
        return kind(preset, {name: value for name, value in values.items() if value is not None})
    with refused_values():
        return kind(**values)


def grouped(command: Command) -> Command:
    """Let a command take whole values: each parameter annotated with a dataclass becomes its fields' options."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[type, list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            made = _parameters_of(kind)
            groups[parameter.name] = kind, [item.name for item in made]
            parameters += made
        else:
            parameters.append(_parameter(parameter.name, kind, parameter.default))

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        for name, (kind, names) in groups.items():
            values[name] = _collect(kind, {part: values.pop(part) for part in names})
        command(**values)

    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {item.name: item.annotation for item in parameters}
    return with_options  # type: ignore[return-value]
