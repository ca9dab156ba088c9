"""Networks of attention: images in patches and windows, and Hugging Face's for words."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.entry import CLASSES, Entry, images, tokens


class _Attention(nn.Module):
    """One projection to queries, keys and values, as vision models write it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = heads, width // heads, width
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        examples, length, _ = x.shape
        qkv = self.qkv(x).reshape(examples, length, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(q, k, v)
        out = out.transpose(1, 2).reshape(examples, length, self.attn_dim)
        return self.proj(out)  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Attention and two dense layers, each on what is normed (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.norm1(x))
        out: Tensor = x + self.down(functional.gelu(self.up(self.norm2(x))))
        return out

    def attend(self, x: Tensor) -> Tensor:
        """Over all of it."""
        out: Tensor = self.attention(x)
        return out


class ViT(nn.Module):
    """Patches, a class token, positions, two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 5, 8) * 0.1)
        self.blocks = nn.Sequential(_Block(8, 2), _Block(8, 2))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        out: Tensor = self.head(self.norm(self.blocks(x)[:, 0]))
        return out


class _WindowBlock(_Block):
    """Attention within windows of 2 x 2, which may be shifted (Liu et al. 2021)."""

    def __init__(self, width: int, heads: int, shift: int) -> None:
        super().__init__(width, heads)
        self.shift = shift

    def attend(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        windows = x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        x = self.attention(windows.reshape(-1, 4, c))
        x = x.view(n, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return torch.roll(x, (self.shift, self.shift), (1, 2))


class Swin(nn.Module):
    """Two stages of windows, with a merging of patches between."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 2, stride=2)
        self.stage1 = nn.Sequential(_WindowBlock(8, 2, 0), _WindowBlock(8, 2, 1))
        self.norm, self.merge = nn.LayerNorm(32), nn.Linear(32, 12, bias=False)
        self.stage2 = _WindowBlock(12, 2, 0)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage1(self.patches(x).permute(0, 2, 3, 1))
        corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        x = self.merge(self.norm(torch.cat(corners, -1)))
        out: Tensor = self.head(self.stage2(x).mean((1, 2)))
        return out


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(
            vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=12, max_position_embeddings=8, num_labels=CLASSES,
            classifier_dropout=0.0,
        )
    )  # fmt: skip


def llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    return LlamaForSequenceClassification(
        LlamaConfig(
            vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=12, max_position_embeddings=8,
            num_labels=CLASSES, pad_token_id=0, use_cache=False,
        )
    )  # fmt: skip


def _words(n: int) -> dict[str, Tensor]:
    ids = tokens()(n)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


ATTENTIVE = (
    Entry("ViT", ViT, images()),
    Entry("Swin-like", Swin, images()),
    Entry("BERT (transformers)", bert, _words),
    Entry("Llama (transformers)", llama, _words),
)
