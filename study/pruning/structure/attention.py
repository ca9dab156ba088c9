"""The heads of attention layers, and the attention that is left when some are taken out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.pruning.structure.units import Part, Role, Structure


def attention_heads(model: nn.Module) -> tuple[list[Structure], dict[str, str]]:
    """The heads of each ``nn.MultiheadAttention``, and of attention as in transformers and timm.

    A head is its rows of the projections of queries, keys and values, and its columns of the
    output projection; where several queries share keys and values, all of these go together.

    Parameters
    ----------
    model
        In plain form, without masks. It is not changed.

    Returns
    -------
    list of Structure
        In the order of the model, named like the attention modules.
    dict of str to str
        Reason by name, of modules whose heads must stay.
    """
    found, reasons = [], {}
    for name, module in model.named_modules():
        if not isinstance(module, nn.MultiheadAttention):
            own = _separate_heads(model, name, module) or _fused_heads(name, module)
            if own is not None:
                found.append(own)
            elif _dense(module, "qkv") is not None:
                reasons[name] = (
                    "its layer 'qkv' is not of 3 x num_heads x head_dim, as it states them"
                )
            continue
        if type(module) not in (nn.MultiheadAttention, NarrowAttention):
            reasons[name] = f"{type(module).__name__} computes in its own way"
        elif module.bias_k is not None or module.add_zero_attn:
            reasons[name] = "it adds a key of its own (add_bias_kv or add_zero_attn)"
        else:
            found.append(_heads(name, module))
    return found, reasons


def _heads(name: str, module: nn.MultiheadAttention) -> Structure:
    heads, prefix = module.num_heads, f"{name}." if name else ""
    once = torch.arange(heads).repeat_interleave(module.head_dim)
    thrice: list[tuple[str, int, Tensor, Role]] = [
        (own, 0, once.repeat(3) if own.startswith("in_proj") else once, "writes")
        for own in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight",
                    "in_proj_bias")
        if module._parameters.get(own) is not None
    ]  # fmt: skip
    parts = [*thrice, ("out_proj.weight", 1, once, "reads")]
    return Structure(
        name or "attention",
        heads,
        tuple(Part(prefix + own, dimension, units, role) for own, dimension, units, role in parts),
        alike=f"heads of {module.head_dim}",
        of_heads=True,
    )


_PROJECTIONS = (
    ("q_proj", "k_proj", "v_proj", ("o_proj", "out_proj")),
    ("query", "key", "value", ("../output.dense",)),  # of the module above: BERT and its kin
)


def _separate_heads(model: nn.Module, name: str, module: nn.Module) -> Structure | None:
    """The heads of a module that has a dense layer for each of queries, keys and values."""
    size = _head_size(module)
    above, _, _ = name.rpartition(".")
    for *own, outs in _PROJECTIONS:
        paths = [_join(name, each) for each in own]
        ends = [_join(above, o[3:]) if o.startswith("../") else _join(name, o) for o in outs]
        layers = [_dense(model, path) for path in paths]
        end = next((path for path in ends if _dense(model, path) is not None), None)
        if size is None or end is None or any(layer is None for layer in layers):
            continue
        queries, keys = (layer.out_features // size for layer in layers[:2] if layer is not None)
        if keys == 0:
            continue  # narrower than a head: what it states is not of this layer
        shared = torch.arange(keys).repeat_interleave(size)
        of_queries = torch.arange(keys).repeat_interleave(queries // keys * size)
        columns = model.get_submodule(end).get_parameter("weight").shape[1]
        heights = [model.get_submodule(path).get_parameter("weight").shape[0] for path in paths]
        units = [of_queries, shared, shared]
        if len(of_queries) != columns or [len(u) for u in units] != heights:
            continue
        parts = [
            Part(f"{path}.{tensor}", 0, unit_of, "writes")
            for path, unit_of in zip(paths, units, strict=True)
            for tensor, parameter in model.get_submodule(path).named_parameters()
        ]
        parts.append(Part(f"{end}.weight", 1, of_queries, "reads"))
        alike = f"{queries // keys} heads of {size}"
        return Structure(name or "attention", keys, tuple(parts), alike, of_heads=True)
    return None


def _fused_heads(name: str, module: nn.Module) -> Structure | None:
    """The heads of a module with one dense layer, "qkv", for queries, keys and values in turn."""
    size, heads = _head_size(module), getattr(module, "num_heads", None)
    qkv, proj = _dense(module, "qkv"), _dense(module, "proj")
    if size is None or not isinstance(heads, int) or qkv is None or proj is None:
        return None
    once = torch.arange(heads).repeat_interleave(size)
    if (qkv.weight.shape[0], proj.weight.shape[1]) != (3 * len(once), len(once)):
        return None
    rows = [
        Part(_join(name, f"qkv.{tensor}"), 0, once.repeat(3), "writes")
        for tensor, _ in qkv.named_parameters()
    ]
    columns = Part(_join(name, "proj.weight"), 1, once, "reads")
    parts = (*rows, columns)
    return Structure(name or "attention", heads, parts, f"heads of {size}", of_heads=True)


def _head_size(module: nn.Module) -> int | None:
    for name in ("head_dim", "attention_head_size"):
        size = getattr(module, name, None)
        if isinstance(size, int) and size > 0:
            return size
    return None


def _dense(model: nn.Module, path: str) -> nn.Linear | None:
    try:
        module = model.get_submodule(path)
    except AttributeError:
        return None
    return module if type(module) is nn.Linear else None


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def say_heads(module: nn.Module) -> None:
    """Let the numbers of heads that an attention module states agree with its dense layers.

    Parameters
    ----------
    module
        Whose layers were sliced; any other is left as it is.
    """
    size = _head_size(module)
    if size is None:
        return
    stated: dict[str, int] = {}
    fused = module._modules.get("qkv")
    if type(fused) is nn.Linear:
        width = fused.out_features // 3
        stated = {"num_heads": width // size, "attn_dim": width}
    for query, key, _, _ in _PROJECTIONS:
        q, k = (module._modules.get(each) for each in (query, key))
        if type(q) is nn.Linear and type(k) is nn.Linear:
            stated = {
                "num_attention_heads": q.out_features // size,
                "num_heads": q.out_features // size,
                "num_key_value_heads": k.out_features // size,
                "all_head_size": q.out_features,
            }
    for name, value in stated.items():
        if isinstance(getattr(module, name, None), int):
            setattr(module, name, value)


class NarrowAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` with fewer heads than fill its embedding.

    torch's own needs ``embed_dim = num_heads * head_dim``. Only :func:`narrow` makes one.
    """

    heads_before: int
    kept_heads: list[int]

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As of ``nn.MultiheadAttention``; weights are those of the heads that are left.

        Raises
        ------
        RuntimeError
            If ``is_causal`` is given without ``attn_mask``, as there.
        """
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        is_batched = query.dim() == 3
        if not is_batched:
            query, key, value = query[None], key[None], value[None]
            key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
        elif not self.batch_first:
            query, key, value = (each.transpose(0, 1) for each in (query, key, value))
        q, k, v = self._projected(query, key, value)
        mask = self._mask(q, key_padding_mask, attn_mask)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) / self.head_dim**0.5
            weights = (scores if mask is None else scores + mask).softmax(dim=-1)
            weights = functional.dropout(weights, dropout)
            mixed = weights @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, mask, dropout)
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if not is_batched:
            return out[0], None if weights is None else weights[0]
        return out if self.batch_first else out.transpose(0, 1), weights

    def _projected(self, *inputs: Tensor) -> list[Tensor]:
        """Queries, keys and values: each (examples, heads, length, head_dim)."""
        if self.in_proj_weight is not None:
            matrices = self.in_proj_weight.chunk(3)
        else:
            matrices = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return [
            functional.linear(x, w, b).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for x, w, b in zip(inputs, matrices, biases, strict=True)
        ]

    def _mask(self, q: Tensor, padding: Tensor | None, attn_mask: Tensor | None) -> Tensor | None:
        """What is added to the scores: broadcast to (examples, heads, length, keys)."""
        found = None
        if attn_mask is not None:
            found = _added(attn_mask, q.dtype)
            if found.dim() == 3:  # (examples x heads, ...), as many heads as there were
                found = found.unflatten(0, (-1, self.heads_before))[:, self.kept_heads]
        if padding is not None:
            of_keys = _added(padding, q.dtype)[:, None, None, :]
            found = of_keys if found is None else found + of_keys
        return found


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask in which True is "not to be looked at", as what is added to scores."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, -torch.inf)


def narrow(module: nn.MultiheadAttention, rows: Tensor) -> None:
    """Make an attention whose tensors were sliced compute with the heads that are left.

    Parameters
    ----------
    module
        Becomes a :class:`NarrowAttention`, in place.
    rows
        int64: which rows of the queries' projection, and of others that follow it, are left.
    """
    own = rows[rows < module.num_heads * module.head_dim]
    heads = (own[:: module.head_dim] // module.head_dim).tolist()
    before = list(range(module.num_heads))
    if isinstance(module, NarrowAttention):
        before = module.kept_heads
    else:
        vars(module).update(heads_before=module.num_heads)
        module.__class__ = NarrowAttention
        # A TransformerEncoderLayer may go past this module's forward(), but not where this is unset
        module._qkv_same_embed_dim = False
    vars(module).update(kept_heads=[before[head] for head in heads])
    module.num_heads = len(heads)
