"""How the stores are cut and coded: chunks and shards, codecs, what fills a shard, and how a year is appended.

On a generated cube like that of the Headwaters (20 years x 1047 x 2896 cells; NPP in steps of 0.1 with its flags;
climate sampled to the nearest, bilinear, and with noise), through the store's own writer and codec. All but
`shards` runs in one process, contestants in turn; the parts are `layouts`, `codecs`, `rounding`, `shards`, `objects`
and `append`. ``python benchmarks/layout.py --help``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import layout_append
import layout_codecs
import layout_cuts
import layout_shards
import measuring
from measuring import say

FULL = {"years": 20, "resolution": "500 m", "pixels": 2400, "block": 1024, "scale": 1}
TINY = {"years": 6, "resolution": "20000 m", "pixels": 60, "block": 32, "scale": 32}
PARTS = ("layouts", "codecs", "rounding", "shards", "objects", "append")


def main() -> None:
    args = arguments()
    if args.child:
        print(json.dumps(layout_shards.CHILDREN[args.child](args)))
        return
    parts = {
        "layouts": layout_cuts.layouts,
        "codecs": layout_codecs.codecs,
        "rounding": layout_codecs.rounding,
        "shards": layout_shards.shards,
        "objects": layout_cuts.objects,
        "append": layout_append.append,
    }
    measuring.emptied(Path(args.work))
    for part in args.parts:
        say(part)
        print(parts[part](args), flush=True)
    print(measuring.facts())
    shutil.rmtree(args.work, ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = Path(tempfile.gettempdir()) / "nepcube-benchmarks"
    parser.add_argument("--archive", help="where the generated arrays are kept (1 GB; some minutes once)")
    parser.add_argument("--work", help="where stores are written, and removed at the end")
    parser.add_argument("--runs", type=int, help="runs of each (5)")
    parser.add_argument("--resolution", help="size of the cells, for a smaller cube (500 m)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tiny", action="store_true", help="seconds in all, to see that it works")
    parser.add_argument("--child", choices=("whole", "pieces", "years"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.work = args.work or str(temporary / "work-layout")
    args.runs = args.runs or (1 if args.tiny else 5)
    args.world = dict(TINY if args.tiny else FULL)
    args.world["resolution"] = args.resolution or args.world["resolution"]
    args.archive = args.archive or str(temporary / f"layout-{args.world['resolution'].replace(' ', '')}")
    return args


if __name__ == "__main__":
    main()
