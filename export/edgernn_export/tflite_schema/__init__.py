"""The TFLite file format: tables, numbers and options of operators, to write and to read files."""
