"""One state from training to the stream, the store, the server, ONNX and C: each hop goes on where the last one was."""

from __future__ import annotations

import shutil
import subprocess

import httpx
import numpy as np
import pytest
import torch

from elman.data.batching import TruncatedBatches
from elman.estimators.language.network import LanguageNetwork
from elman.export import OnnxStream, to_c, to_onnx
from elman.export.c import STANDARD
from elman.live.sessions import Sessions
from elman.steps import StackStep, Stream
from elman.steps.parts import Chances
from elman.training.loop import fit
from elman.training.settings import TrainingSettings
from tests.live.test_server import served


def trained():
    """A net of frames, trained by truncated backpropagation through time, and the frames."""
    frames = (np.random.default_rng(0).random((160, 3)) < 0.3).astype(np.float32)
    frames[1::2] = frames[::2]  # every frame comes twice: there is something to remember
    x = torch.from_numpy(frames)
    net = LanguageNetwork(0, 3, body="recurrent", dropout=0.0, cell="lstm", hidden_size=6, num_layers=2)
    batches = TruncatedBatches([x[:-1]], [x[1:]], 1, 20, 0)
    fit(net, batches, settings=TrainingSettings(max_epochs=None, max_steps=30, learning_rate=0.02))
    return net.eval(), x


def by_c(made, folder, x, state):
    """The answers of the C file from a state on, and the state after."""
    (folder / "loop.c").write_text(
        f'#include "{made.header}"\n#include <stdio.h>\n'
        "int main(void) { net_state s; float x[3], y[3];\n"
        'for (int i = 0; i < NET_STATE; i++) if (scanf("%f", &s.at[i]) != 1) return 1;\n'
        'while (scanf("%f %f %f", x, x + 1, x + 2) == 3) { net_step(&s, x, y);\n'
        'for (int i = 0; i < 3; i++) printf("%.9g ", (double)y[i]); }\n'
        'for (int i = 0; i < NET_STATE; i++) printf("%.9g ", (double)s.at[i]);\n'
        "return 0; }\n"
    )
    subprocess.run(["cc", *STANDARD, "loop.c", made.source, "-o", "loop"], cwd=folder, check=True)
    given = " ".join(f"{v:.9g}" for v in [*state, *x.ravel()])
    said = subprocess.run([folder / "loop"], input=given, capture_output=True, text=True, check=True).stdout
    numbers = np.array(said.split(), np.float32)
    return numbers[: x.size].reshape(-1, 3), numbers[x.size :]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_same_state_goes_through_every_hop(tmp_path):
    net, frames = trained()
    with torch.no_grad():
        z, last = net(frames[None])
        _, state = net(frames[None, :40])  # as truncated training carries it from window to window
    exact, frames = torch.sigmoid(z[0]).numpy(), frames.numpy()
    step = StackStep("net", net.body, head=net.head, says=Chances(3))
    found = []

    stream = Stream(step, state)  # from training into a stream
    found += [stream.push(x) for x in frames[40:60]]
    stream.save(tmp_path / "state")  # a snapshot, and another stream
    other = Stream(step)
    other.restore(tmp_path / "state")
    found += [other.push(x) for x in frames[60:80]]

    with Sessions(step, tmp_path / "s.db") as sessions:  # a store, which another process opens
        sessions.put("a", other.state, 80)
        found += [sessions.push("a", x) for x in frames[80:100]]
    with served(step, store=tmp_path / "s.db") as url, httpx.Client(base_url=url) as client:
        found += [client.post("/v1/sessions/a/push", json={"x": x.tolist()}).json()["y"] for x in frames[100:120]]
        told = client.get("/v1/sessions/a").json()
        assert client.put("/v1/sessions/b", json={"steps": told["steps"], "state": told["state"]}).status_code == 201
        assert client.get("/v1/sessions/b").json()["state"] == told["state"]
        assert client.put("/v1/sessions/b", json={"steps": 1, "state": told["state"]}).status_code == 409
        assert client.put("/v1/sessions/c", json={"steps": 1, "state": {"h": [[0.0]]}}).status_code == 422

    onnx = OnnxStream(to_onnx(step, tmp_path / "net.onnx", steps=True).path)  # ONNX
    onnx.state = {name: np.array(part, np.float32) for name, part in told["state"].items()}
    found += [onnx.push(x) for x in frames[120:140]]

    numbers = np.concatenate([part.reshape(-1) for part in onnx.state.values()])
    y, end = by_c(to_c(step, tmp_path, "net"), tmp_path, frames[140:], numbers)  # C
    np.testing.assert_allclose([*found, *y], exact[40:], atol=2e-6)
    np.testing.assert_allclose(end, torch.cat([part.flatten() for part in last]).numpy(), atol=2e-6)
