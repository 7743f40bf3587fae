"""Every published file that the app downloads: where it is, and the sha256 that makes it the right one.

A sum stands here only where public text names it for that very file; the source is beside it. A file without one is
pinned by its first download (`core.weights.first_seen`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HubFile:
    """A published file and the Hub model repositories that hold it.

    Attributes:
        file_name: path in each repository.
        repos: "owner/name" of the primary, then mirrors, in the order they are tried. A mirror counts only with the
            same sha256.
        revision: commit of the primary that is asked for; the newest where None, as for mirrors.
        sha256: of the content; None where it is not known, then that of the first download counts.
    """

    file_name: str
    repos: tuple[str, ...]
    revision: str | None = None
    sha256: str | None = None

    def revision_of(self, repo: str) -> str | None:
        """Return the commit to ask this repository for; None is its newest."""
        return self.revision if repo == self.repos[0] else None


# The generator and discriminator of NVIDIA's config-f in PyTorch, as JoJoGAN publishes them. No public sum was found.
STYLEGAN2_FFHQ = HubFile(
    "stylegan2-ffhq-config-f.pt",
    ("akhaliq/jojogan-stylegan2-ffhq-config-f", "wmpscc/StyleGene_CKPT"),
)
# encoder4editing's own file (omertov/encoder4editing, "FFHQ Inversion", 1 201 649 680 bytes).
E4E_FFHQ = HubFile(
    "e4e_ffhq_encode.pt",
    ("akhaliq/JoJoGAN_e4e_ffhq_encode", "public-data/e4e"),
    sha256="2ace1d9a8c05c10a399bcd500b8dda118f759ff1aac89dbdab7435f2136a0999",
)
# dlib's own file, unpacked (davisking/dlib-models, 99 693 937 bytes).
LANDMARKS_68 = HubFile(
    "shape_predictor_68_face_landmarks.dat",
    ("akhaliq/jojogan_dlib", "public-data/dlib_face_landmark_model"),
    sha256="fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
)
# torchvision's VGG16 (IMAGENET1K_V1) as timm keeps it; LPIPS looks through it.
VGG16 = HubFile(
    "model.safetensors",
    ("timm/vgg16.tv_in1k",),
    revision="b8d8aa2dd860af9233c8c67385a8097fd6c35d3f",
    sha256="57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
)
# The Inception of the original FID in PyTorch (mseitzer/pytorch-fid, release fid_weights); its name begins its sum.
INCEPTION_FID = HubFile(
    "pt_inception-2015-12-05-6726825d.pth",
    ("JamesHujy/EMABench", "RaphaelLiu/EvalCrafter-Models"),
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)
# ArcFace IR-SE50 (TreB1eN/InsightFace_Pytorch; also recognition_arcface_ir_se50.pth of facexlib), under two names.
_ARCFACE_SHA256 = "a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28"
ARCFACE_IR_SE50 = (
    HubFile(
        "InsightFace_Pytorch+model_ir_se50.pth",
        ("lithiumice/ArcFace_PyTorch",),
        sha256=_ARCFACE_SHA256,
    ),
    HubFile(
        "model_ir_se50.pth",
        ("Fubei/splatviz_inversion_checkpoints",),
        sha256=_ARCFACE_SHA256,
    ),
)
PUBLISHED = (STYLEGAN2_FFHQ, E4E_FFHQ, LANDMARKS_68, VGG16, INCEPTION_FID, *ARCFACE_IR_SE50)
