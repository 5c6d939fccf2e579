"""The third backend: a traced cell as Triton kernels, for GPUs."""
