"""Files in and out, and the line for each kind of file that is no table."""

from __future__ import annotations

import gzip

import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elman.data import read_table, write_csv
from elman.errors import DataError, ElmanError, RunError

GOOD = "ds,y\n2024-01,1.5\n2024-02,\n2024-03,3\n"


def write(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", GOOD),
        ("A.CSV", GOOD),
        ("bom.csv", b"\xef\xbb\xbf" + GOOD.encode()),
        ("crlf.csv", GOOD.replace("\n", "\r\n")),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
        ("a.tsv", GOOD.replace(",", "\t")),
        ("semicolons.csv", GOOD.replace(",", ";")),
        ("blank_lines.csv", GOOD.replace("\n", "\n\n")),
    ],
)
def test_good_text(tmp_path, name, data):
    table = read_table(write(tmp_path, name, data))
    assert table.columns == ["ds", "y"] and table.shape == (3, 2)
    assert table["y"].is_null().to_list() == [False, True, False]


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_parquet(tmp_path, backend):
    data = {"ds": ["a", "b"], "y": [1, 2]}
    path = tmp_path / "a.parquet"
    pd.DataFrame(data).to_parquet(path) if backend == "pandas" else pl.DataFrame(data).write_parquet(path)
    assert read_table(path)["y"].to_list() == [1, 2]


def test_gzipped_parquet(tmp_path):
    pd.DataFrame({"y": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    packed = write(tmp_path, "b.parquet.gz", gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert read_table(packed)["y"].to_list() == [1, 2]


def test_parquet_with_times_as_index(tmp_path):
    frame = pd.DataFrame({"y": [1, 2]}, index=pd.date_range("2024", periods=2, name="ds"))
    frame.to_parquet(tmp_path / "a.parquet")
    assert set(read_table(tmp_path / "a.parquet").columns) == {"ds", "y"}


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"", "empty file"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "empty file"),
        ("a.csv", "\n \n", "blank"),
        ("a.csv", "ds,y\n", "only a header"),
        ("a.csv", "ds,y\n1,caf\xe9\n".encode("latin-1"), r"byte 0xe9 in line 2.*iconv"),
        ("a.csv", b"\xef\xbb\xbfds,y\n1,2\n3,\xff\n", r"byte 0xff in line 3"),
        ("a.csv", GOOD.encode("utf-16"), "UTF-16.*iconv"),
        ("a.csv", b"ds,y\n1,\0\n", "binary data .*line 2"),
        ("a.csv", b"PK\x03\x04junk", "spreadsheet"),
        ("a.csv", b"PAR1junk", "Parquet"),
        ("a.csv", gzip.compress(GOOD.encode(), mtime=0), "gzip"),
        ("a.csv.gz", GOOD, "gzip data are damaged"),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-9], "gzip data are damaged"),
        ("a.csv", "ds,y\n1,2\n3,4,5\n", "expected 2 cells.*3 in line 3"),
        ("a.csv", "ds,y\n1,2\n3\n", "expected 2 cells.*1 in line 3"),
        ("a.csv", "y,y\n1,2\n", "'y' twice"),
        ("a.csv", 'ds,y\n1,"2\n', "line 2 is not CSV"),
        ("a.xlsx", "x", "suffix '.xlsx'"),
        ("a", "x", "no suffix"),
        ("a.parquet", "x", "not Parquet"),
        ("a.parquet", b"PAR1junkPAR1", "damaged"),
    ],
)
def test_bad_files(tmp_path, name, data, says):
    with pytest.raises(DataError, match=says) as caught:
        read_table(write(tmp_path, name, data))
    assert "\n" not in str(caught.value)


def test_truncated_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"y": range(1000)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="cut short"):
        read_table(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="no folder"):
        read_table(tmp_path / "nowhere" / "nothing.csv")
    with pytest.raises(DataError, match="got a folder"):
        read_table(tmp_path)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(st.binary(max_size=60), st.text('a,";\n\t\r0', max_size=30).map(str.encode)),
    kind=st.sampled_from(["csv", "tsv", "csv.gz", "parquet"]),
)
def test_any_bytes_are_a_table_or_one_line(tmp_path, data, kind):
    try:
        table = read_table(write(tmp_path, f"any.{kind}", data))
    except ElmanError as error:
        assert "\n" not in str(error)
    else:
        assert len(table) > 0


@pytest.mark.parametrize("build", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_written_and_read_back(tmp_path, build, name):
    write_csv(build({"ds": ["a", "b,\u00e9"], "y": [1.5, 2.0]}), tmp_path / name)
    assert read_table(tmp_path / name).to_dict(as_series=False) == {"ds": ["a", "b,\u00e9"], "y": [1.5, 2.0]}
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    with pytest.raises(RunError, match="could not be written"):
        write_csv(pd.DataFrame({"y": [1]}), tmp_path / "nowhere" / "out.csv")
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(RunError, match="could not be written"):
        write_csv(nw.from_native(pd.DataFrame({"y": [1]})), tmp_path / "out.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]
