"""Install the web pages' third-party files. npm installs and verifies what package-lock.json lists; this copies it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "src" / "foundry" / "web" / "static" / "vendor"

FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "idiomorph/dist/idiomorph-ext.min.js": "idiomorph-ext.min.js",
}


def main() -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    npm = shutil.which("npm") or shutil.which("npm", path=path)
    if npm is None:
        sys.exit('set-up: npm is missing; run: .venv/bin/pip install "foundry[node]"')
    print("set-up: installing the web pages' assets", flush=True)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}).returncode != 0:
        sys.exit("set-up: npm could not install the web pages' assets; its output is above")
    shutil.rmtree(VENDOR, ignore_errors=True)  # an earlier set-up may have installed files that no page uses any more
    VENDOR.mkdir(parents=True)
    for source, name in FILES.items():
        shutil.copyfile(ROOT / "node_modules" / source, VENDOR / name)
    (VENDOR / ".ready").touch()


if __name__ == "__main__":
    main()
