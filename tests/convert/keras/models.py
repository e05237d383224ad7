"""Models that Keras itself builds and writes, for the tests of the reader."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from keras import layers as L

Input = keras.Input
S = keras.Sequential


def _encoder_decoder():
    source, target = Input((None, 3)), Input((None, 2))
    _, h, c = L.LSTM(4, return_state=True)(source)
    y = L.LSTM(4, return_sequences=True)(target, initial_state=[h, c])
    return keras.Model([source, target], L.Dense(2, activation="softmax")(y))


def _functional(function, *shapes):
    inputs = [Input(shape) for shape in shapes]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], function(*inputs))


def _both_ways(merge, sequences):
    return S([Input((None, 3)), L.Bidirectional(L.LSTM(4, return_sequences=sequences), merge)])


def _encoder():
    return S([Input((None, 3)), L.Masking(0.0), L.LSTM(4, return_sequences=True)])


def _twice(one, two):
    both = _functional(lambda a, b: [L.Add()([a, b]), L.LSTM(4)(b)], (None, 3), (None, 3))
    start, first = both([two, one])
    middle, second = both([one, start])
    return L.Concatenate()([first, second, S([Input((None, 3)), L.GRU(2)])(middle)])


def _whole_encoder():
    """A model that gives the sequence, then each state."""
    return _functional(lambda a: L.LSTM(3, return_sequences=True, return_state=True)(a), (None, 3))


def _outputs_of_two_calls(a):
    encoder = _whole_encoder()
    sequence, first, _ = encoder(a)
    sequence, _, second = encoder(sequence)
    return [second, first, sequence]


def _attended(query, value):
    with_key = L.Attention(use_scale=True)([query, value, L.Dense(4)(value)])
    return L.Concatenate()([query, L.Attention()([query, value]), with_key])


def _normalized(**told):
    numbers = {"mean": [0.5, 1.0, -2.0], "variance": [4.0, 1.0, 0.25]}
    layer = L.Normalization(**told) if told else L.Normalization(**numbers)
    if told:
        layer.adapt(np.random.default_rng(0).standard_normal((50, 3)) * 2 + 1)
    return layer


def _operations(a, b):
    """What Python's operators and functions of `keras.ops` write down beside the layers."""
    y = L.LSTM(4, return_sequences=True)(a)
    z = keras.ops.tanh(1 - 2 * y) / 3 + keras.ops.sigmoid(y * y) - 0.5
    z = keras.ops.concatenate([z, -keras.ops.flip(y, 1)], -1)
    last = keras.ops.maximum(z[:, -1], z[:, 0])
    pooled = keras.ops.mean(z, 1) + keras.ops.max(z, axis=1)
    scaled = L.Rescaling(0.5, offset=1.0)(L.Minimum()([last, pooled]))
    return L.Concatenate()([keras.ops.minimum(scaled, last), keras.ops.relu(b)])


def _masked_states(a, b):
    """An encoder and decoders: Keras 3 heeds a mask beside states only where it is named."""
    source, target = L.Masking(0.0)(a), L.Masking(0.0)(b)
    _, *states = L.LSTM(4, return_state=True)(source)
    y = L.LSTM(4, return_sequences=True)(target, initial_state=states)
    there = keras.ops.any(keras.ops.not_equal(b, 0.0), axis=-1)
    z = L.LSTM(4, return_sequences=True)(target, initial_state=states, mask=there)
    stacked = L.RNN([L.GRUCell(4), L.SimpleRNNCell(4)])(target, initial_state=states, mask=there)
    return [z, L.GRU(2)(y), stacked, L.RNN([L.GRUCell(4), L.GRUCell(4)])(b, initial_state=states)]


def _merges(*places):
    """Every merge of these of: masked by 0.0, masked by 0.5, not masked."""

    def made(a, b):
        parts = [L.Masking(0.0)(a), L.Masking(0.5)(b), L.LSTM(3, return_sequences=True)(a)]
        read = [parts[place] for place in places]
        merged = [
            merge()(read[:2] if merge is L.Subtract else read)
            for merge in (
                L.Add,
                L.Average,
                L.Concatenate,
                L.Maximum,
                L.Minimum,
                L.Multiply,
                L.Subtract,
            )
        ]
        return [*merged, *(L.GRU(2)(sequence) for sequence in merged)]

    return made


