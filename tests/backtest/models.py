"""Models that answer well, badly and not at all: as code for both ways of running them."""

from pathlib import Path

HEAD = "from slots.tracker import TrackerBase\nclass Model(TrackerBase):\n    def tick(self, data): self.data = data\n"
PREDICT = HEAD + "    def predict(self, asset, horizon, step):\n        {}\n"
CODE = {
    "good": HEAD
    + "    def predict(self, asset, horizon, step):\n"
    + "        closes = [one['close'] for one in self.data['candles_1m']]\n"
    + "        return {'value': (closes[-1] / closes[0] - 1) / 100 if closes else 0.0, 'horizon': horizon}\n",
    "bad": PREDICT.format("return {'value': 0.02}"),
    "late-riser": PREDICT.format(
        "if self.data['asof_ts'] // 60 % 60 < 20: raise ValueError('asleep')\n        return {'value': 0.001}"
    ),
    "raises": PREDICT.format("raise ValueError('no idea')"),
    "nan": PREDICT.format("return {'value': float('nan')}"),
    "exits": PREDICT.format("raise SystemExit(3)"),
    "odd": PREDICT.format("return {'value': {1, 2}}"),
    "ticks-badly": "from slots.tracker import TrackerBase\nclass Model(TrackerBase):\n"
    "    def tick(self, data): raise KeyError('candles')\n"
    "    def predict(self, asset, horizon, step): return {'value': 0.0, 'candles': self.data['candles_1m']}\n",
    "unstartable": "import helper\nraise RuntimeError('no weights')\n",
    # What a module keeps lasts a window, as in a process of its own; both have a `helper`.
    "counts": "import helper\n" + PREDICT.format("return {'value': helper.count() / 1e4}"),
    "counts-down": "import helper\n" + PREDICT.format("return {'value': helper.count() / 1e4}"),
}
HELPERS = {"counts": 1, "counts-down": -1, "unstartable": 0}
HELPER = "n = 0\ndef count():\n    global n\n    n += {}\n    return n\n"


def write(folder: Path) -> Path:
    """The folder of these submissions."""
    for name, code in CODE.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "main.py").write_text(code)
    for name, step in HELPERS.items():
        (folder / name / "helper.py").write_text(HELPER.format(step))
    (folder / "good" / "model.toml").write_text('name = "Good one"\nplayer_id = "p-1"\nplayer_name = "Ann"\n')
    return folder
