"""Expected failures: each class holds the sentence a visitor reads, with what to do next.

Programming errors stay `ValueError` or `TypeError`. Handlers in `core.ui` and `core.cli.main` show `str(error)` of
every `StyleIdentityError` and nothing else.
"""

from __future__ import annotations


class StyleIdentityError(Exception):
    """Base of every failure that a visitor can cause or meet; `str(error)` is the sentence to show."""

    def __reduce__(self) -> tuple:
        """Pickle by the finished sentence, so that errors cross process borders (ZeroGPU's workers) unchanged."""
        return _with_sentence, (type(self), str(self))


def _with_sentence(kind: type[StyleIdentityError], sentence: str) -> StyleIdentityError:
    error = kind.__new__(kind, sentence)
    Exception.__init__(error, sentence)
    return error


class PhotoUnreadable(StyleIdentityError):
    """The upload is not a picture, or is cut off."""

    def __init__(self, name: str) -> None:
        super().__init__(f"We couldn't read '{name}' as a picture. Try saving it again as JPEG or PNG.")


class PhotoTooLarge(StyleIdentityError):
    """The upload has more pixels or bytes than the app takes."""

    def __init__(self, name: str, got: str, limit: str) -> None:
        super().__init__(f"'{name}' is too large ({got}; the limit is {limit}). Make it smaller and try again.")


class PhotoTooSmall(StyleIdentityError):
    """The picture, or the chosen crop, has too few pixels for a portrait."""

    def __init__(self, name: str, side_px: int, minimum_px: int) -> None:
        super().__init__(
            f"'{name}' is too small ({side_px} pixels on its short side; {minimum_px} are needed). "
            "Try a larger copy of it."
        )


class NoFaceFound(StyleIdentityError):
    """The detector found no face."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"We couldn't find a face in '{name}'. Try a picture where both eyes are visible, or crop it yourself."
        )


class FaceTooSmall(StyleIdentityError):
    """The face spans too few pixels to keep the person recognisable."""

    def __init__(self, name: str, face_px: int, minimum_px: int) -> None:
        super().__init__(
            f"The face in '{name}' is only {face_px} pixels wide; {minimum_px} are needed. "
            "Try a closer or larger picture."
        )


class FaceCutOff(StyleIdentityError):
    """The face leaves the picture."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The face in '{name}' is cut off by the picture's edge. Try a picture that shows the whole face."
        )


class FaceIndexOutOfRange(StyleIdentityError):
    """The chosen face does not exist."""

    def __init__(self, name: str, index: int, count: int) -> None:
        super().__init__(f"'{name}' shows {count} face(s), so face {index + 1} can't be chosen. Pick another one.")


class NoReferences(StyleIdentityError):
    """Training was asked for without a style picture."""

    def __init__(self) -> None:
        super().__init__("Add at least one style picture that shows a face, then train.")


class TooManyReferences(StyleIdentityError):
    """More style pictures than the method takes."""

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(f"{count} style pictures are too many; keep the best {limit} and remove the others.")


class StyleFileInvalid(StyleIdentityError):
    """A style file is damaged, altered or not a style at all."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"'{name}' is not a style this app can use: {reason}. Download the style again or retrain it.")


class StyleForOtherBackbone(StyleIdentityError):
    """A style was trained for another generator."""

    def __init__(self, name: str, made_for: str, running: str) -> None:
        super().__init__(
            f"The style '{name}' was made for the '{made_for}' model, but '{running}' is running. "
            f"Start the app with STYLEIDENTITY_BACKBONE={made_for}, or train the style again here."
        )


class WeightsUnavailable(StyleIdentityError):
    """Published weights can neither be downloaded nor found in the cache."""

    def __init__(self, file_name: str, reason: str) -> None:
        super().__init__(
            f"The model file '{file_name}' could not be downloaded ({reason}). Check the network and try again; "
            "what was already downloaded is kept. The embedded model (--backbone mini) works without it."
        )


class WeightsCorrupted(StyleIdentityError):
    """A weight file's content differs from what was published, also after it was fetched again."""

    def __init__(self, file_name: str, reason: str) -> None:
        super().__init__(
            f"The model file '{file_name}' is damaged ({reason}). It was removed; start again to fetch a fresh copy."
        )


class WeightsChanged(StyleIdentityError):
    """What a repository or the cache holds under a name is another file than the pinned or first one."""

    def __init__(self, file_name: str, expected: str, found: str, *, record: str | None) -> None:
        if record is None:
            origin, advice = "this app expects", "Try again later, or update the app, which may know the new file."
        else:
            origin = "was downloaded first"
            advice = f"If you trust the new one, remove the entry from '{record}' in the data folder and start again."
        super().__init__(
            f"The model file '{file_name}' is not the one that {origin} (sha256 {expected}), so it is not used "
            f"({found}). {advice} The embedded model (--backbone mini) works without it."
        )


class WeightsUnsafe(WeightsCorrupted):
    """A weight file holds something other than tensors and plain values, or can't be parsed."""

    def __init__(self, file_name: str, reason: str) -> None:
        StyleIdentityError.__init__(
            self,
            f"The model file '{file_name}' can't be opened safely ({reason}). "
            "Delete it and start again to fetch a fresh copy.",
        )


class EmbeddedFileDamaged(WeightsCorrupted):
    """A weight file that comes with the app differs from the one its manifest names."""

    def __init__(self, file_name: str, reason: str) -> None:
        StyleIdentityError.__init__(
            self,
            f"'{file_name}', which comes with the app, is damaged ({reason}). Get a fresh copy of the app's files.",
        )


