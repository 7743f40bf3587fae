"""Expected failures: each class holds the sentence a visitor reads, with what to do next.

Programming errors stay `ValueError` or `TypeError`. The page and the command line show the sentence of every
`StyleIdentityError` and nothing else; the page translates it by its template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter

_WORDS = frozenset({"reason", "kind", "state"})  # fields that hold words of ours, which are translated too


class Sentence(str):
    """An English sentence that knows what it was made of, so that a page can say it in another language.

    Attributes:
        template: the sentence, with a field in braces for whatever varies.
        values: what stands in the fields; a value that is a `Sentence` itself is translated with the whole.
    """

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Sentence:
        """Fill the template's fields; a template without values stays as it is, braces and all."""
        sentence = super().__new__(cls, template.format(**values) if values else template)
        sentence.template, sentence.values = template, values
        return sentence

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:
        """Pickle template and values: errors and pictures' problems cross process borders (ZeroGPU's workers)."""
        return (self.template,), dict(self.values)


class StyleIdentityError(Exception):
    """Base of every failure that a visitor can cause or meet; `str(error)` is the sentence to show.

    A subclass names its template. Its constructor takes the template's fields, by position or by name.

    Attributes:
        template: the sentence, with a field in braces for each value.
        sentence: the template with its values.
    """

    template: str = ""

    def __init__(self, *values: object, **named: object) -> None:
        fields = dict.fromkeys(name for _, name, _, _ in Formatter().parse(self.template) if name)
        given = dict(zip(fields, values, strict=False)) | named
        if given.keys() != fields.keys() or len(values) + len(named) != len(fields):
            raise TypeError(f"{type(self).__name__} needs {list(fields)}, got {[*values]} and {named}")
        words = {name: Sentence(value) for name, value in given.items() if name in _WORDS and type(value) is str}
        self.say(Sentence(self.template, **given | words))

    def say(self, sentence: Sentence) -> None:
        """Take the sentence to show."""
        self.template, self.sentence = sentence.template, sentence
        super().__init__(sentence)

    @property
    def values(self) -> Mapping[str, object]:
        """What stands in the template's fields."""
        return self.sentence.values

    def __reduce__(self) -> tuple[Callable[..., StyleIdentityError], tuple[object, ...], dict[str, object]]:
        """Pickle by the sentence, whatever the constructor takes."""
        return _restored, (type(self), self.sentence), self.__dict__


def _restored(kind: type[StyleIdentityError], sentence: Sentence) -> StyleIdentityError:
    error = kind.__new__(kind)
    error.say(sentence)
    return error


# --- pictures ----------------------------------------------------------------------------------------------


class PhotoUnreadable(StyleIdentityError):
    """The upload is not a picture, or is cut off."""

    template = "We couldn't read '{name}' as a picture. Try saving it again as JPEG or PNG."


class NotAPicture(PhotoUnreadable):
    """The upload is a page or a drawing with code in it, never opened here."""

    template = "'{name}' is {kind}, which we don't open. Save it as a JPEG or PNG picture and try again."


class PhotoTooLarge(StyleIdentityError):
    """The upload has more pixels or bytes than the app takes."""

    template = "'{name}' is too large ({got}; the limit is {limit}). Make it smaller and try again."


class PhotoTooSmall(StyleIdentityError):
    """The picture, or the chosen crop, has too few pixels for a portrait."""

    template = (
        "'{name}' is too small ({side_px} pixels on its short side; {minimum_px} are needed). Try a larger copy of it."
    )


class NoFaceFound(StyleIdentityError):
    """The detector found no face."""

    template = "We couldn't find a face in '{name}'. Try a picture where both eyes are visible, or crop it yourself."


class FaceTooSmall(StyleIdentityError):
    """The face spans too few pixels to keep the person recognisable."""

    template = (
        "The face in '{name}' is only {face_px} pixels wide; {minimum_px} are needed. Try a closer or larger picture."
    )


class FaceCutOff(StyleIdentityError):
    """The face leaves the picture."""

    template = "The face in '{name}' is cut off by the picture's edge. Try a picture that shows the whole face."


