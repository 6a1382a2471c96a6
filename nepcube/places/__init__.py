"""Where files live: a folder of this machine, or a prefix of an object store, behind one small face.

A place is light and can be sent to another process; credentials are taken from the environment of whoever uses it.
"""

from nepcube.places.guarding import ask_guard, guarded
from nepcube.places.local import LocalPlace
from nepcube.places.naming import place_of
from nepcube.places.place import Place, Seen
from nepcube.places.remote import RemotePlace, told
from nepcube.places.urls import identity, is_url, public, require_plain

__all__ = [
    "LocalPlace", "Place", "RemotePlace", "Seen", "ask_guard", "guarded", "identity", "is_url", "place_of", "public",
    "require_plain", "told",
]  # fmt: skip