class DiskFull(StyleIdentityError):
    """A file could not be written for want of space."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is no space left to write '{path}'. Free some disk space and try again.")


class TrainingStopped(StyleIdentityError):
    """The visitor stopped a training run."""

    def __init__(self) -> None:
        super().__init__("Training was stopped; nothing was saved. Your pictures are still here.")


class JudgeUnavailable(StyleIdentityError):
    """A measuring network that the user pointed to can't be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"'{name}' can't be used for measuring: {reason}. Leave --oracles out to go without it.")


class JudgeWeightsUnavailable(StyleIdentityError):
    """A published measuring network can neither be downloaded nor found in the cache."""

    def __init__(self, judge: str, file_name: str) -> None:
        super().__init__(
            f"{judge} can't be measured: its weights '{file_name}' are not here and can't be downloaded now. "
            "Check the network and try again, or use --judges shipped, whose stand-ins come with the app."
        )


class PicturesUnusable(StyleIdentityError):
    """A folder or index given for measuring lacks pictures, or holds ones that don't belong together."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"'{name}' {problem}.")


class FileMissing(StyleIdentityError):
    """A path on the command line leads to no file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is no file '{path}'. Check its name and folder.")


class StyleUnknown(StyleIdentityError):
    """A style was named that is neither a preset nor a file."""

    def __init__(self, name: str, presets: str) -> None:
        super().__init__(f"'{name}' is neither a style file nor one of the ready-made styles ({presets}).")


class PackDamaged(StyleIdentityError):
    """A study pack lacks a file, holds an altered one or is none at all."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"The study pack '{name}' can't be used: {reason}. Get a fresh copy of its folder, or build it again."
        )


class UnknownPack(StyleIdentityError):
    """A study was named that isn't here."""

    def __init__(self, slug: str, known: str) -> None:
        super().__init__(f"There is no study '{slug}' here. Choose one of these: {known or 'none is installed yet'}.")


class StudyClosed(StyleIdentityError):
    """The study takes no new participants."""

    def __init__(self, title: str) -> None:
        super().__init__(
            f"The study '{title}' is closed and takes no new participants. Choose another one, or come back."
        )


class UnknownParticipant(StyleIdentityError):
    """A participant's code leads to no run."""

    def __init__(self, code: str) -> None:
        super().__init__(f"We don't know the code '{code}'. Check it for typing mistakes, or start a new run.")


class ParticipantWithdrawn(StyleIdentityError):
    """The run was withdrawn; its votes count nowhere."""

    def __init__(self) -> None:
        super().__init__("This run was withdrawn, so its votes count nowhere. Start a new run to vote again.")


class VoteRejected(StyleIdentityError):
    """A vote or step doesn't fit the participant's run; the reason says what to do next."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"This was not counted: {reason}")


class VotesUnavailable(StyleIdentityError):
    """The file of votes can't be read or written just now."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The votes can't be read or saved just now ({reason}). Nothing was lost: wait a moment and try again."
        )


class DataFolderUnwritable(StyleIdentityError):
    """The folder for uploads, styles and votes can't be used."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"The data folder '{path}' can't be written ({reason}). "
            "Make it writable, or set STYLEIDENTITY_DATA to a folder that is."
        )


class TrainingTooLong(StyleIdentityError):
    """A training run would keep everybody else waiting for too long."""

    def __init__(self, asked: str, limit: str) -> None:
        super().__init__(
            f"This training would be too long for a shared demo ({asked}; the limit is {limit}). "
            "Take fewer steps, or fewer pictures per step."
        )


class TooManyStyles(StyleIdentityError):
    """A visitor's shelf is full."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"You already have {limit} styles of your own here. "
            "Download what you want to keep, then take one off the shelf."
        )


class TooManyPhotos(StyleIdentityError):
    """More photos than are drawn in one go."""

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(f"{count} photos are too many at once. Keep {limit}, and draw the others afterwards.")


class NotAPicture(PhotoUnreadable):
    """The upload is a page or a drawing with code in it, never opened here."""

    def __init__(self, name: str, kind: str) -> None:
        StyleIdentityError.__init__(
            self, f"'{name}' is {kind}, which we don't open. Save it as a JPEG or PNG picture and try again."
        )


class SaltUnusable(StyleIdentityError):
    """The file that pseudonyms are made with holds something other than a salt."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"'{path}' doesn't hold a salt for pseudonyms (32 or more hexadecimal digits). Point --salt to the right "
            "file, or to a new one, which is then made; the pseudonyms will differ from earlier exports."
        )


class TableWithheld(StyleIdentityError):
    """A figure was asked for that has too few votes."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"There is nothing to draw yet. {reason}")


class DatasetUnread(StyleIdentityError):
    """Votes in the dataset are missing from what a command needs whole."""

    def __init__(self, state: str) -> None:
        super().__init__(
            f"The dataset's votes have not been read, so nothing was done. {state} Try again, or unset "
            "STYLEIDENTITY_VOTES_DATASET to work with this machine's votes alone."
        )


class DeviceUnusable(StyleIdentityError):
    """A device was named that PyTorch doesn't know, or can't compute on here."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"'{name}' can't be used for computing ({reason}). Give another --device, such as cpu, or leave it out."
        )


class EngineUnknown(StyleIdentityError):
    """An engine was named that isn't in the registry."""

    def __init__(self, name: str, known: str) -> None:
        super().__init__(f"There is no engine '{name}'. Choose one of these: {known}.")


class EngineUnavailable(StyleIdentityError):
    """An engine can't be loaded."""

    def __init__(self, title: str, reason: str) -> None:
        super().__init__(f"The engine '{title}' can't be used now ({reason}). The others still work.")
