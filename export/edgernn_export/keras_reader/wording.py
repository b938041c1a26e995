"""What helps a user, in the words of the format that a network comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What helps, as a user of one format would write it; in the words of Keras unless told.

    Attributes:
        features_input: the input has another shape than (batch, time, features).
        float_input: the input holds no floats.
        same_steps: inputs have different time axes.
        tokens_input: tokens have another shape than (batch, time).
        integer_input: tokens have another type than integers or floats.
        same_branches: what is joined comes at different steps.
        same_grids: what is joined comes at different readings.
        last_step: something changes the time axis.
        every_step: a layer is given the last step of another one alone.
        stateless: nothing in the network has a state.
        identity_after, identity_before: a linear layer with the identity helps, there.
        same_outputs: some outputs come at every step, others at the last one.
        longer_windows: windows are shorter than strides allow; {steps} is what they need.
        zero_state: a cell begins with a state that edgernn cannot pass to it.
        own_start: a layer begins with a state made of the stream that it reads.
        causal: convolutions pad differently.
        causal_first: strides or pooling come behind recurrent layers.
        last_of_backward: the last step of a layer that reads backward is taken with a slice.
        forward_encoder: an encoder reads in both directions.
        unit_strides: a network that reads backward has strides.
        fixed_steps: a pooling takes all steps of windows of any length.
        forward_pooling: a network that reads backward pools all steps.
    """

    features_input: str = "Rebuild it with keras.Input((None, features)) and copy the weights."
    float_input: str = "Rebuild it with an input of dtype float32 and copy the weights."
    same_steps: str = (
        "Train with inputs of the same number of steps, keras.Input((None, features)), and "
        "repeat constant values at every step."
    )
    tokens_input: str = "Rebuild it with keras.Input((None,), dtype='int32') and copy the weights."
    integer_input: str = "Rebuild it with an input of dtype int32 and copy the weights."
    same_branches: str = (
        "Train with the same return_sequences in both branches: a stream has no steps to repeat."
    )
    same_grids: str = (
        "Give both branches the same strides, kernel sizes and padding, or pad with 'causal'."
    )
    last_step: str = (
        "A stream has no steps to join or swap. Train without this layer; for the last "
        "step only, use return_sequences=False."
    )
    every_step: str = "Train with return_sequences=True in every recurrent layer except the last."
    stateless: str = "A network without a state needs no session: convert it with TFLite."
    identity_after: str = (
        "Add a linear Dense layer with the identity as kernel after it; the outputs do not change."
    )
    identity_before: str = (
        "Add a linear Dense layer with the identity as kernel before it; the outputs do not change."
    )
    same_outputs: str = "Train with the same return_sequences before all of them."
    longer_windows: str = (
        "Rebuild it with keras.Input(({steps}, features)), copy the weights, and use longer "
        "windows; the outputs belong to the same readings."
    )
    zero_state: str = (
        "This cell starts from the zero state: train without initial_state, or with a SimpleRNN, "
        "GRU or LSTM, whose initial state another stream can compute."
    )
    own_start: str = (
        "Add a separate input for it, as for a decoder, or train without initial_state: a stream "
        "has no end to look back from."
    )
    causal: str = "Train with padding='causal' in all convolutions."
    causal_first: str = (
        "Move strides, pooling and padding='valid' before all recurrent layers, or train with "
        "strides=1 and padding='causal'."
    )
    last_of_backward: str = "Train with return_sequences=False in that layer instead."
    forward_encoder: str = "Train the encoder without Bidirectional, and quantize both as programs."
    unit_strides: str = "Train with strides=1 and padding='causal'."
    fixed_steps: str = (
        "Rebuild it with keras.Input((steps, features)) and copy the weights, or train with the "
        "last step alone: return_sequences=False."
    )
    forward_pooling: str = (
        "Train with return_sequences=False instead, or without layers that read backward."
    )


KERAS = Wording()
