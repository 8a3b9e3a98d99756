"""The commands, a file each: what is written on the command line becomes a plan, and is executed."""
