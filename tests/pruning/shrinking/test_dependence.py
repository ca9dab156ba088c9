"""What may differ between inputs is seen, whatever the example; what cannot, is seen too."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from study.pruning import shrink
from study.pruning.shrinking.dependence import dependence

FAR = 1e9
"""More than any input that is tried."""


class Between(nn.Module):
    """Something between a layer whose units 0 and 1 are dead and the one that reads it.

    Unit 0 sends 0.7 on after a ReLU, and unit 1 zero.
    """

    def __init__(self, between: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.made, self.read, self.between = nn.Linear(4, 8), nn.Linear(8, 2), between
        self.register_buffer("table", torch.cat([torch.ones(40, 1), torch.zeros(40, 1)]))
        with torch.no_grad():
            self.made.weight[:2] = 0.0
            self.made.bias[:2] = torch.tensor([0.7, -0.7])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.read(self.between(self.made(x).relu(), x))
        return out


def far(x: Tensor) -> Tensor:
    """True for examples that none of those tried is like."""
    return x.sum(-1, keepdim=True) > FAR


def written(h: Tensor, x: Tensor) -> Tensor:
    h[..., :1] += far(x)
    return h


def written_to_data(h: Tensor, x: Tensor) -> Tensor:
    h.data[..., :1] += far(x)
    return h


def written_to_an_empty_one(h: Tensor, x: Tensor) -> Tensor:
    out = torch.empty(h.shape)
    out[..., 2:] = h[..., 2:]
    out[..., :2] = h[..., :2] * (1 - far(x).float())
    return out


DEPENDING: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], list[int]]] = {
    "product": (lambda h, x: h * (1 - far(x).float()), [0]),
    "quotient": (lambda h, x: h / (1 + far(x).float()), [0]),
    "choice": (lambda h, x: torch.where(far(x), h + 1, h), [0, 1]),
    "filling": (lambda h, x: h.masked_fill(far(x), 0.0), [0]),
    "sum": (lambda h, x: h + far(x), [0, 1]),
    "in place": (written, [0]),
    "data": (written_to_data, [0]),
    "empty": (written_to_an_empty_one, [0]),
    "matrix": (lambda h, x: far(x).float().expand(-1, len(x)) @ h + h, [0]),
    "norm": (lambda h, x: functional.layer_norm(h, (8,)), [0, 1]),
    "softmax": (lambda h, x: h.softmax(-1), [0, 1]),
    "roll": (lambda h, x: h.roll(1, -1), [0]),
    "lookup": (lambda h, x: torch.eye(2, 8)[far(x)[..., 0].long()] + h, [0, 1]),
    "noise": (lambda h, x: h + torch.rand(1), [0, 1]),
    "nothing": (lambda h, x: h, []),
    "gate": (lambda h, x: h * h.sigmoid(), []),
    "drawn apart": (lambda h, x: torch.cat(h.chunk(2, -1), -1).clamp(max=5.0), []),
    "turned": (lambda h, x: h.t().contiguous().view(2, 4, -1).flatten(0, 1).t(), []),
    "pooled": (lambda h, x: functional.avg_pool1d(h.t()[None], 1)[0].t(), []),
    "the same choice": (lambda h, x: torch.where(far(x), h, h), []),
}


@pytest.mark.parametrize("name", DEPENDING)
def test_what_comes_to_a_unit_on_its_way_is_seen_wherever_it_comes_from(name: str) -> None:
    between, depends = DEPENDING[name]
    model = Between(between).eval()
    found = dependence(model, ["read"], lambda m: m(torch.rand(3, 4)))
    assert found.unclear is None
    assert found.arriving["read"][:2].nonzero().flatten().tolist() == depends
    assert bool(found.arriving["read"][3:].all())


@pytest.mark.parametrize("name", sorted(set(DEPENDING) - {"noise"}))
def test_no_example_has_a_unit_go_that_another_input_would_need(name: str) -> None:
    model = Between(DEPENDING[name][0]).eval()
    small = shrink(model, torch.rand(3, 4)).model
    x = torch.rand(4, 4)
    x[::2] *= 10 * FAR
    with torch.no_grad():
        torch.testing.assert_close(small(x), model(x), rtol=1e-4, atol=1e-4)


LOOKING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "if": lambda h, x: 100 * h if x.sum() > FAR else h,
    "item": lambda h, x: h * (1 + max(0, int(x.max().item() > FAR))),
    "list": lambda h, x: 100 * h if max(x.flatten().tolist()) > FAR else h,
    "numpy": lambda h, x: 100 * h if x.detach().numpy().max() > FAR else h,
    "size": lambda h, x: 100 * h if len(x[x > FAR]) else h,
    "nonzero": lambda h, x: 100 * h if len((x > FAR).nonzero()) else h,
    "equal": lambda h, x: h if torch.equal(x, x.clamp(max=FAR)) else 100 * h,
}


@pytest.mark.parametrize("how", LOOKING)
@pytest.mark.parametrize("has_gradients", [True, False])
def test_where_code_looks_at_values_all_stays_and_it_is_said(how: str, has_gradients: bool) -> None:
    model = Between(LOOKING[how]).eval().requires_grad_(has_gradients)
    found = shrink(model, torch.rand(3, 4))
    assert not found.removed
    assert "its code looks at values (test_dependence.py:" in found.kept_because["made"]
    x = 10 * FAR * torch.rand(3, 4)
    torch.testing.assert_close(found.model(x), model(x), rtol=0, atol=0)


def test_a_branch_that_the_example_does_not_take_keeps_what_it_reads() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.f = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            h = self.a(x).relu()
            out: Tensor = self.f(self.b(h).relu() if x.sum() > 0 else h)
            return out

    model = Branching().eval()
    with torch.no_grad():
        model.b.weight[1], model.b.bias[1] = 0.0, 0.0
    found, x = shrink(model, torch.rand(3, 4)), -torch.rand(3, 4)
    assert set(found.kept_because) == {"a", "b", "f"}
    torch.testing.assert_close(found.model(x), model(x), rtol=0, atol=0)


def test_a_look_at_what_is_given_is_none() -> None:
    def between(h: Tensor, x: Tensor) -> Tensor:
        return h if bool((torch.ones(3) > 0).all()) else 2 * h

    assert (
        dependence(Between(between).eval(), ["read"], lambda m: m(torch.rand(3, 4))).unclear is None
    )


def test_a_table_of_positions_may_be_longer_than_the_example_reaches() -> None:
    class Positions(Between):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.read(self.made(x).relu() * self.table[: x.shape[1]])
            return out

    model = Positions(lambda h, x: h).eval()
    found = shrink(model, torch.rand(2, 5, 4))
    assert found.removed == {"made": (1,)}
    assert "may be something else for other inputs" in found.kept_because["made"]
    x = torch.rand(2, 80, 4)
    torch.testing.assert_close(found.model(x), model(x))


def test_tokens_that_the_example_lacks_count() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.e, self.a, self.f = nn.Embedding(50, 8), nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, t: Tensor) -> Tensor:
            h = self.a(self.e(t)).relu() * (t != 49)[..., None]
            out: Tensor = self.f(h).mean(1)
            return out

    model = Padded().eval()
    with torch.no_grad():
        model.a.weight[:2] = 0.0
        model.a.bias[:2] = torch.tensor([0.7, -0.7])
    found = shrink(model, torch.randint(0, 20, (4, 5)))
    assert found.removed == {"a": (1,)}
    tokens = torch.full((2, 5), 49)
    tokens[0, 0] = 1
    torch.testing.assert_close(found.model(tokens), model(tokens))
    assert "unit 0: what it sends to 'f'" in found.kept_because["a"]