def _weighted(a, b):
    """Attention over time by hand, and a mean of what is not masked."""
    y = L.LSTM(4, return_sequences=True)(a)
    weights = L.Softmax(axis=1)(L.Dense(4, activation="tanh")(y))
    mean = L.GlobalAveragePooling1D()(L.GRU(3, return_sequences=True)(L.Masking(0.0)(b)))
    return [L.Multiply()([y, weights]), mean]


def _masked_alike(a):
    masked = L.Masking(0.0)(a)
    y, z = (layer(4, return_sequences=True)(masked) for layer in (L.LSTM, L.GRU))
    both = L.Concatenate()([y, L.Add()([y, z])])
    other = L.Add()([L.LSTM(8, return_sequences=True)(L.Masking(0.5)(a)), both])
    return [L.GRU(3)(both), L.GRU(3)(other)]


#: How each model is made, by what it is there for.
MODELS = {
    "lstm": lambda: S([Input((None, 3)), L.LSTM(4, return_sequences=True), L.Dense(2)]),
    "last step": lambda: S([Input((None, 3)), L.GRU(4), L.Dense(2, activation="softmax")]),
    "reset before": lambda: S([Input((None, 3)), L.GRU(4, reset_after=False)]),
    "activations": lambda: S(
        [
            Input((None, 3)),
            L.GRU(
                4,
                use_bias=False,
                activation="softsign",
                recurrent_activation="hard_sigmoid",
                return_sequences=True,
            ),
            L.LSTM(4, use_bias=False, activation="elu", return_sequences=True),
            L.SimpleRNN(4, activation="swish", unroll=False),
            L.Activation("gelu"),
            L.LeakyReLU(),
            L.ELU(),
            L.ReLU(),
        ]
    ),
    "backwards": lambda: S(
        [Input((None, 3)), L.SimpleRNN(4, return_sequences=True, go_backwards=True)]
    ),
    **{
        f"both ways, {merge}, {'all steps' if sequences else 'last step'}": (
            lambda merge=merge, sequences=sequences: _both_ways(merge, sequences)
        )
        for merge in ("concat", "sum", "ave", "mul")
        for sequences in (True, False)
    },
    "both ways apart": lambda: _functional(
        lambda x: L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode=None)(x), (None, 3)
    ),
    "masked": lambda: S(
        [Input((None, 3)), L.Masking(0.0), L.LSTM(4, return_sequences=True), L.Dense(3), L.GRU(3)]
    ),
    "masked both ways": lambda: S(
        [
            Input((None, 3)),
            L.Masking(0.0),
            L.Bidirectional(L.LSTM(4, return_sequences=True)),
            L.Bidirectional(L.GRU(4)),
        ]
    ),
    "masked words": lambda: S(
        [
            Input((None,), dtype="int32"),
            L.Embedding(7, 3, mask_zero=True),
            L.Bidirectional(L.LSTM(4)),
            L.Dense(1, activation="sigmoid"),
        ]
    ),
    "cells": lambda: S(
        [
            Input((None, 3)),
            L.RNN([L.LSTMCell(4), L.GRUCell(3), L.LSTMCell(2)], return_sequences=True),
            L.RNN(L.SimpleRNNCell(2)),
        ]
    ),
    "convolution and norms": lambda: S(
        [
            Input((None, 3)),
            L.Conv1D(5, 3, padding="causal", activation="relu", dilation_rate=2),
            L.BatchNormalization(),
            L.Conv1D(4, 4, padding="same", use_bias=False),
            L.Conv1D(4, 2, strides=2, groups=2),
            L.LSTM(4, return_sequences=True),
            L.LayerNormalization(),
            L.TimeDistributed(L.Dense(2)),
            L.Dropout(0.5),
            L.GlobalAveragePooling1D(),
            L.BatchNormalization(scale=False, center=False),
            L.LayerNormalization(scale=False),
        ]
    ),
    "shapes": lambda: S(
        [
            Input((6, 3)),
            L.Permute((2, 1)),
            L.LSTM(4, return_sequences=True),
            L.Flatten(),
            L.RepeatVector(3),
            L.Reshape((2, 18)),
            L.GRU(2, return_sequences=True),
            L.GlobalMaxPooling1D(),
        ]
    ),
    "pooled": lambda: S(
        [
            Input((12, 3)),
            L.SpatialDropout1D(0.3),
            L.MaxPooling1D(2, strides=1),
            L.AveragePooling1D(3),
            L.GRU(4, return_sequences=True, activation=L.LeakyReLU(0.3)),
            L.Dense(3, activation=L.ELU(0.5)),
            L.Softmax(),
        ]
    ),
    "normalized": lambda: S(
        [
            Input((None, 3)),
            _normalized(axis=-1),
            L.GRU(3, return_sequences=True),
            _normalized(),
            L.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 0.5], invert=True),
        ]
    ),
    "slopes": lambda: S(
        [
            Input((None, 3)),
            L.ReLU(max_value=0.5),
            L.LSTM(4, return_sequences=True, activation=L.ReLU(negative_slope=0.1, max_value=6)),
            L.PReLU(shared_axes=[1], alpha_initializer="random_normal"),
            L.ReLU(negative_slope=0.2, max_value=0.3),
            L.GRU(4),
            L.PReLU(alpha_initializer="random_normal"),
        ]
    ),
    "for training alone": lambda: S(
        [
            Input((None, 3)),
            L.GaussianNoise(0.1),
            L.GRU(4, return_sequences=True),
            L.AlphaDropout(0.1),
            L.GaussianDropout(0.2),
            L.ActivityRegularization(0.1),
            L.Dense(2),
        ]
    ),
    "steps added and taken": lambda: S(
        [
            Input((None, 3)),
            L.ZeroPadding1D((0, 2)),
            L.GRU(4, return_sequences=True),
            L.UpSampling1D(3),
            L.Cropping1D((1, 2)),
            L.ZeroPadding1D(1),
            L.Cropping1D((2, 0)),
        ]
    ),
    "attention": lambda: _functional(
        lambda a, b: _attended(
            L.GRU(4, return_sequences=True)(a), L.LSTM(4, return_sequences=True)(b)
        ),
        (None, 3),
        (None, 2),
    ),
    "products": lambda: _functional(
        lambda a, b: L.Concatenate()(
            [
                L.Dot(1)([L.LSTM(4)(a), L.Dense(4)(b)]),
                L.Dot(-1, normalize=True)([L.GRU(3)(a), L.Dense(3)(b)]),
                L.Flatten()(L.Dot((2, 1))([L.GRU(2, return_sequences=True)(a), L.Dense(2)(b)])),
            ]
        ),
        (6, 3),
        (2,),
    ),
    "branches": lambda: _functional(
        lambda a: L.Add()(
            [
                L.LSTM(4, return_sequences=True)(a),
                L.Average()([L.GRU(4, return_sequences=True)(a), L.Dense(4)(a)]),
            ]
        ),
        (None, 3),
    ),
    "two inputs": lambda: _functional(
        lambda a, b: L.Concatenate()(
            [L.Multiply()([L.LSTM(4)(a), L.Dense(4)(b)]), L.Subtract()([b, L.Maximum()([b, b])])]
        ),
        (None, 3),
        (2,),
    ),
    "encoder and decoder": _encoder_decoder,
    "states": lambda: _functional(
        lambda a: L.LSTM(4, return_state=True, return_sequences=True)(a), (None, 3)
    ),
    "masked, backwards, with its state": lambda: _functional(
        lambda a: L.GRU(4, go_backwards=True, return_state=True, return_sequences=True)(
            L.Masking(0.0)(a)
        ),
        (None, 3),
    ),
    "masked, behind one that reads backwards": lambda: S(
        [
            Input((None, 3)),
            L.Masking(0.0),
            L.GRU(4, return_sequences=True, go_backwards=True),
            L.SimpleRNN(3, return_sequences=True),
        ]
    ),
    "words in a graph": lambda: keras.Model(
        ids := Input((None,), dtype="int32"),
        L.Dense(2)(L.Bidirectional(L.LSTM(4))(L.Embedding(7, 3, mask_zero=True)(ids))),
    ),
    "a mask of its own": lambda: _functional(
        lambda a: L.GRU(4, return_sequences=True)(
            a, mask=keras.ops.any(keras.ops.not_equal(a, 0.0), axis=-1)
        ),
        (None, 3),
    ),
    "both ways with their states": lambda: _functional(
        lambda a: L.Bidirectional(L.LSTM(4, return_state=True, return_sequences=True))(a), (None, 3)
    ),
    "both ways of cells": lambda: S(
        [
            Input((None, 3)),
            L.Bidirectional(L.RNN(L.GRUCell(4), return_sequences=True)),
            L.Bidirectional(L.RNN(L.LSTMCell(3)), merge_mode="sum"),
        ]
    ),
    "two ways that differ": lambda: S(
        [
            Input((None, 3)),
            L.Bidirectional(
                L.LSTM(4, return_sequences=True),
                backward_layer=L.GRU(4, return_sequences=True, go_backwards=True),
            ),
        ]
    ),
    "gates by the order of their weights": lambda: S(
        [
            Input((None, 3)),
            L.LSTM(4, unit_forget_bias=False, use_bias=False, return_sequences=True),
            L.GRU(4, use_bias=False, return_sequences=True),
            L.GRU(4, use_bias=False, reset_after=False),
        ]
    ),
    "models in a model": lambda: S(
        [
            Input((None, 3)),
            _functional(
                lambda a: L.Dense(2)(L.BatchNormalization()(L.GRU(4)(_encoder()(a)))), (None, 3)
            ),
            S([Input((2,)), L.Dense(3)]),
            L.Dense(1),
        ]
    ),
    "a model that is called twice": lambda: _functional(_twice, (None, 3), (None, 3)),
    "outputs of two calls of a model": lambda: _functional(_outputs_of_two_calls, (None, 3)),
    "operations": lambda: _functional(_operations, (None, 3), (2,)),
    "masked otherwise": lambda: _functional(_merges(0, 1), (None, 3), (None, 3)),
    "not masked first": lambda: _functional(_merges(2, 0, 1), (None, 3), (None, 3)),
    "not masked last": lambda: _functional(_merges(0, 1, 2), (None, 3), (None, 3)),
    "weighted": lambda: _functional(_weighted, (None, 3), (None, 3)),
    "masked, with states": lambda: _functional(_masked_states, (None, 3), (None, 3)),
    "masked alike": lambda: _functional(_masked_alike, (None, 3)),
    "dropout inside": lambda: S([Input((None, 3)), L.LSTM(4, dropout=0.2, recurrent_dropout=0.3)]),
}


def make(name):
    """The model, with weights that are not those it was born with."""
    model = MODELS[name]()
    draw = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" not in weight.path:
            value = draw.standard_normal(weight.shape) / 2
            weight.assign(abs(value) + 0.1 if "variance" in weight.path else value)
    return model


def inputs_of(model, T, B):
    """Inputs of a model; where it masks, the first row ends early and the last begins late."""
    draw = np.random.default_rng(T + B)
    found = []
    for tensor in model.inputs:
        shape = [B, *(T if size is None else size for size in tensor.shape[1:])]
        if tensor.dtype == "int32":
            x = draw.integers(1, 7, shape)
        else:
            x = draw.standard_normal(shape).astype("float32")
        if any("mask" in layer.name or getattr(layer, "mask_zero", 0) for layer in model.layers):
            x[0, T // 2 :] = 0
            x[-1, :1] = 0
        found.append(x)
    return found
