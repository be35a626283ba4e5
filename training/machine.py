"""What kind of machine computed a result: two of one kind should agree in every bit, two of different kinds need not.

Libraries choose their arithmetic by the processor they find: the order of sums, fused operations and the width of
vectors differ between instruction sets, between versions of oneDNN, MKL and OpenBLAS, and with the number of threads.
Trained weights amplify the last bit, so another kind gives other hashes, rightly.
"""

import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch

from training.options import options_hash

INSTRUCTIONS = ("avx2", "fma3", "avx512_f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_bf16", "amx_fp16")
# What a user may set to lower what a library takes for granted, or to widen it.
SETTINGS = (
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE"),
    *("MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "OPENBLAS_CORETYPE", "NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def machine() -> dict[str, Any]:
    """Processor, libraries, threads and GPUs that decide the last bits, and `kind`, a hash of all of it.

    `cpu` is vendor and family/model as the kernel numbers them, `capability` what torch's own kernels were chosen for,
    and `libraries` say for which core NumPy's OpenBLAS tuned itself. Nothing names the machine itself.
    """
    found = {
        "cpu": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "instructions": _instructions(),
        "libraries": _libraries(),
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
        "threads": {"torch": torch.get_num_threads()} | {n: os.environ[n] for n in THREADS if n in os.environ},
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "driver": _driver(),
    }
    return {**found, "kind": options_hash(found)}


@cache
def _processor() -> str:
    """`AuthenticAMD 25/17`: vendor, family and model; what the platform says where the kernel does not."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    keys = ("vendor_id", "cpu family", "model")
    values = [re.search(rf"^{key}\s*: (.+)$", text, re.MULTILINE) for key in keys]
    if not all(values):
        return platform.machine()
    vendor, family, model = (value[1] for value in values)
    return f"{vendor} {family}/{model}"


def _instructions() -> list[str]:
    known = torch.cpu.get_capabilities()
    return [name for name in INSTRUCTIONS if known.get(name)]


@cache
def _libraries() -> dict[str, str]:
    """Versions of the libraries behind matrix products and convolutions; those that are there."""
    shown = torch.__config__.show()
    found = {}
    for name, pattern in (("mkl", r"Math Kernel Library Version (\S+)"), ("onednn", r"MKL-DNN v(\S+)")):
        if version := re.search(pattern, shown):
            found[name] = version[1]
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return found
    # Both always: what else a stage has imported must not change what kind of machine this is.
    import numpy  # noqa: F401
    import scipy.linalg  # noqa: F401

    for library in threadpool_info():
        if library["user_api"] == "blas" and (owner := _owner(Path(library["filepath"]))) is not None:
            version = f"{library['version']} {library.get('architecture', '')}".strip()
            found[f"{library['internal_api']} {owner}".strip()] = version
    if torch.cuda.is_available():
        found |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
    return found


def _owner(library: Path) -> str | None:
    """Which package brought a library: numpy or scipy, "" where it lies beside no package, None for any other one."""
    parts = [part.split(".")[0] for part in library.parts]
    if "site-packages" not in parts:
        return ""
    return next((name for name in ("numpy", "scipy") if name in parts), None)


@cache
def _driver() -> str | None:
    """The GPU driver's version; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return lines[0] if lines else None