class FaceIndexOutOfRange(StyleIdentityError):
    """The chosen face does not exist."""

    template = "'{name}' shows {count} face(s), so face {number} can't be chosen. Pick another one."

    def __init__(self, name: str, index: int, count: int) -> None:
        super().__init__(name=name, count=count, number=index + 1)


class TooManyPhotos(StyleIdentityError):
    """More photos than are drawn in one go."""

    template = "{count} photos are too many at once. Keep {limit}, and draw the others afterwards."


# --- styles and training -----------------------------------------------------------------------------------


class NoReferences(StyleIdentityError):
    """Training was asked for without a style picture."""

    template = "Add at least one style picture that shows a face, then train."


class TooManyReferences(StyleIdentityError):
    """More style pictures than the method takes."""

    template = "{count} style pictures are too many; keep the best {limit} and remove the others."


class TrainingTooLong(StyleIdentityError):
    """A training run would keep everybody else waiting for too long."""

    template = (
        "This training would be too long for a shared demo ({asked}; the limit is {limit}). "
        "Take fewer steps, or fewer pictures per step."
    )


class TrainingStopped(StyleIdentityError):
    """The visitor stopped a training run."""

    template = "Training was stopped; nothing was saved. Your pictures are still here."


class TooManyStyles(StyleIdentityError):
    """A visitor has as many styles of their own as are kept."""

    template = (
        "You already have {limit} styles of your own here. Download what you want to keep, then remove one of them."
    )


class StyleFileInvalid(StyleIdentityError):
    """A style file is damaged, altered or not a style at all."""

    template = "'{name}' is not a style this app can use: {reason}. Download the style again or retrain it."


class StyleForOtherBackbone(StyleIdentityError):
    """A style was trained for another generator."""

    template = (
        "The style '{name}' was made for the '{made_for}' model, but '{running}' is running. "
        "Start the app with STYLEIDENTITY_BACKBONE={made_for}, or train the style again here."
    )


class StyleUnknown(StyleIdentityError):
    """A style was named that is neither a preset nor a file."""

    template = "'{name}' is neither a style file nor one of the ready-made styles ({presets})."


# --- weights, devices and files ----------------------------------------------------------------------------


class WeightsUnavailable(StyleIdentityError):
    """Published weights can neither be downloaded nor found in the cache."""

    template = (
        "The model file '{file_name}' could not be downloaded ({reason}). Check the network and try again; "
        "what was already downloaded is kept."
    )


class WeightsCorrupted(StyleIdentityError):
    """A weight file's content differs from what was published, also after it was fetched again."""

    template = "The model file '{file_name}' is damaged ({reason}). It was removed; start again to fetch a fresh copy."


class WeightsChanged(StyleIdentityError):
    """What a repository or the cache holds under a name is another file than the pinned or first one."""

    template = (
        "The model file '{file_name}' is not the one that {origin} (sha256 {expected}), so it is not used ({found}). "
        "{advice}"
    )

    def __init__(self, file_name: str, expected: str, found: str, *, record: str | None) -> None:
        if record is None:
            origin = Sentence("this app expects")
            advice = Sentence("Try again later, or update the app, which may know the new file.")
        else:
            origin = Sentence("was downloaded first")
            advice = Sentence(
                "If you trust the new one, remove the entry from '{record}' in the data folder and start again.",
                record=record,
            )
        super().__init__(file_name=file_name, origin=origin, expected=expected, found=found, advice=advice)


class WeightsUnsafe(WeightsCorrupted):
    """A weight file holds something other than tensors and plain values, or can't be parsed."""

    template = (
        "The model file '{file_name}' can't be opened safely ({reason}). "
        "Delete it and start again to fetch a fresh copy."
    )


class EmbeddedFileDamaged(WeightsCorrupted):
    """A weight file that comes with the app differs from the one its manifest names."""

    template = "'{file_name}', which comes with the app, is damaged ({reason}). Get a fresh copy of the app's files."


