"""How long commands take from start to end, as whole processes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.timing import ratio, report


def run() -> None:
    command = str(Path(sys.executable).with_name("lstmapps"))

    def process(*arguments: str):
        return lambda: subprocess.run(arguments, capture_output=True, check=True)

    empty = process(sys.executable, "-c", "pass")
    print("whole commands: ours, other, other / ours")
    for arguments in (["--help"], ["list"]):
        report(f"lstmapps {arguments[0]}, python -c pass", *ratio(process(command, *arguments), empty, runs=9))
    if "LSTMAPPS_DATA" in os.environ:
        line = next((Path(os.environ["LSTMAPPS_DATA"]) / "peraire_lines" / "test").glob("*.jpg"))
        predict = process(command, "predict", "handwriting/peraire", str(line))
        torch = process(sys.executable, "-c", "import torch")
        report("predict of one line, python -c 'import torch'", *ratio(predict, torch, runs=9))
