"""The demo: a GRU forecaster of atmospheric CO2, from the record to bit-exact INT8 streams.

`data` loads the record, `train` trains, `forecasts` scores, `plot` and `tables` show, `steps` puts
the steps in order for the subcommand `edgernn demo`.
"""
