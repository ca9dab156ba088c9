"""Where workers look for modules: in what is installed first, and in the user's folders last."""

from __future__ import annotations

import sys

from ray.job_config import JobConfig


class OwnFoldersLast(JobConfig):
    """What Ray is told of a driver, such that a user's ``pandas.py`` is not taken for pandas.

    Ray has its workers put the folder of the driver's script, and the one that it was called from,
    before all else (``py_driver_sys_path``; each entry goes to the front, one after the other).
    Here all other folders of the driver follow, and so come to stand before those two. On a node
    where there are no such folders, nothing is changed by them.

    Nothing public comes before those two: a ``worker_process_setup_hook`` is imported once they
    stand in front, from a user's ``study.py`` if there is one, and a ``working_dir`` sends the
    whole folder to every node. So what Ray tells workers is changed as it is written down, for
    which it calls this private method; ``tests/tuning/test_own_files.py`` fails once it does not.
    """

    def _serialize(self) -> str:
        own = list(dict.fromkeys(self._py_driver_sys_path))
        others = [place for place in sys.path if place and place not in own]
        self._py_driver_sys_path = [*own, *reversed(others)]
        told: str = super()._serialize()
        return told
