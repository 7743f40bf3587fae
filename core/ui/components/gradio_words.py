"""What the page says where Gradio has English of its own that it doesn't let us set, nor translates.

`static/words.js` puts these in the place of Gradio's texts and labels. Keys are Gradio 6.31's; what stands in braces is
kept. Texts that Gradio translates itself are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.ui.i18n import CHINESE, ENGLISH, in_chinese

# What is read on the page.
TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "Click to Access Webcam": "Turn on the camera",
        "Paste from Clipboard": "Paste a copied picture",
        "Drop Media Here": "Drop photos here",
        "Drop File Here": "Drop portraits here",
        "Click to Upload": "Click to choose them",
        "Error": "That didn't work",
        "Connection Lost": "Connection lost",
        "Connection to the server was lost. Attempting reconnection...": "The page lost its connection. Trying again.",
        "Connection errored out. ": "The connection was lost. Check it, then try again.",
        "An error occurred": "Something went wrong on our side. Please try again in a moment.",
        "An Unexpected Error Occurred!": "Something went wrong on our side. Please try again in a moment.",
        "This application is currently busy. Please try again. ": "Too much is going on just now. Please try again.",
    }
)
# What is told to screen readers, or shown beside the pointer.
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "Upload file": "Choose a file",
        "File upload": "Choose a file",
        "Click to Upload": "Add more",
        "Click to upload or drop files": "Choose files or drop them here",
        "Capture from camera": "Use the camera",
        "grant webcam access": "Turn on the camera",
        "capture photo": "Take the photo",
        "select input source": "Choose a camera",
        "Paste from clipboard": "Paste a copied picture",
        "Empty value": "Nothing here yet",
        "Delete image": "Remove this picture",
        "Remove this file": "Remove this file",
        "Clear": "Remove all",
        "Close": "Close",
        "Download": "Download",
        "detailed view of selected image": "The chosen picture, large",
        "Thumbnail {number} of {count}": "Picture {number} of {count}",
        "number input for {name}": "{name}, as a number",
        "range slider for {name}": "{name}",
        "Reset to default value": "Back to the usual value",
        "More tabs": "More tabs",
        "Gradio footer navigation": "For programs",
    }
)


def spoken() -> dict[str, dict[str, dict[str, str]]]:
    """Return texts and labels by language, as the script reads them."""

    def chinese(words: Mapping[str, str]) -> dict[str, str]:
        return {theirs: in_chinese(ours) for theirs, ours in words.items()}

    return {
        ENGLISH: {"texts": dict(TEXTS), "labels": dict(LABELS)},
        CHINESE: {"texts": chinese(TEXTS), "labels": chinese(LABELS)},
    }
