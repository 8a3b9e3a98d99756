"""The faults: each does one thing to the stage, and returns when it is over; what the cluster makes of it is watched by others."""
