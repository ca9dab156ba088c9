"""What a network takes: on disk, compressed, and in sparse storage."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from torch import Tensor, nn

from study.exporting.sparse_files import to_sparse


@dataclass(frozen=True)
class Sizes:
    """Bytes of a file, and of its network.

    Parameters
    ----------
    file_bytes
        On disk.
    gzip_bytes
        Of the file compressed by gzip, at its highest level.
    dense_bytes
        Of all weights and buffers of the dense network as they are in memory, tied ones once.
    sparse_bytes
        Of those of the network in sparse storage: a bit for each weight and the values that are
        not zero, with the names.
    parameters, nonzero_parameters
        Of the network, tied ones once.
    dense_parameters
        Of the dense network, likewise: with what was left out of this one.
    """

    file_bytes: int
    gzip_bytes: int
    dense_bytes: int
    sparse_bytes: int
    parameters: int
    nonzero_parameters: int
    dense_parameters: int


def sizes_of(data: bytes, model: nn.Module, dense: nn.Module) -> Sizes:
    """Measure a file and the network in it, beside the network that nothing was left out of.

    Parameters
    ----------
    data
        The file.
    model
        What is in it.
    dense
        The same network as it was built, of whatever values; often the same module.
    """
    state = _tensors(model)
    whole = _tensors(dense)
    parts = {(t.data_ptr(), t.dtype, t.shape): t.nbytes for t in whole.values() if t.numel()}
    parameters = list(model.parameters())
    return Sizes(
        file_bytes=len(data),
        gzip_bytes=len(gzip.compress(data, compresslevel=9, mtime=0)),
        dense_bytes=sum(parts.values()),
        sparse_bytes=len(to_sparse(state, {})),
        parameters=sum(parameter.numel() for parameter in parameters),
        nonzero_parameters=sum(int(parameter.count_nonzero()) for parameter in parameters),
        dense_parameters=sum(parameter.numel() for parameter in dense.parameters()),
    )


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {n: t.detach() for n, t in model.state_dict().items() if isinstance(t, Tensor)}
