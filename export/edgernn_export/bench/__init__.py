"""The workstation's part of `edgernn bench`: exported files, peers, accuracy and the picture.

Peers are the float network and the stock INT8 conversions of it, each in the fastest form we know.
`edgernn.bench` imports these modules by name, in separate processes.
"""
