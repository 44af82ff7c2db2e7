#!/usr/bin/env python3
"""Writes small files as torch.save does, without torch, and hostile ones beside them.

    torch_files.py FOLDER

Good ones: zip.pth, series.th, root.pth. Bad ones: bad-WHAT. The classes below stand in for torch's, so that
pickle writes torch's names.
"""

import collections
import io
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

MAGIC = 0x1950A86A20F9469CFC6C


def stand_in(module, name, kind=type):
    if module not in sys.modules:
        sys.modules[module] = types.ModuleType(module)
    if kind is type:
        made = type(name, (), {"__module__": module, "__qualname__": name})
    else:
        made = lambda *arguments: None  # noqa: E731
        made.__module__, made.__name__, made.__qualname__ = module, name, name
    setattr(sys.modules[module], name, made)
    return made


TYPES = {
    code: stand_in("torch", f"{name}Storage")
    for code, name in [("f", "Float"), ("d", "Double"), ("q", "Long"), ("B", "Byte"), ("e", "Half")]
}
REBUILD = stand_in("torch._utils", "_rebuild_tensor_v2", None)
PARAMETER = stand_in("torch._utils", "_rebuild_parameter", None)


class Storage:
    def __init__(self, code, values, key, elements=None):
        self.type, self.key = TYPES[code], key
        self.data = struct.pack(f"<{len(values)}{code}", *values)
        self.elements = len(values) if elements is None else elements


class Tensor:
    def __init__(self, storage, shape, strides=None, offset=0):
        if strides is None:
            strides = [1] * len(shape)
            for i in range(len(shape) - 1, 0, -1):
                strides[i - 1] = strides[i] * shape[i]
        self.arguments = (storage, offset, tuple(shape), tuple(strides), False, collections.OrderedDict())

    def __reduce__(self):
        return REBUILD, self.arguments


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return PARAMETER, (self.tensor, True, collections.OrderedDict())


