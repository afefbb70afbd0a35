"""runtime/archive.py: what is written is read; nothing else is, and nothing is executed."""

import json
import os
import pickle
import re
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fasttsne
from fasttsne.runtime import archive

FACTS = {"word": "ä", "list": [1, 2.5, None, True], "digits": 10**30}
ARRAYS = {
    "f4": np.arange(6, dtype=np.float32).reshape(2, 3),
    "f8.fortran": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
    "file": np.array([1, -2], dtype=np.int64),  # a name that numpy.savez takes for its own
    "u1": np.arange(3, dtype=np.uint8),
    "empty": np.empty((0, 3)),
    "scalar": np.array(1.5),
    "wide": np.arange(24, dtype=np.int32).reshape(2, 3, 4)[:, ::2],
}


class Evil:
    """Unpickling this makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open("x.npz", "wb") as file:
        archive.write(file, "thing", 3, FACTS, ARRAYS)
    yield tmp_path / "x.npz"
    assert not os.path.exists("evil")


@pytest.fixture
def short(path):
    with open("short.npz", "wb") as file:
        arrays = {"x": np.array([1.0, 2.0]), "y": np.zeros(1)}
        archive.write(file, "thing", 3, {"a": 1}, arrays)
    return path.parent / "short.npz"


def read(path):
    return archive.read(path, "thing", 3)


def message(path):
    with pytest.raises(archive.ArchiveError) as caught:
        read(path)
    return str(caught.value)


def assert_whole(path):
    facts, arrays = read(path)
    assert FACTS.items() <= facts.items() and list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype and arrays[name].flags.writeable
        assert arrays[name].flags.aligned


def test_facts_and_arrays_come_back(path):
    assert_whole(path)
    assert read(path)[1]["f8.fortran"].flags.f_contiguous
    assert archive.is_one(path, "thing") and not archive.is_one(path, "map")
    assert not archive.is_one(path.parent / "none", "thing")
    with open(path, "wb") as file:
        archive.write(file, "thing", 3, {"long": "x" * 5000}, {})
    assert archive.is_one(path, "thing")


def test_numpy_reads_the_file_and_two_files_are_alike(path):
    with np.load(path, allow_pickle=False) as file:
        assert_array_equal(file["f4"], ARRAYS["f4"])
        assert json.loads(file["facts"].tobytes())["format"] == "fasttsne thing"
    with open("again.npz", "wb") as file:
        archive.write(file, "thing", 3, FACTS, ARRAYS)
    assert path.read_bytes() == (path.parent / "again.npz").read_bytes()


def test_arrays_are_read_in_pieces(path, monkeypatch):
    monkeypatch.setattr(archive, "_CHUNK", 5)
    assert_whole(path)


def test_arrays_of_more_than_a_plain_zip_holds(path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    with open(path, "wb") as file:
        archive.write(file, "thing", 3, FACTS, ARRAYS)
    monkeypatch.undo()
    assert_whole(path)


def test_objects_are_not_written(path):
    with open(path, "wb") as file, pytest.raises(ValueError, match="Object arrays cannot be saved"):
        archive.write(file, "thing", 3, {}, {"x": np.array([Evil()])})


def test_the_other_byte_order(path):
    swapped = {"a": np.arange(5.0).astype(np.dtype(float).newbyteorder())}
    with open(path, "wb") as file:
        archive.write(file, "thing", 3, {}, swapped)
    found = read(path)[1]["a"]
    assert found.dtype.isnative
    assert_array_equal(found, np.arange(5.0))


def test_every_flipped_byte_is_found_or_does_not_matter(short):
    """Dates and such in the archive's directory do not matter."""
    whole, refused = short.read_bytes(), 0
    for place in range(len(whole)):
        flipped = whole[place] ^ 1 << place % 8
        short.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        try:
            facts, arrays = read(short)
            assert (facts["a"], arrays["x"].tolist(), len(arrays)) == (1, [1.0, 2.0], 2)
        except archive.ArchiveError:
            refused += 1
    assert refused > len(whole) / 2


def test_every_shorter_file_is_refused(short):
    whole = short.read_bytes()
    for length in range(len(whole)):
        short.write_bytes(whole[:length])
        assert message(short).startswith("is damaged, or no thing that fasttsne has written (")


def with_member(path, content, name="f4.npy", **changed):
    """Replace a member by these bytes, and fields of its entry in the directory."""
    with zipfile.ZipFile(path) as old:
        kept = {name: old.read(name) for name in old.namelist()}
    kept[name] = content
    with zipfile.ZipFile(path, "w") as new:
        for key, value in kept.items():
            new.writestr(zipfile.ZipInfo(key), value)
        for field, value in changed.items():
            setattr(new.getinfo(name), field, value)


def npy(header, data=b"", version=b"\x01\x00"):
    text = header.encode() if isinstance(header, str) else header
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + data


