"""Chunks that are truncated, deleted or changed after a run are found by checksum, and a run mends just them."""

import os
import random
import shutil

import pytest

from nepcube import pipeline


def hurt(file, rng):
    """Truncate, delete or change a file somewhere; gives what was done."""
    how = rng.choice(["truncated", "deleted", "changed"])
    size = file.stat().st_size
    if how == "deleted":
        file.unlink()
    elif how == "truncated":
        os.truncate(file, rng.randrange(size))
    else:
        content = bytearray(file.read_bytes())
        content[rng.randrange(size)] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
    return how


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_damage_anywhere(finished, in_small_blocks, tools, tmp_path, seed):
    rng = random.Random(seed)
    out = shutil.copytree(in_small_blocks, tmp_path / "out")
    chunks = sorted(p for p in out.glob("*.zarr/*/c/**/*") if p.is_file())
    victims = rng.sample(chunks, rng.randint(1, 3))
    for victim in victims:
        hurt(victim, rng)
    keys = {p.relative_to(out).as_posix() for p in victims}
    found = pipeline.status(out, verify=True)
    assert {key for _, _, key in found.damaged} == keys
    # inputs that no damaged chunk stands on stay as they are
    others = [
        p for p in out.glob("cube.zarr/*/c/*/*/*") if p.exists() and p.relative_to(out).parts[1] not in ("rh", "nep")
    ]
    places = {tuple(key.split("/")[-3:]) for key in keys if key.startswith("cube.zarr/")}
    kept = {p: p.stat().st_mtime_ns for p in others if p.parts[-3:] not in places}
    tools.do_stages(finished.recipe, out, block=64)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert len(kept) > 100
    assert tools.chunk_files(out) == tools.chunk_files(in_small_blocks)
    tools.same_tables(out, in_small_blocks)
    assert pipeline.status(out, verify=True).damaged == ()