class Call:
    """Pickled as a call of a function of the standard library."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pickled(value, series):
    class Pickler(pickle.Pickler):
        storages = {}

        def persistent_id(self, item):
            if not isinstance(item, Storage):
                return None
            self.storages[item.key] = item
            return ("storage", item.type, item.key, "cpu", item.elements) + ((None,) if series else ())

    out = io.BytesIO()
    pickler = Pickler(out, 2)
    pickler.storages = {}
    pickler.dump(value)
    return out.getvalue(), pickler.storages


def series(value, edit=lambda data: data):
    data, storages = pickled(value, True)
    out = pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2)
    out += pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2) + edit(data)
    out += pickle.dumps(sorted(storages), 2)
    for key in sorted(storages):
        out += struct.pack("<q", storages[key].elements) + storages[key].data
    return out


def zipped(value, compression=zipfile.ZIP_STORED, edit=lambda data: data, more=()):
    data, storages = pickled(value, False)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("archive/data.pkl", edit(data))
        archive.writestr("archive/byteorder", "little")
        for key, storage in storages.items():
            archive.writestr(f"archive/data/{key}", storage.data)
        for name, content in more:
            archive.writestr(name, content)
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


def state_dict():
    shared = Storage("f", [0, 1, 2, 3, 4, 5], "7")
    return collections.OrderedDict(
        [
            ("module.a.weight", Tensor(shared, [2, 3])),
            ("module.a.transposed", Tensor(shared, [3, 2], [1, 3])),
            ("module.a.tail", Parameter(Tensor(shared, [2], offset=4))),
            ("module.b.count", Tensor(Storage("q", [-5], "8"), [])),
            ("module.b.bytes", Tensor(Storage("B", [1, 2, 255], "9"), [3])),
            ("module.b.empty", Tensor(Storage("d", [], "10"), [0, 4])),
        ]
    )


def one(tensor, name="a"):
    return {"state_dict": collections.OrderedDict([(name, tensor)])}


def deep(depth):
    """A list in a list in a list …, which pickle itself would not write."""
    return lambda data: b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def dict_aliases(count):
    """A dict of so many dicts, which are all one, of as many entries."""
    keys = [b"U\x04%04d" % i for i in range(count)]
    inner = b"}q\x00(" + b"".join(key + b"N" for key in keys) + b"u"
    return lambda data: b"\x80\x02" + inner + b"}(" + b"".join(key + b"h\x00" for key in keys) + b"u."


def main(folder):
    checkpoint = {"epoch": 3, "best": 0.5, "none": None, "state_dict": state_dict(), "list": [1, -2, "x"]}
    plain = Storage("f", [1, 2, 3, 4], "0")
    files = {
        "zip.pth": zipped(checkpoint),
        "series.th": series(checkpoint),
        "root.pth": zipped(state_dict()),
        "bad-two-dicts": zipped({"a": state_dict(), "b": state_dict()}),
        "bad-no-dict": zipped({"epoch": 3}),
        "bad-compressed": zipped(checkpoint, zipfile.ZIP_DEFLATED),
        "bad-call": series(Call(print, "run me")),
        "bad-call-zip": zipped({"state_dict": state_dict(), "x": Call(eval, "1")}),
        "bad-os": zipped(None, edit=lambda data: b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."),
        "bad-os-stack": zipped(
            None, edit=lambda data: b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."
        ),
        "bad-inst": zipped(None, edit=lambda data: b"(S'true'\nios\nsystem\n."),
        "bad-extension": zipped(None, edit=lambda data: b"\x80\x02\x82\x01)R."),
        "bad-key-twice": zipped(None, edit=lambda data: b"\x80\x02}(U\x01aK\x01U\x01aK\x02u."),
        "bad-deep": zipped(None, edit=deep(1_000_000)),
        "bad-wide": zipped(None, edit=lambda data: b"\x80\x02]" + b"N" * 5_000_000 + b"."),
        "bad-itself": zipped(None, edit=lambda data: b"\x80\x02}q\x00U\x01ah\x00s."),
        "bad-huge-shape": zipped(one(Tensor(plain, [1 << 40, 1 << 40]))),
        "bad-huge-stride": zipped(one(Tensor(plain, [2, 2], [1 << 62, 1]))),
        "bad-beyond": series(one(Tensor(plain, [5]))),
        "bad-offset": series(one(Tensor(plain, [2], offset=3))),
        "bad-negative": series(one(Tensor(plain, [-2]))),
        "bad-expanded": zipped(one(Tensor(plain, [4, 1000], [1, 0]))),
        "bad-overlap": zipped(one(Tensor(plain, [3, 2], [1, 1]))),
        "bad-aliases": zipped(
            {"state_dict": {f"w{i}": Tensor(Storage("f", [0] * 9999, "0"), [9999]) for i in range(99)}}
        ),
        "bad-dict-aliases": zipped(None, edit=dict_aliases(2500)),
        "bad-cut-storage": zipped(one(Tensor(Storage("f", [1, 2], "0", elements=4), [4]))),
        "bad-storage-size": series(one(Tensor(Storage("f", [1, 2], "0", elements=1 << 60), [2]))),
        "bad-name": zipped(one(Tensor(plain, [4]), name="\x1b[2J")),
        "bad-metadata-name": zipped(one(Tensor(plain, [4]), name="__metadata__")),
        "bad-entry-twice": zipped(checkpoint, more=[("archive/data/8", b"12345678")]),
        "bad-after": series(checkpoint) + b"x",
        "bad-big-endian": zipped(checkpoint).replace(b"little", b"biggie"),
        "bad-nothing": b"",
        "bad-text": b"these are no weights",
    }
    changed = bytearray(files["zip.pth"])
    changed[changed.find(struct.pack("<f", 5.0))] ^= 1
    files["bad-checksum"] = bytes(changed)
    for name, data in files.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
