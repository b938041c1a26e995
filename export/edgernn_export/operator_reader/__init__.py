"""Read graphs of operators: what they do to axes is followed, what they compute becomes layers.

A format gives its operators one by one, each with a handler from the table of the format;
handlers use the functions of this package, which make calls of described layers.
"""
