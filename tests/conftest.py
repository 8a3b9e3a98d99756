"""Being here makes the helpers in this folder importable from every test below it."""