class EngineUnknown(StyleIdentityError):
    """An engine was named that isn't in the registry."""

    template = "There is no engine '{name}'. Choose one of these: {known}."


class EngineUnavailable(StyleIdentityError):
    """An engine can't be loaded; `reason` and `advice` are sentences."""

    template = "The engine '{title}' can't be used now. {reason} {advice}"


class DeviceUnusable(StyleIdentityError):
    """A device was named that PyTorch doesn't know, or can't compute on here."""

    template = "'{name}' can't be used for computing ({reason}). Give another --device, such as cpu, or leave it out."


class DiskFull(StyleIdentityError):
    """A file could not be written for want of space."""

    template = "There is no space left to write '{path}'. Free some disk space and try again."


class FileMissing(StyleIdentityError):
    """A path on the command line leads to no file."""

    template = "There is no file '{path}'. Check its name and folder."


class DataFolderUnwritable(StyleIdentityError):
    """The folder for uploads, styles and votes can't be used."""

    template = (
        "The data folder '{path}' can't be written ({reason}). "
        "Make it writable, or set STYLEIDENTITY_DATA to a folder that is."
    )


# --- measuring ---------------------------------------------------------------------------------------------


class MetricNetworkUnavailable(StyleIdentityError):
    """A measuring network that the user pointed to can't be used."""

    template = "'{name}' can't be used for measuring: {reason}. Leave --oracles out to go without it."


class MetricWeightsUnavailable(StyleIdentityError):
    """A published measuring network can neither be downloaded nor found in the cache."""

    template = (
        "{network} can't be measured: its weights '{file_name}' are not here and can't be downloaded now. "
        "Check the network and try again, or use --networks shipped, whose stand-ins come with the app."
    )


class PicturesUnusable(StyleIdentityError):
    """A folder or index given for measuring lacks pictures, or holds ones that don't belong together."""

    template = "'{name}' {problem}."


# --- the study ---------------------------------------------------------------------------------------------


class PackDamaged(StyleIdentityError):
    """A study pack lacks a file, holds an altered one or is none at all."""

    template = "The study pack '{name}' can't be used: {reason}. Get a fresh copy of its folder, or build it again."


class UnknownPack(StyleIdentityError):
    """A study was named that isn't here."""

    template = "There is no study '{slug}' here. Choose one of these: {known}."

    def __init__(self, slug: str, known: str) -> None:
        super().__init__(slug, known or Sentence("none is installed yet"))


class StudyClosed(StyleIdentityError):
    """The study takes no new participants."""

    template = "The study '{title}' is closed and takes no new participants. Choose another one, or come back."


class UnknownParticipant(StyleIdentityError):
    """A participant's code leads to no run."""

    template = "We don't know the code '{code}'. Check it for typing mistakes, or start a new run."


class ParticipantWithdrawn(StyleIdentityError):
    """The run was withdrawn; its votes count nowhere."""

    template = "This run was withdrawn, so its votes count nowhere. Start a new run to vote again."


class VoteRejected(StyleIdentityError):
    """A vote or step doesn't fit the participant's run; the reason says what to do next."""

    template = "This was not counted: {reason}"


class VotesUnavailable(StyleIdentityError):
    """The file of votes can't be read or written just now."""

    template = "The votes can't be read or saved just now ({reason}). Nothing was lost: wait a moment and try again."


class SaltUnusable(StyleIdentityError):
    """The file that pseudonyms are made with holds something other than a salt."""

    template = (
        "'{path}' doesn't hold a salt for pseudonyms (32 or more hexadecimal digits). Point --salt to the right "
        "file, or to a new one, which is then made; the pseudonyms will differ from earlier exports."
    )


class TableWithheld(StyleIdentityError):
    """A figure was asked for that has too few votes."""

    template = "There is nothing to draw yet. {reason}"


class DatasetUnread(StyleIdentityError):
    """Votes in the dataset are missing from what a command needs whole."""

    template = (
        "The dataset's votes have not been read, so nothing was done. {state} Try again, or unset "
        "STYLEIDENTITY_VOTES_DATASET to work with this machine's votes alone."
    )