def header(dtype="<f4", shape="(2, 3)", fortran="False"):
    return f"{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (npy(header(), b"1234" * 6), None),
        (npy(header(shape="(1000000000000, 1000000000000)"), b"1234" * 6), "another size"),
        (npy(header(shape="(10000000000,)"), b"1234"), "another size"),
        (npy(header(), b"1234" * 5), "another size"),
        (npy(header(), b"1234" * 7), "another size"),
        (npy(header(shape="(0, 999999999999999999)")), None),
        (npy(header(shape=f"({'1, ' * 100})"), b"1234"), "dimension"),
        (npy(header(shape="(-2, -3)"), b"1234" * 6), "no array of plain numbers"),
        (npy(header() + " ", b"1234" * 6), "no array of plain numbers"),
        (npy(header()[:-1], b"1234" * 6), "no array of plain numbers"),
        (npy(header(shape="(-2, 3)"), b"1234" * 6), "no array of plain numbers"),
        (npy(header(shape="(2, 3"), b"1234" * 6), "no array of plain numbers"),
        (npy(header(shape="(" + "1" * 60_000), b"1234"), "no array of plain numbers"),
        (npy(header(shape="(" * 60_000), b"1234"), "no array of plain numbers"),
        (npy(header(dtype="|O"), pickle.dumps(Evil())), "no array of plain numbers"),
        (npy(header(dtype="<U6"), b"1234" * 6), "no array of plain numbers"),
        (npy(header(dtype="<c8"), b"12345678" * 6), "no array of plain numbers"),
        (npy(header(dtype="|b1"), b"\x02" * 6), "no array of plain numbers"),
        (npy(header(dtype="<M8[s]"), b"12345678" * 6), "no array of plain numbers"),
        (npy(header(dtype="|V4"), b"1234" * 6), "no array of plain numbers"),
        (npy("__import__('os').mkdir('evil')\n", b"1234"), "no array of plain numbers"),
        (npy(header(), b"1234" * 6, version=b"\x02\x00"), "no array of plain numbers"),
        (b"\x93NUMPY", "no array of plain numbers"),
        (b"", "no array of plain numbers"),
    ],
)
def test_members_that_are_no_arrays_of_plain_numbers(path, content, expected):
    with_member(path, content)
    if expected is None:
        read(path)
    else:
        assert expected in message(path)


def test_sizes_are_checked_before_anything_is_read(path, monkeypatch):
    def allocate(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(archive.np, "empty", allocate)
    zeros = npy(header(shape="(25000000,)"), bytes(10**8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("facts.npy", zeros)
    assert os.path.getsize(path) < 10**6 and "it is compressed" in message(path)
    path.unlink()
    with open(path, "wb") as file:
        archive.write(file, "thing", 3, FACTS, ARRAYS)
    whole = path.read_bytes()
    with_member(path, b"12", file_size=1 << 40, compress_size=1 << 40)
    assert "it claims more bytes than it has" in message(path)
    path.write_bytes(whole)
    with_member(path, npy(header(shape="(1099511627776,)")), file_size=1 << 42)
    assert "it claims more bytes than it has" in message(path)


def test_members_that_end_early(path):
    content = npy(header(shape="(2, 4)"), b"1234" * 6)
    with_member(path, content, file_size=len(content) + 8)
    assert "f4.npy ends early" in message(path)


def test_members_of_one_name(path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("f4.npy", npy(header(), b"1234" * 6))
    assert "a name occurs twice" in message(path)


def test_members_that_are_missing_or_have_other_names(path):
    with zipfile.ZipFile(path) as old:
        kept = {name: old.read(name) for name in old.namelist()}
    moved = kept.pop("f4.npy")
    for more in ({}, {"f5.npy": moved}, {"f4.npy": moved, "f5.npy": moved}):
        with zipfile.ZipFile(path, "w") as new:
            for name, content in {**kept, **more}.items():
                new.writestr(zipfile.ZipInfo(name), content)
        assert "(arrays are missing)" in message(path)


def test_too_little_memory_is_no_damage(path, monkeypatch):
    def allocate(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(archive.np, "empty", allocate)
    with pytest.raises(MemoryError):
        read(path)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a": ' * 100_000, "1" * 10_000, "[1]", "null", '"fasttsne"', "", "\xff", "{}"]
    + ['{"format": "fasttsne thing", "version": "x"}', '{"format": "fasttsne thing"}'],
)
def test_facts_that_are_none(path, text):
    data = text.encode("latin1")
    with_member(path, npy(header("|u1", f"({len(data)},)"), data), name="facts.npy")
    assert message(path).startswith("is damaged, or no thing that fasttsne has written (")


@pytest.mark.parametrize("kind", ["thing", 1000 * "x"])
def test_messages_are_short(path, kind):
    facts = {"format": f"fasttsne {kind}", "version": 4, "fasttsne": 1000 * "1.", "arrays": []}
    data = json.dumps(facts).encode()
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("facts.npy", npy(header("|u1", f"({len(data)},)"), data))
    assert len(message(path)) < 200


def test_other_files(path):
    for content in (b"", b"precious\n", pickle.dumps(Evil()), npy(header(), b"1234" * 6)):
        path.write_bytes(content)
        assert "is damaged, or no thing that fasttsne has written" in message(path)
    np.savez(path, X=np.zeros(3))
    assert "is damaged, or no thing that fasttsne has written (it has arrays only)" in message(path)
    np.savez(path, facts=np.array([Evil()], dtype=object))
    assert "facts.npy is no array of plain numbers" in message(path)
    with pytest.raises(FileNotFoundError):
        read(path.parent / "none.npz")
    with pytest.raises(OSError, match=r"directory|denied"):
        read(path.parent)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFO")
def test_a_fifo_is_not_waited_for(path):
    os.mkfifo("fifo")
    assert message(path.parent / "fifo") == "is no regular file"


def test_kinds_and_versions(path):
    with pytest.raises(archive.ArchiveError, match=r"^holds a fasttsne thing, not a map$"):
        archive.read(path, "map", 3)
    expected = rf"^is of fasttsne {re.escape(fasttsne.__version__)}, whose format 3 .*upgrade"
    with pytest.raises(archive.ArchiveError, match=expected):
        archive.read(path, "thing", 2)
    assert archive.read(path, "thing", 4)[0]["version"] == 3
