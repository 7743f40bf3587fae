"""The jobs of page and API: from files that visitors sent to pictures and styles.

Failures of single pictures among several are values; everything else is raised. Files are named by path, so that a
job can be done wherever the path leads to the same file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from core.config import PhotoLimits
from core.engines.base import DrawOptions
from core.errors import StyleIdentityError
from core.execution.base import Accelerated, Update
from core.progress import Progress

if TYPE_CHECKING:
    from PIL import Image

    from core.engines.base import Drawing, Prepared, TrainingConfig, TrainingStep
    from core.imaging.align import AlignedFace
    from core.imaging.photo import Photo
    from core.imaging.square import Square
    from core.studio import Crop, Studio

LOOKING, READING, DRAWING = "looking for faces", "reading as photos", "drawing"  # phases, as `Progress.what`
ROUGH_PX = 1280  # longest side of a photo that an unfinished drawing is laid into


@dataclass(frozen=True)
class PictureFile:
    """A picture that somebody sent.

    Attributes:
        path: of the file.
        name: what to call it in sentences; the file's own name where None.
        limits: how large it may be.
    """

    path: Path
    name: str | None = None
    limits: PhotoLimits = PhotoLimits()

    def load(self) -> Photo:
        """Read it. Raises PhotoUnreadable, PhotoTooLarge, PhotoTooSmall."""
        from core.imaging.photo import load_photo

        return load_photo(self.path, name=self.name, limits=self.limits)


@dataclass(frozen=True)
class FoundFaces:
    """A photo and its faces.

    Attributes:
        photo: upright.
        boxes, squares: of every face in pixels, (left, top, right, bottom) and the crop, the largest first.
        face: the largest one, aligned; None where it can't be used, and then `problem` says why.
    """

    photo: Photo
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    squares: tuple[Square, ...] = ()
    face: AlignedFace | None = None
    problem: StyleIdentityError | None = None


@dataclass(frozen=True)
class FindFaces:
    """Read a photo, find its faces and cut out the largest. Gives one `FoundFaces`; raises as `PictureFile.load`."""

    source: PictureFile
    engine: str | None = None

    is_long: ClassVar[bool] = False

    def run(self, studio: Studio, accelerated: Accelerated) -> Iterator[FoundFaces]:
        """Work."""
        from core.imaging.geometry import ffhq_quad
        from core.imaging.square import Square

        photo = self.source.load()
        boxes: tuple[tuple[int, int, int, int], ...] = ()
        squares: tuple[Square, ...] = ()
        try:
            faces = studio.find_faces(photo, engine=self.engine)
            boxes = tuple(face.box for face in faces)
            squares = tuple(Square.around(ffhq_quad(face.landmarks)) for face in faces)
            yield FoundFaces(photo, boxes, squares, studio.align_found(photo, faces, engine=self.engine))
        except StyleIdentityError as error:
            yield FoundFaces(photo, boxes, squares, problem=error)


@dataclass(frozen=True)
class Portrait:
    """A drawn face, or what is there of it so far.

    Attributes:
        face, prepared: what the next drawing of the same face can be spared.
        before, after: crop and drawing, or the whole photo without and with the drawing in it. Photos are reduced to
            `ROUGH_PX` where the drawing is not finished.
        drawing: alone, and how it was made.
    """

    face: AlignedFace
    prepared: Prepared
    before: Image.Image
    after: Image.Image
    drawing: Drawing


@dataclass(frozen=True)
class DrawPortrait:
    """Draw one face of a photo. Gives a quick `Portrait` first and the finished one last.

    Raises as `Studio.align` and `Accelerated.draw_levels`.

    Attributes:
        source: the photo; needed where `face` is None, and to blend.
        style_path: of the style file.
        face: the aligned face, where it is known.
        prepared: what the engine made of it before.
        face_index, crop: which face, and how it is cut out, where `face` is None.
        blend: lay the drawing into the whole photo, whose background it keeps.
    """

    source: PictureFile
    style_path: Path
    options: DrawOptions = DrawOptions()
    face: AlignedFace | None = None
    prepared: Prepared | None = None
    face_index: int = 0
    crop: Crop = "detect"
    blend: bool = False
    engine: str | None = None

    is_long: ClassVar[bool] = False

    def run(self, studio: Studio, accelerated: Accelerated) -> Iterator[Portrait]:
        """Work."""
        from core.imaging.paste import reduced

        photo, face = (self.source.load() if self.blend else None), self.face
        if face is None:
            source = self.source.load() if photo is None else photo
            face = studio.align(source, face_index=self.face_index, crop=self.crop, engine=self.engine)
        # behind a drawing that lies in its photo there is the photo
        options = self.options if photo is None else replace(self.options, background="photo")
        levels = accelerated.draw_levels(face, self.prepared, self.style_path, options, self.engine)
        if photo is None:
            for drawn in levels:
                yield Portrait(face, drawn.prepared, face.image, drawn.drawings[0].image, drawn.drawings[0])
            return
        small, small_face = reduced(photo, face, ROUGH_PX)
        for drawn in levels:
            pasted = studio.paste_back(drawn.drawings[0], small_face, small)
            rough = Portrait(face, drawn.prepared, small.image, pasted, drawn.drawings[0])
            yield rough
        if small is not photo:
            yield replace(rough, before=photo.image, after=studio.paste_back(rough.drawing, face, photo))


@dataclass(frozen=True)
class Comparison:
    """A face drawn alike in several styles.

    Attributes:
        face, prepared: what the next drawing of the same face can be spared.
        drawings: one picture a style, in order.
    """

    face: AlignedFace
    prepared: Prepared
    drawings: tuple[Image.Image, ...]


@dataclass(frozen=True)
class CompareStyles:
    """Draw one face of a photo in several styles. Gives one `Comparison`; raises as `DrawPortrait`.

    Attributes:
        style_paths: of the style files.
        source, face, prepared, face_index, crop: as in `DrawPortrait`.
    """

    source: PictureFile
    style_paths: tuple[Path, ...]
    options: DrawOptions = DrawOptions()
    face: AlignedFace | None = None
    prepared: Prepared | None = None
    face_index: int = 0
    crop: Crop = "detect"
    engine: str | None = None

    is_long: ClassVar[bool] = False

    def run(self, studio: Studio, accelerated: Accelerated) -> Iterator[Comparison]:
        """Work."""
        face = self.face
        if face is None:
            face = studio.align(self.source.load(), face_index=self.face_index, crop=self.crop, engine=self.engine)
        drawn = accelerated.draw(face, self.prepared, self.style_paths, self.options, self.engine)
        yield Comparison(face, drawn.prepared, tuple(drawing.image for drawing in drawn.drawings))


@dataclass(frozen=True)
class DrawnPhoto:
    """One of several photos: its drawing, or why there is none."""

    name: str
    image: Image.Image | None = None
    problem: StyleIdentityError | None = None


@dataclass(frozen=True)
class DrawPhotos:
    """Draw the largest face of every photo. Gives updates: first what can't be drawn, then the drawings in order."""

    sources: tuple[PictureFile, ...]
    style_path: Path
    options: DrawOptions = DrawOptions()
    engine: str | None = None

    is_long: ClassVar[bool] = True

    def run(self, studio: Studio, accelerated: Accelerated) -> Iterator[Update[DrawnPhoto]]:
        """Work."""
        faces: list[AlignedFace] = []
        of = len(self.sources)
        for number, source in enumerate(self.sources):
            yield Update(Progress(LOOKING, number, of))
            try:
                faces.append(studio.align(source.load(), engine=self.engine))
            except StyleIdentityError as error:
                name = source.name or source.path.name
                yield Update(Progress(LOOKING, number + 1, of), DrawnPhoto(name, problem=error))
        if faces:
            drawings = accelerated.draw_many(faces, self.style_path, self.options, self.engine)
            for number, (face, drawing) in enumerate(zip(faces, drawings, strict=True), start=1):
                yield Update(Progress(DRAWING, number, len(faces)), DrawnPhoto(face.name, drawing.image))


