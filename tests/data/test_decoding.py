"""Raw images: whatever the bytes and the path, a clean PNG or a reason."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dlfd_ops.data.decoding import ImageRefusedError, Limits, RawFolder, own_pixel_limit, to_clean_png
from dlfd_ops.data.problems import Reason

LIMITS = Limits(max_bytes=100_000, max_pixels=100 * 100)


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    """Return ``image`` as the bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def gradient(width: int = 40, height: int = 40) -> Image.Image:
    """Return an image whose pixels all differ."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 5, y * 5, x + y], axis=-1).astype(np.uint8), "RGB")


def decoded(png: bytes) -> np.ndarray:
    """Return the (S, S, 3) pixels of a PNG."""
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == "RGB"
        return np.asarray(image).copy()


def refusal(content: bytes, limits: Limits = LIMITS) -> Reason:
    """Return why ``content`` is refused."""
    with pytest.raises(ImageRefusedError) as error:
        to_clean_png(content, 16, limits)
    return error.value.reason


def read_refusal(root: Path, path: Path, **options: str) -> Reason:
    """Return why the file at ``path`` is refused."""
    with pytest.raises(ImageRefusedError) as error:
        RawFolder(root, LIMITS).read(path, **options)
    return error.value.reason


def png_chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_chunks(png: bytes) -> list[bytes]:
    """Return the names of the chunks of a PNG."""
    names, position = [], 8
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        names.append(png[position + 4 : position + 8])
        position += length + 12
    return names


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "WEBP", "JPEG"])
def test_every_format_gives_a_square_rgb_png(file_format: str) -> None:
    """Size and mode are as promised whatever comes in."""
    assert decoded(to_clean_png(encoded(gradient(), file_format), 16, LIMITS)).shape == (16, 16, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    """Grey, palette, transparent, printer's and 16-bit images are read too."""
    image = gradient().convert("L").convert("I;16") if mode == "I;16" else gradient().convert(mode)
    content = encoded(image, "JPEG" if mode == "CMYK" else "PNG")
    assert decoded(to_clean_png(content, 16, LIMITS)).shape == (16, 16, 3)


def test_sixteen_bits_of_grey_become_eight() -> None:
    """A 16-bit grey PNG keeps its tones; it does not turn white where a value exceeds 255."""
    grey = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 64
    content = encoded(Image.fromarray(grey))
    assert png_chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 16, 0, 0, 0, 0)) in content
    assert np.array_equal(decoded(to_clean_png(content, 32, LIMITS)), np.stack([grey >> 8] * 3, axis=-1))


def test_the_same_size_keeps_the_pixels() -> None:
    """A lossless image of the wanted size comes out as it went in."""
    image = gradient(32, 32)
    assert np.array_equal(decoded(to_clean_png(encoded(image), 32, LIMITS)), np.asarray(image))


def test_the_central_square_is_kept() -> None:
    """A wide image loses its left and right margins, and is not squeezed."""
    image = Image.new("RGB", (60, 20), "red")
    image.paste("blue", (20, 0, 40, 20))
    assert (decoded(to_clean_png(encoded(image), 20, LIMITS)) == (0, 0, 255)).all()


