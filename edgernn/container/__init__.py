"""How a model lies in bytes: its file, the metadata of other formats, the memory of a device."""
