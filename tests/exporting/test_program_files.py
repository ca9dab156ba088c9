import io
import json
import zipfile

import pytest
import torch

from study.exporting.capturing import capture, prepared_examples
from study.exporting.parity import check_parity
from study.exporting.program_files import METADATA_FILE, program_runner, to_program
from tests.exporting.tasks import network_of, reader


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's own, of its own file format
def test_a_program_is_called_as_the_network_is_and_says_where_it_is_from() -> None:
    task = reader()
    model = network_of(task)
    captured = capture(task, model)
    data = to_program(captured, {"trial": "0042"})
    parity = check_parity("it", program_runner(data, captured.interface), captured, task)
    assert (parity.sizes, parity.lengths) == ((1, 2, 7), (6, 12))

    extra = {METADATA_FILE: ""}
    program = torch.export.load(io.BytesIO(data), extra_files=extra)
    assert json.loads(extra[METADATA_FILE]) == {"trial": "0042"}
    batch = prepared_examples(task, model, task.data.validation, 5)
    shorter = {name: tensor[:, :9] for name, tensor in batch.items()}
    with torch.no_grad():
        torch.testing.assert_close(program.module()(**shorter), model(**shorter).logits)


def test_no_example_and_no_path_of_this_machine_is_in_it() -> None:
    task = reader()
    data = to_program(capture(task, network_of(task)), {})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert sum(archive.getinfo(n).file_size for n in names if "sample_inputs" in n) == 0
        text = b"".join(archive.read(n) for n in names if n.endswith(".json"))
    assert b"tests/exporting" not in text
