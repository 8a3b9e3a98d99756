"""Configs: a YAML file becomes frozen structs, or one line that says what is wrong and where.

    units       sizes and durations as people write them
    rules       what a single setting may be
    model       the structs: the specification of the files, and what the program reads
    yamlfile    YAML to a mapping, duplicate keys refused
    environ     ZMCACHE_* variables over it
    build       the mapping to the structs
    load        all of that in order, then what concerns several settings at once
    summary     a valid file in a few lines
    schema      the JSON schema for editors; also ``python -m zmcache.config.schema``

This package imports zmcache.errors and zmcache.core and nothing else of zmcache.
"""

from zmcache.config.load import is_cluster_file, load_cluster, load_node, node_id_from, parse_cluster, parse_node
from zmcache.config.model import (
    ClusterConfig,
    DiscoverySettings,
    GroupConfig,
    ImportLoader,
    NodeConfig,
    NodeSettings,
    SqlLoader,
)
from zmcache.config.summary import check
from zmcache.core.units import format_duration, format_size, parse_duration, parse_size

__all__ = [
    "ClusterConfig",
    "DiscoverySettings",
    "GroupConfig",
    "ImportLoader",
    "NodeConfig",
    "NodeSettings",
    "SqlLoader",
    "check",
    "format_duration",
    "format_size",
    "is_cluster_file",
    "load_cluster",
    "load_node",
    "node_id_from",
    "parse_cluster",
    "parse_duration",
    "parse_node",
    "parse_size",
]
