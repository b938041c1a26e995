"""Recurrent layers from matrices, as readers of other formats than Keras describe them.

They become layers of the reader of Keras, or cells beyond Keras: no other path reads them.
"""
