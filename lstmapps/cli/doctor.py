"""`lstmapps doctor`: versions, plugins, devices, and what is wrong with them."""

from __future__ import annotations

import argparse
import importlib
import json
from importlib import metadata

from lstmapps.errors import UserError
from lstmapps.plugins import core_version, installed

_PACKAGES = ("torch", "lightning", "jsonargparse", "numpy", "safetensors", "rich", "rapidfuzz", "pyyaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    faults: list[str] = []
    versions = {"lstmapps": core_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            faults.append(f"{package} is not installed; reinstall lstmapps")
    plugins, broken = installed()
    faults += [f"the plugin {plugin.name} {plugin.reason}" for plugin in broken]
    for plugin in plugins.values():
        try:
            plugin.domain_class()
        except UserError as error:
            faults.append(f"the plugin {plugin.name}: {error}")
        except Exception as error:
            faults.append(f"the plugin {plugin.name} cannot be used ({type(error).__name__}: {error}); reinstall it")
    device = _device(faults)
    if arguments.json:
        report = {"versions": versions, "plugins": sorted(plugins), "device": device, "faults": faults}
        print(json.dumps(report))
    else:
        for name, version in versions.items():
            print(f"{name:<14}{version}")
        print(f"{'device':<14}{device}")
        print(f"{'plugins':<14}{', '.join(plugins) or 'none'}")
        for fault in faults:
            print(f"fault: {fault}")
        print("no faults found" if not faults else f"{len(faults)} faults found")
    return 1 if faults else 0


def _device(faults: list[str]) -> str:
    try:
        torch = importlib.import_module("torch")
    except Exception as error:
        faults.append(f"torch cannot be imported ({error}); reinstall it")
        return "none"
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    return f"CPU, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
