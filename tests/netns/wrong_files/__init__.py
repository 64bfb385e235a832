"""Each file, port and peer that can be wrong: a line says so, the machine is as it was, a repair heals it."""