@dataclass(frozen=True)
class ReferencePicture:
    """A style picture to be read; `crop` says how its face is cut out, `face` is known from before."""

    key: str
    source: PictureFile
    crop: Crop = "detect"
    face: AlignedFace | None = None


@dataclass(frozen=True)
class ReadReference:
    """What became of a style picture.

    Attributes:
        key: as in `ReferencePicture`.
        face: the aligned crop; None where there is a problem.
        as_photo: what the engine takes it for; None as long as it was not read.
        problem: why it can't be used.
        readable: it is a picture at all, so it can be taken as it is.
    """

    key: str
    face: AlignedFace | None = None
    as_photo: Image.Image | None = None
    problem: StyleIdentityError | None = None
    readable: bool = True


@dataclass(frozen=True)
class ReadReferences:
    """Align style pictures, then show each as training sees it. Gives an update per picture and phase."""

    pictures: tuple[ReferencePicture, ...]
    engine: str | None = None

    is_long: ClassVar[bool] = True

    def run(self, studio: Studio, accelerated: Accelerated) -> Iterator[Update[ReadReference]]:
        """Work."""
        faces = {picture.key: picture.face for picture in self.pictures if picture.face is not None}
        todo = [picture for picture in self.pictures if picture.face is None]
        for number, picture in enumerate(todo):
            yield Update(Progress(LOOKING, number, len(todo)))
            read = self._align(studio, picture)
            if read.face is not None:
                faces[picture.key] = read.face
            yield Update(Progress(LOOKING, number + 1, len(todo)), read)
        if not faces:
            return
        photos = accelerated.read_as_photos(tuple(faces.values()), self.engine)
        for number, ((key, face), photo) in enumerate(zip(faces.items(), photos, strict=True), start=1):
            yield Update(Progress(READING, number, len(faces)), ReadReference(key, face, photo))

    def _align(self, studio: Studio, picture: ReferencePicture) -> ReadReference:
        photo = None
        try:
            photo = picture.source.load()
            return ReadReference(picture.key, studio.align(photo, crop=picture.crop, engine=self.engine))
        except StyleIdentityError as error:
            return ReadReference(picture.key, problem=error, readable=photo is not None)


