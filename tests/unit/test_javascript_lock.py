"""What npm installs for tests is pinned by hashes, and comes from whatever registry is set up."""

import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "javascript"


def test_the_lock_has_hashes_and_no_addresses() -> None:
    packages = json.loads((FOLDER / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    del packages[""]

    assert "node_modules/@aws-sdk/client-lambda" in packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
