"""The run folder: what it says of itself, and what it refuses."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from torch import nn

from elman.errors import RunError
from elman.training.run import CONFIG, MANIFEST, MODEL, RunFolder

CONTENT = {"estimator": "Forecaster", "params": {"horizon": 3, "cell": "lstm"}, "state": {"scale": [0.1, 1e-300]}}


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run").create(command=["elman", "forecast"])
    folder.save_model(nn.GRU(1, 2).state_dict(), CONTENT, seeds={"torch": 3}, data_hash="abc")
    return folder


def test_what_is_saved_is_loaded(tmp_path):
    tied = nn.Linear(3, 3)
    weights = {"a": tied.weight, "b": tied.weight, "half": torch.ones(2, dtype=torch.bfloat16), "n": torch.tensor(7)}
    folder = RunFolder(tmp_path / "new" / "run").create()
    folder.save_model(weights, CONTENT)
    config, loaded = RunFolder(str(tmp_path / "new" / "run")).load_model()
    assert config == {"format": "elman-run", "version": 1, **CONTENT}
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_the_manifest_tells_what_is_needed_to_repeat_the_run(run):
    manifest = run.manifest()
    assert manifest["versions"].keys() == {"elman", "python", "torch", "numpy"}
    assert manifest["versions"]["torch"] == torch.__version__
    assert (manifest["seeds"], manifest["data_sha256"], manifest["command"]) == (
        {"torch": 3},
        "abc",
        ["elman", "forecast"],
    )
    assert {"started", "finished", "platform", "threads", "sha256"} <= manifest.keys()
    assert run.finished


def test_the_same_model_is_the_same_bytes(tmp_path):
    weights = {name: torch.ones(3) for name in "abcdef"}
    for name in ("one", "two"):
        RunFolder(tmp_path / name).create().save_model(weights, CONTENT)
    assert (tmp_path / "one" / MODEL).read_bytes() == (tmp_path / "two" / MODEL).read_bytes()
    assert (tmp_path / "one" / CONFIG).read_bytes() == (tmp_path / "two" / CONFIG).read_bytes()


@pytest.mark.parametrize("name", [MODEL, CONFIG, MANIFEST])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"\x80\x04cos\nsystem\n.",
        lambda content: content.replace(b"lstm", b"lstn").replace(b"F32", b"I32").replace(b'"sha256": {', b'"sha": {'),
        None,
    ],
    ids=["truncated", "empty", "pickle", "altered", "missing"],
)
def test_a_damaged_file_is_one_clear_error_with_its_name(run, name, damage):
    path = run.path / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError) as problem:
        run.load_model()
    line = str(problem.value)
    assert "\n" not in line and str(run.path) in line and line.endswith(".")
    assert name in line or name == MANIFEST


def rewrite_config(run, **changed):
    """Alters the configuration and vouches for it, as a newer elman or a stranger would."""
    other = RunFolder(run.path)
    raw = json.loads((run.path / CONFIG).read_text()) | changed
    text = json.dumps(raw).encode()
    (run.path / CONFIG).write_bytes(text)
    import hashlib

    manifest = other.manifest()
    manifest["sha256"][CONFIG] = hashlib.sha256(text).hexdigest()
    (run.path / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": 2}, "format version 2, this elman reads up to 1. Upgrade it: pip install --upgrade elman."),
        ({"format": "other"}, "not an elman configuration, format"),
        ({"params": 3}, "not an elman configuration, params"),
        ({"extra": 3}, "not an elman configuration, extra"),
        ({"version": None}, "it has no version"),
    ],
)
def test_a_foreign_or_newer_configuration_is_refused(run, changed, said):
    rewrite_config(run, **changed)
    with pytest.raises(RunError, match=said.replace("(", r"\(")):
        run.load_model()


def test_weights_of_another_making_are_refused(run):
    """A valid safetensors file with a fitting hash, but without elman's notes."""
    import hashlib

    from safetensors.torch import save

    content = save({"w": torch.ones(1)})
    (run.path / MODEL).write_bytes(content)
    manifest = run.manifest()
    manifest["sha256"][MODEL] = hashlib.sha256(content).hexdigest()
    (run.path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="not a whole elman safetensors file"):
        run.load_model()


def test_an_unfinished_run_has_no_model_yet(tmp_path):
    folder = RunFolder(tmp_path / "run").create()
    assert not folder.finished
    with pytest.raises(RunError, match=r"not finished and has no model yet\. Resume it"):
        folder.load_model()
    with pytest.raises(RunError, match="no such run folder"):
        RunFolder(tmp_path / "nowhere").load_model()


def test_a_foreign_folder_is_not_touched(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to_mother.txt").write_text("dear")
    with pytest.raises(RunError, match=r"must be empty or an elman run, got to_mother\.txt\. Choose another"):
        RunFolder(tmp_path / "letters").create(resume=True)
    assert [p.name for p in (tmp_path / "letters").iterdir()] == ["to_mother.txt"]
    (tmp_path / "letters" / MANIFEST).write_text('{"format": "webpack"}')
    with pytest.raises(RunError, match="not the manifest of an elman run"):
        RunFolder(tmp_path / "letters").create(resume=True)
    with pytest.raises(RunError, match="got a file"):
        RunFolder(tmp_path / "letters" / "to_mother.txt").create()


def test_a_run_is_not_overwritten_without_being_asked(run):
    with pytest.raises(RunError, match=r"holds a finished run\. Resume it"):
        RunFolder(run.path).create()
    assert RunFolder(run.path).create(resume=True).finished
    assert run.manifest()["resumed"] == []  # there was nothing left to resume


def test_a_resumed_run_says_so(run):
    (run.path / "checkpoint.safetensors").touch()
    RunFolder(run.path).create(resume=True)
    assert len(run.manifest()["resumed"]) == 1
    assert run.load_model()[0]["estimator"] == "Forecaster"


def test_an_empty_folder_and_one_moved_elsewhere_are_fine(run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert not RunFolder(tmp_path / "empty").create().finished
    shutil.move(run.path, tmp_path / "moved")
    assert RunFolder(tmp_path / "moved").load_model()[0]["params"]["horizon"] == 3


def test_texts_lie_beside_the_model_and_nowhere_else(run):
    run.write_text("report.html", "<p>ä</p>")
    assert (run.path / "report.html").read_text(encoding="utf-8") == "<p>ä</p>"
    for name in ("../out.txt", "sub/x.txt", MODEL, MANIFEST):
        with pytest.raises(RunError, match="plain name"):
            run.write_text(name, "")


def test_a_configuration_that_is_not_json_is_refused(run):
    for bad in ({"estimator": "F", "params": {"x": object()}, "state": {}}, {"params": {}, "state": {}}):
        with pytest.raises(RunError, match="config must be JSON"):
            run.save_model({}, bad)
