"""What readers are installed."""

from __future__ import annotations

from nepcube import sources


def list_readers() -> list[tuple[str, str, str]]:
    """Give (name, quantities, what it accepts) of each reader."""
    out = []
    for name in sources.names():
        reader = sources.reader(name)
        out.append((name, ", ".join(reader.quantities), reader.accepts))
    return out
