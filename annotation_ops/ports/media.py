"""Looking into raw items without trusting them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation_ops.domain.project.contract import Media


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What an item's bytes say about themselves; the file name has no say."""

    media_type: str
    """MIME type found by content: `image/png`, `text/plain`, `audio/wav`, `application/octet-stream` ..."""
    width: int | None = None
    """Pixels; images only."""
    height: int | None = None
    characters: int | None = None
    """Unicode code points; text only."""


class MediaDecoder(ABC):
    """Decodes within limits of memory and time, so that no item can take the process down.

    Errors: UnsafeInput when decoding would cost more than the limits allow; InvalidInput when the bytes are not what
    they claim (cut off, corrupt, not UTF-8); TransientError when the decoder itself cannot be started.
    """

    @abstractmethod
    def probe(self, body: bytes, *, media: Media) -> MediaInfo:
        """Finds the type by content and proves that the item decodes.

        Images are decoded whole, text is decoded as UTF-8; audio and video are recognised and stay opaque.
        Bytes of another medium than `media` give their own type and no sizes: refusing them is the contract's business.
        """

    @abstractmethod
    def grey_pixels(self, body: bytes, *, width: int, height: int) -> NDArray[np.float64]:
        """The image scaled to width x height grey pixels: shape (width * height,), row-major, 0 (black) to 1 (white).

        An image that already has that size is not resampled.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends whatever the decoder keeps running; calling it again changes nothing."""
