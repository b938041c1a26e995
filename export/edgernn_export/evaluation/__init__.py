"""How a float network and its integer model answer the same recording, and what that costs.

    from edgernn_export import evaluate

    result = evaluate("model.edgernn", "test.csv", "demand", float_model="model.keras", horizon=1)
    print(result.table())
    result.plot("test.png")

Both run in the way the model runs: on windows, on endless streams, from the zero state at the
beginning of each stream.
"""
