"""A transformer of Hugging Face's that reads reviews: inputs by name, an object with logits.

    prune-study run examples/text_classifier.toml

Needs the package transformers (`pip install 'prune-study[transformers]'`). The network is made
here, from a small configuration, and nothing is downloaded. So are the reviews: words that praise,
words that blame, words that say nothing, and "not", which turns the next word around. A value for
each word, added up, is right in six of ten; the rest is a matter of which stands before which.
"""

import numpy as np
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from study.tasks import Task, make_task

PAD, CLS, NOT = 0, 1, 2
GOOD, BAD, NEUTRAL = range(3, 13), range(13, 23), range(23, 64)
LENGTH = 20


def model() -> nn.Module:
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=64, hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=96, max_position_embeddings=LENGTH, num_labels=2,
            initializer_range=0.1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )
    )  # fmt: skip


def review(draw: np.random.Generator) -> tuple[list[int], int]:
    """Words of a review, and whether it praises more than it blames."""
    words, praise = [CLS], 0
    for _ in range(draw.choice([1, 3])):  # an odd number: no ties
        words += draw.choice(NEUTRAL, draw.integers(0, 4)).tolist()
        is_good, is_turned = draw.random() < 0.5, draw.random() < 0.35
        words += [NOT, draw.choice(GOOD if is_good else BAD)][0 if is_turned else 1 :]
        praise += 1 if is_good != is_turned else -1
    return words, int(praise > 0)


def reviews(n: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    draw = np.random.default_rng(seed)
    ids, labels = np.full((n, LENGTH), PAD), np.zeros(n, int)
    for row in range(n):
        words, labels[row] = review(draw)
        ids[row, : len(words)] = words
    return {"input_ids": ids, "attention_mask": (ids != PAD).astype(int)}, labels


def task() -> Task:
    return make_task(
        model, train=reviews(4000, 0), validation=reviews(1000, 1), test=reviews(2000, 2),
        name="reviews", metrics=["accuracy", "auroc"],
        epochs=6, batch_size=64, optimizer="adamw", lr=2e-3, weight_decay=0.01,
        decay_norms_and_biases=False, warmup_epochs=1, clip_norm=1.0,
    )  # fmt: skip
