from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.tasks.forward import as_model_takes, call, working_dtype


class Difference(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left - right


@dataclass
class Pair:
    right: Tensor
    left: Tensor


ONE, TWO = torch.ones(2), torch.full((2,), 2.0)


@pytest.mark.parametrize(
    "inputs",
    [(TWO, ONE), [TWO, ONE], {"right": ONE, "left": TWO}, Pair(right=ONE, left=TWO)],
)
def test_parts_are_arguments_by_place_or_by_name(inputs: Any) -> None:
    assert torch.equal(call(Difference(), inputs), ONE)


def test_one_tensor_is_one_argument_however_many_rows_it_has() -> None:
    assert torch.equal(call(nn.Identity(), torch.eye(2)), torch.eye(2))


def test_images_of_bytes_become_numbers_from_zero_to_one_and_stay_bytes_where_they_are() -> None:
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    found = as_model_takes(images, torch.float32)
    assert found.flatten().tolist() == pytest.approx([byte / 255 for byte in range(256)])
    assert images.dtype == torch.uint8
    assert int(images.max()) == 255


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (torch.float64, torch.bfloat16),
        (torch.float32, torch.bfloat16),
        (torch.int32, torch.int64),
        (torch.uint8, torch.int64),  # no image: indices
        (torch.bool, torch.bool),
        (torch.complex64, torch.complex64),
    ],
)
def test_parts_of_the_inputs_get_the_types_that_models_take(
    given: torch.dtype, wanted: torch.dtype
) -> None:
    x = torch.ones(3, 2).to(given)
    found = as_model_takes({"x": x, "more": (x, "name")}, torch.bfloat16)
    assert (found["x"].dtype, found["more"][0].dtype) == (wanted, wanted)
    assert found["more"][1] == "name"


def test_a_model_works_in_the_type_of_its_parameters() -> None:
    assert working_dtype(nn.Linear(2, 2).double()) == torch.float64
    assert working_dtype(nn.Flatten()) == torch.float32
    quantised = nn.ParameterDict(
        {
            "i": nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False),
            "x": nn.Parameter(torch.zeros(2, dtype=torch.float16)),
        }
    )
    assert working_dtype(quantised) == torch.float16
