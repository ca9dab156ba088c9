"""Called by a test, in a process of its own: a study on two nodes, one of which is switched off."""

import os
import subprocess
import sys
import time
from pathlib import Path

from ray.cluster_utils import Cluster


def main(command: list[str], folder: Path) -> int:
    """Run the command on two nodes; the second goes when both have written a checkpoint."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        second = cluster.add_node(num_cpus=1)
        own = {**os.environ, "RAY_ADDRESS": cluster.address}
        study = subprocess.Popen(command, env=own)
        while study.poll() is None:
            if second is not None and len([*folder.glob("trials/*/resume/*.safetensors")]) == 2:
                cluster.remove_node(second, allow_graceful=False)
                print("a node was switched off", flush=True)
                second = None
            time.sleep(0.05)
        return study.returncode
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], Path(sys.argv[1])))
