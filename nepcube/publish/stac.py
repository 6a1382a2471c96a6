"""A STAC item that describes the published maps (STAC 1.0.0)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def write_stac_item(
    path: Path,
    *,
    name: str,
    title: str,
    period: tuple[int, int],
    bounds: tuple[float, float, float, float],
    assets: Sequence[Path],
) -> Path:
    """Write one item with an asset for each file; links are relative, so that the folder can be moved.

    Parameters
    ----------
    path : Path
        The item's file.
    name, title : str
    period : tuple of int
        First and last year.
    bounds : tuple of float
        West, south, east, north in degrees.
    assets : sequence of Path
        Files beside the item.

    Returns
    -------
    Path
    """
    west, south, east, north = bounds
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "bbox": list(bounds),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "title": title,
            "datetime": None,
            "start_datetime": f"{period[0]}-01-01T00:00:00Z",
            "end_datetime": f"{period[1]}-12-31T23:59:59Z",
        },
        "links": [],
        "assets": {
            file.stem: {
                "href": f"./{file.name}",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
            }
            for file in assets
        },
    }
    path.write_text(json.dumps(item, indent=1), encoding="utf-8")
    return path
