"""`make bench NAME=<name>`: a table, and as last line one JSON object."""

import importlib
import json
import pkgutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table


def main() -> None:
    names = [one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)]) if not one.name.startswith("_")]
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"which benchmark? one of: {', '.join(names)}; such as `make bench NAME={names[0]}`")
    result = importlib.import_module(f"benchmarks.{sys.argv[1]}").run(sys.argv[2:])
    table = Table(title=f"{result['name']}: {result['value']:.4g} {result['unit']}")
    table.add_column("what")
    table.add_column("figure")
    for name, value in {**{k: v for k, v in result.items() if k != "detail"}, **result["detail"]}.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    print(json.dumps(result))


if __name__ == "__main__":  # a worker of a replay reads this file too
    main()
