"""Cells as generated C. A call goes: `backend` → `operator` (derivatives) → `kernel` (buffers) → `c/` (the time loop).

Beside them: `render` (a traced cell → C), `compiler` and `cache` (C → a library on disk), `library` (opened, with its
functions), `arguments` (the one struct between Python and C), `rows` (sequences by length), `stepper` (one step).
"""
