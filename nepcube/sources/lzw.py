"""How many bytes a stream of TIFF's LZW gives, without giving them (TIFF 6.0, section 13).

The stream has no checksum, and the library stops reading it when a block is full: where a file says that its blocks are
smaller than they are, the rest of each is lost without a word.
"""

from __future__ import annotations

_CLEAR, _END = 256, 257


def length(stream: bytes) -> int | None:
    """Give the number of bytes; None where the stream does not end by itself, or is of the older, reversed kind."""
    if len(stream) < 2 or (stream[0] == 0 and stream[1] & 1):
        return None
    total = buffer = held = at = 0
    lengths: list[int] = []
    width, before = 9, 0
    first = [1] * 256 + [0, 0]
    while True:
        while held < width:
            if at == len(stream):
                return None
            buffer, held, at = buffer << 8 | stream[at], held + 8, at + 1
        held -= width
        code, buffer = buffer >> held, buffer & ((1 << held) - 1)
        if code == _END:
            return total
        if code == _CLEAR:
            lengths, width, before = first.copy(), 9, 0
            continue
        if not lengths or code > len(lengths) - (not before):
            return None
        if before:
            # the new string is the one before, and a byte
            lengths.append(before + 1)
            width = 12 if len(lengths) >= 2047 else 11 if len(lengths) >= 1023 else 10 if len(lengths) >= 511 else 9
        before = lengths[code] if code < len(lengths) else 0
        if not before:
            return None
        total += before
