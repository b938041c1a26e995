"""The kernels that generated C brings: which files of ``edgernn/native``, and all in one."""
