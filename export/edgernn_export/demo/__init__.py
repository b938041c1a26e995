"""The demo: a GRU forecaster of atmospheric CO2, from the record to bit-exact INT8 streams.

`data` loads the record, `forecaster` trains, asks and scores, `plot` and `tables` show, `pipeline`
puts the steps in order for the subcommand `edgernn demo`.
"""
