"""What a group's values are in the program, against the bytes that travel. Nodes see bytes only.

base.py          the interface, and how entries of every codec but the plain raw one are marked
compressing.py   zstd, above a size
formats.py       raw, msgpack, json, typed; pickled.py: pickle, signed
making.py        the codec that a name or a type stands for
"""

from __future__ import annotations

from zmcache.codecs.base import Codec, Undecodable
from zmcache.codecs.making import make_codec

__all__ = ["Codec", "Undecodable", "make_codec"]
