"""Results in the forms of others: cloud-optimised GeoTIFF and a STAC item. Values are never changed."""

from nepcube.publish.cog import write_cog
from nepcube.publish.stac import write_stac_item

__all__ = ["write_cog", "write_stac_item"]
