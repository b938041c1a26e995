"""Rewrite the models in this directory, as Keras 2 saves them.

Run from the repository root, in an environment with tensorflow and tf_keras (Keras 2.21):

    python tests/golden/keras2/regenerate.py

Of each SavedModel only keras_metadata.pb and the variables are kept: the graph is not read.
"""

import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import tf_keras

HERE = Path(__file__).parent
LAYERS = tf_keras.layers


def stack():
    """Every cell, a BatchNormalization with real statistics, a nested model."""
    inner = tf_keras.Sequential([tf_keras.Input((None, 4)), LAYERS.GRU(3, return_sequences=True)])
    return tf_keras.Sequential(
        [
            tf_keras.Input((None, 3)),
            LAYERS.BatchNormalization(),
            LAYERS.LSTM(4, return_sequences=True),
            inner,
            LAYERS.TimeDistributed(LAYERS.Dense(3)),
            LAYERS.SimpleRNN(3),
            LAYERS.Dense(2, activation="relu"),
        ],
        name="stack",
    )


def hard():
    """hard_sigmoid as Keras 2 defines it, behind an adapted Normalization; functional."""
    given = tf_keras.Input((None, 3))
    normal = LAYERS.Normalization()
    normal.adapt(np.random.default_rng(1).normal(2.0, 3.0, (4, 5, 3)))
    x = LAYERS.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True)(normal(given))
    x = LAYERS.GRU(4, recurrent_activation="hard_sigmoid", return_sequences=True)(x)
    x = LAYERS.GRU(4, recurrent_activation="hard_sigmoid", reset_after=False)(x)
    return tf_keras.Model(given, LAYERS.Dense(2)(x), name="hard")


def pack_saved_model(model):
    """Save as SavedModel; keep what is read of it in one archive."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder, save_format="tf")
        kept = [*sorted(Path(folder).glob("variables/*")), Path(folder) / "keras_metadata.pb"]
        with zipfile.ZipFile(HERE / f"{model.name}_saved_model.zip", "w") as archive:
            for file in kept:
                entry = zipfile.ZipInfo(file.relative_to(folder).as_posix())
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, file.read_bytes())


def main():
    """Save both models as .h5 and SavedModel, and what they answer to one input."""
    answers = {}
    for seed, make in enumerate((stack, hard)):
        rng = np.random.default_rng(seed)
        model = make()
        for variable in model.weights:
            if "kernel" in variable.name or "bias" in variable.name:
                variable.assign(rng.normal(0.0, 0.8, variable.shape))
        for layer in model.layers:
            if isinstance(layer, LAYERS.BatchNormalization):
                layer.set_weights([rng.uniform(0.5, 2.0, 3).astype("f4") for _ in range(4)])
        x = rng.normal(size=(2, 6, 3)).astype(np.float32)
        answers[model.name] = {"x": x.tolist(), "y": model(x).numpy().tolist()}
        model.save(HERE / f"{model.name}.h5")
        pack_saved_model(model)
    model.save(HERE / "version2.keras")
    (HERE / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
