"""Each file, port and peer that can be wrong: one line says so, the machine is as it was, a repair heals it."""
