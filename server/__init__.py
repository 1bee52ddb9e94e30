"""The running server: takes calls, records them, carries them out, answers."""
