"""Generates gen/ from the contracts, and checks the contracts.

    python protos/generate.py           writes gen/
    python protos/generate.py --check   lint, breaking changes, and whether gen/ is what the contracts say

Everything works offline: google's common protos come from their Python package, and the
descriptor of protovalidate's options is taken from the protovalidate package, which ships no
`validate.proto`.
"""

from __future__ import annotations

import filecmp
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GEN = ROOT / "gen"
RELEASED = ROOT / "tests" / "contracts" / "released.binpb"
# Not imported by any contract of ours, but Envoy needs it to print the details of errors as JSON.
EXTRA = "google/rpc/error_details.proto"
README = "README.md"


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        return check()
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    generate(GEN)
    return 0


def generate(target: Path) -> None:
    """Writes Python modules, type stubs and the descriptor set into `target`."""
    with tempfile.TemporaryDirectory() as scratch:
        validate = _validate_descriptor(Path(scratch))
        for old in ("voicemesh", "buf", "voicemesh.binpb"):
            path = target / old
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        _protoc(
            validate,
            f"--python_out={target}",
            f"--mypy_out=quiet:{target}",
            "buf/validate/validate.proto",
        )
        _protoc(
            validate,
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *_contracts(),
        )
        _protoc(
            validate,
            "--include_imports",
            f"--descriptor_set_out={target / 'voicemesh.binpb'}",
            *_contracts(),
            EXTRA,
        )
        (target / "buf" / "validate" / "py.typed").touch()
        (target / "voicemesh" / "py.typed").touch()


def check() -> int:
    """Lints the contracts, looks for breaking changes, and compares gen/ with what they say."""
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "contracts.binpb"
        _protoc(
            _validate_descriptor(Path(scratch)),
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={image}",
            *_contracts(),
            EXTRA,
        )
        config = ["--config", str(ROOT / "buf.yaml"), "--path", "voicemesh"]
        failed |= _buf("lint", str(image), *config)
        failed |= _buf("breaking", str(image), "--against", str(RELEASED), *config)
        fresh = Path(scratch) / "gen"
        fresh.mkdir()
        generate(fresh)
        stale = _differences(fresh, GEN)
        for name in stale:
            print(f"gen/{name} is not what the contracts say: run `make gen`", file=sys.stderr)
    return 1 if failed or stale else 0


def _contracts() -> list[str]:
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def _validate_descriptor(scratch: Path) -> Path:
    """A descriptor set that holds buf/validate/validate.proto and what it imports."""
    from protovalidate._gen.buf.validate import validate_pb

    described = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(described.file.add())
    validate = descriptor_pb2.FileDescriptorProto.FromString(validate_pb._DESC.proto.to_binary())
    described.file.append(validate)
    path = scratch / "validate.binpb"
    path.write_bytes(described.SerializeToString(deterministic=True))
    return path


def _protoc(validate: Path, *arguments: str) -> None:
    googleapis = Path(importlib.util.find_spec("google.rpc").submodule_search_locations[0]).parent.parent  # type: ignore[union-attr, index]
    scripts = sysconfig.get_path("scripts")
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{PROTOS}",
        f"-I{googleapis}",
        *(f"--plugin={name}={scripts}/{name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
        f"--descriptor_set_in={validate}",
        *arguments,
    ]
    subprocess.run(command, check=True, cwd=PROTOS)


def _buf(*arguments: str) -> int:
    return subprocess.run([f"{sysconfig.get_path('scripts')}/buf", *arguments], cwd=ROOT).returncode


def _differences(fresh: Path, committed: Path) -> list[str]:
    names = {str(p.relative_to(d)) for d in (fresh, committed) for p in d.rglob("*") if _generated(p)}
    return sorted(
        name
        for name in names
        if not ((fresh / name).is_file() and (committed / name).is_file())
        or not filecmp.cmp(fresh / name, committed / name, shallow=False)
    )


def _generated(path: Path) -> bool:
    return path.is_file() and path.name != README and "__pycache__" not in path.parts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
