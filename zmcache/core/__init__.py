"""The pure core: no sockets, no clock or randomness of its own, no logging. See the floor plan in `zmcache`."""