@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_is_applied(orientation: int) -> None:
    """The result is what an upright viewer shows, for all eight orientations and for none."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(gradient(32, 32), exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(decoded(to_clean_png(content, 32, LIMITS)), expected)


def test_no_metadata_is_left() -> None:
    """Camera data, comments and colour profiles may name a person; only pixels come out."""
    from PIL import ImageCms
    from PIL.PngImagePlugin import PngInfo

    exif, info = Image.Exif(), PngInfo()
    exif[0x010E] = "Jane Roe"
    info.add_text("Author", "Jane Roe")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for content in (
        encoded(gradient(), exif=exif, pnginfo=info, icc_profile=profile),
        encoded(gradient(), "JPEG", exif=exif, icc_profile=profile, comment=b"Jane Roe"),
    ):
        png = to_clean_png(content, 16, LIMITS)
        assert set(png_chunks(png)) == {b"IHDR", b"IDAT", b"IEND"}
        assert b"Jane" not in png


def test_damaged_exif_does_not_cost_the_image() -> None:
    """A sound image with a broken EXIF block is taken as upright."""
    content = encoded(gradient(32, 32), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(decoded(to_clean_png(content, 32, LIMITS)), np.asarray(gradient(32, 32)))


def test_too_many_pixels_are_refused_before_decoding() -> None:
    """The header alone decides: the file has no pixel data that could be decoded."""
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")
    assert refusal(bomb) is Reason.TOO_MANY_PIXELS
    with own_pixel_limit():
        assert refusal(bomb) is Reason.TOO_MANY_PIXELS


def test_the_pixel_limit_is_exact_and_may_exceed_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of exactly the limit passes, one more pixel does not, and Pillow's own limit has no say."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with own_pixel_limit():
        assert to_clean_png(encoded(gradient(100, 100)), 16, LIMITS)
        assert refusal(encoded(gradient(101, 100))) is Reason.TOO_MANY_PIXELS
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "WEBP", "JPEG"])
def test_truncated_images_are_refused(file_format: str) -> None:
    """Half a file is no image, even where the decoder could show its upper part."""
    content = encoded(gradient(), file_format)
    assert refusal(content[: len(content) // 2]) is Reason.UNDECODABLE
    assert refusal(content[:10]) is Reason.UNDECODABLE


@pytest.mark.parametrize("content", [b"not an image", b"\xff\xd8\xff\xe0", b"<svg/>", b"GIF89a" + bytes(50)])
def test_other_bytes_are_refused(content: bytes) -> None:
    """Text, headers alone and formats that are not on the list."""
    assert refusal(content) is Reason.UNDECODABLE


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_no_bytes_escape_as_another_error(data: st.DataObject) -> None:
    """Damaging any bytes of an image gives a PNG or a reason, never another exception."""
    content = bytearray(encoded(gradient(), data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "WEBP"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    outcome: object
    try:
        outcome = decoded(to_clean_png(bytes(content), 16, LIMITS)).shape
    except ImageRefusedError as error:
        outcome = error.reason
    assert outcome in {(16, 16, 3), Reason.UNDECODABLE, Reason.TOO_MANY_PIXELS}


def test_reading_returns_the_bytes(tmp_path: Path) -> None:
    """Below the root, also by way of a link that stays inside, with a stated digest or without."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ünï\ncode.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a" / "ünï\ncode.jpg")
    for name in ("a/ünï\ncode.jpg", "link.jpg"):
        assert RawFolder(tmp_path, LIMITS).read(Path(name), sha256=hashlib.sha256(b"x").hexdigest()) == b"x"


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", "../../etc/passwd", "a\0b", "out.jpg"])
def test_paths_that_escape_are_refused(name: str, tmp_path: Path) -> None:
    """Parent folders, absolute paths, NUL and symbolic links out of the root."""
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "out.jpg").symlink_to(tmp_path / "secret")
    assert read_refusal(root, Path(name)) is Reason.ESCAPES


def test_a_linked_folder_that_leads_out_is_refused(tmp_path: Path) -> None:
    """A neighbour whose name starts like the root's is outside too."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "x.jpg").write_bytes(b"x")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "root2")
    assert read_refusal(tmp_path / "root", Path("linked/x.jpg")) is Reason.ESCAPES


def test_files_that_cannot_be_used_have_their_reasons(tmp_path: Path) -> None:
    """Missing, empty, too large, another content, a folder, a pipe, a loop of links, a name that is too long."""
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "large.jpg").write_bytes(bytes(LIMITS.max_bytes + 1))
    (tmp_path / "other.jpg").write_bytes(b"x")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert read_refusal(tmp_path, Path("gone.jpg")) is Reason.MISSING
    assert read_refusal(tmp_path, Path("empty.jpg")) is Reason.EMPTY
    assert read_refusal(tmp_path, Path("large.jpg")) is Reason.TOO_LARGE
    assert read_refusal(tmp_path, Path("other.jpg"), sha256="00" * 32) is Reason.DIGEST_MISMATCH
    assert read_refusal(tmp_path, Path()) is Reason.UNREADABLE
    assert read_refusal(tmp_path, Path("pipe.jpg")) is Reason.UNREADABLE
    assert read_refusal(tmp_path, Path("loop.jpg")) is Reason.UNREADABLE
    assert read_refusal(tmp_path, Path("n" * 5000)) is Reason.UNREADABLE


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    """The limit is the largest size accepted."""
    (tmp_path / "x").write_bytes(bytes(LIMITS.max_bytes))
    assert len(RawFolder(tmp_path, LIMITS).read(Path("x"))) == LIMITS.max_bytes
