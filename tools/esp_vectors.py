"""Captures packets that a kernel in the lab has sealed: tests/esp/vectors.json.

    python tools/esp_vectors.py 7.2

The file is for machines without the lab; where there is one, tests/esp/test_kernel.py asks it.
"""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.esp.support import ALGORITHMS, ESN, SHAPES  # noqa: E402

from pyxfrm.esp import Mode, Proto  # noqa: E402
from pyxfrm.lab import Lab  # noqa: E402

AUTH = ["hmac(sha256)", 128, 32]


def cases() -> list[dict[str, object]]:
    """Every algorithm, and every mode with and without encapsulation and ESN."""
    return [
        *({"algorithm": name, "mode": 1, "outer": 4, "inner": 4} for name in sorted(ALGORITHMS)),
        *(
            {"mode": int(mode), "outer": outer, "inner": inner, "encap": encap, "flags": flags}
            for (mode, outer, inner), encap, flags in product(SHAPES, (False, True), (0, ESN))
        ),
        *(
            {
                "proto": int(Proto.AH),
                "auth": AUTH,
                "mode": int(mode),
                "outer": outer,
                "inner": inner,
            }
            for (mode, outer, inner) in SHAPES
            if mode is not Mode.BEET
        ),
    ]


def main() -> None:
    with Lab(sys.argv[1] if len(sys.argv) > 1 else "7.2") as lab:
        wanted = cases()
        results = list(lab.map("tests.esp.guest:capture", wanted))
        packets = [case | result.value for case, result in zip(wanted, results, strict=True)]
        origin = json.dumps(f"Linux {lab.release}, tools/esp_vectors.py")
    lines = ",\n".join(json.dumps(packet) for packet in packets)
    text = f'{{"origin": {origin}, "packets": [\n{lines}\n]}}\n'
    Path(ROOT, "tests/esp/vectors.json").write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
