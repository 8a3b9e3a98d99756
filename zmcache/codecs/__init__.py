"""Codecs: what a group's values are in the program, against the bytes that travel and are kept.

    base          the interface, `Undecodable`, and the two errors' wording
    plain         raw bytes, msgpack and JSON of builtin values
    typed         one declared type, through msgspec
    fingerprint   what a type looks like, in four bytes
    signed        pickle, under a signature
    foreign       a program's own codec, and the border to it
    tagged        compression, and the mark that tells what is compressed
    make          all of them by name: `make_codec`

None never reaches a codec: that a key has no value is marked elsewhere. A codec knows nothing of keys, groups or expiry, does no I/O, and
may be used from several threads. This package imports zmcache.core and zmcache.errors and nothing else of zmcache.
"""

from zmcache.codecs.base import Codec, Undecodable
from zmcache.codecs.make import CODECS, make_codec, reader_of, reads_counters, serves_threads
from zmcache.codecs.signed import pickle_codec
from zmcache.codecs.tagged import MAX_VALUE_BYTES

__all__ = [
    "CODECS",
    "MAX_VALUE_BYTES",
    "Codec",
    "Undecodable",
    "make_codec",
    "pickle_codec",
    "reader_of",
    "reads_counters",
    "serves_threads",
]