@dataclass(frozen=True)
class TrainStyle:
    """Train a style. Gives every step; the last one holds the style. Raises TrainingStopped and as `Studio.align`.

    Attributes:
        references: artworks, aligned or as they were sent.
        config: from `Studio.config`.
        name: of the style.
        stop_flag: the training stops when this file appears.
        crop: how references that are not aligned yet are cut out.
        person: whose style it shall be, where `config.needs_photo`.
        preview: a face to draw meanwhile; `person` where None.
        face_index: which face of these photos.
    """

    references: tuple[AlignedFace | PictureFile, ...]
    config: TrainingConfig
    name: str
    stop_flag: Path
    crop: Crop = "detect"
    person: PictureFile | None = None
    preview: PictureFile | None = None
    face_index: int = 0
    engine: str | None = None

    is_long: ClassVar[bool] = True

    def run(self, studio: Studio, accelerated: Accelerated) -> Iterator[TrainingStep]:
        """Work."""

        def face_of(source: PictureFile | None) -> AlignedFace | None:
            if source is None:
                return None
            return studio.align(source.load(), face_index=self.face_index, engine=self.engine)

        references = [
            studio.align(item.load(), crop=self.crop, engine=self.engine) if isinstance(item, PictureFile) else item
            for item in self.references
        ]
        person = face_of(self.person) if self.config.needs_photo else None
        preview = person if person is not None and self.preview in (None, self.person) else face_of(self.preview)
        yield from accelerated.train(references, self.config, self.name, person, preview, self.stop_flag, self.engine)
