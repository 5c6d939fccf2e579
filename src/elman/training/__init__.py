"""Training: one readable loop, what it writes down, and how it goes on after being killed.

In the order a run passes them: `settings` (what is asked for), `schedule` (the learning rate), `loop` (the run),
`state` (where it stands), `average` (the mean of the weights), `diagnosis` (why it failed), `progress` (what is shown),
`history` (what is remembered), `checkpoint` (what a resumed run needs), `run` (the folder that is left). Under these:
`assembly` (devices, optimiser), `randomness`, `signals`, `tensors` (weights as bytes).

Nothing is imported here, so that reading a run folder does not pay for the loop's dependencies.
"""
