"""A layer's product with torch's sparse matrices, against the dense product with zeros in it.

Forward only, float32, one thread, a batch of 128: what a sparse format could save in evaluation.
Training would need the backward products on top, in two more formats.
"""

from __future__ import annotations

import warnings

import torch

from benchmarks.measuring import Figure, interleaved_ms, ratios

CASES = {"784 to 300": (300, 784, 50), "2048 to 2048": (2048, 2048, 3)}


def measure(quick: bool = False) -> list[Figure]:
    """Time of the dense product, over that of the sparse one."""
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
    figures = []
    for name, (rows, columns, inner) in CASES.items():
        for density in (0.2, 0.1, 0.05, 0.02, 0.01):
            torch.manual_seed(0)
            weight = torch.randn(rows, columns) * (torch.rand(rows, columns) < density)
            sparse, inputs = weight.to_sparse_csr(), torch.randn(columns, 128)
            torch.testing.assert_close(sparse @ inputs, weight @ inputs, rtol=1e-4, atol=1e-3)
            times = interleaved_ms(
                {
                    "dense": lambda weight=weight, inputs=inputs: weight @ inputs,
                    "sparse": lambda sparse=sparse, inputs=inputs: sparse @ inputs,
                },
                5 if quick else 21,
                inner,
            )
            found = ratios(times["dense"], times["sparse"])
            figures.append(Figure.of(f"{name}, density {density}", "x sparse", found))
    return figures
