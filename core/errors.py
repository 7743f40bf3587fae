"""Expected failures: each class holds the sentence a visitor reads, with what to do next.

Programming errors stay `ValueError` or `TypeError`. Handlers in `core.ui` and `core.cli` show `str(error)` of
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
