"""Readings as text: which file it is, how it is written, which columns feed which channel.

`edgernn run`, calibration files and whatever else reads tables share it, so that a file means the
same everywhere. A file is opened as lines (`text_files`), its delimiter and decimal mark are given
or looked up in its first lines (`dialect`), a reader turns each line into a `Record`, and a writer
answers records. Nothing here needs more than the standard library.
"""
