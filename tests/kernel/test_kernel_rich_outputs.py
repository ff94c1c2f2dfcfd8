"""Large, rich and live outputs: what a restored cell shows after a kill -9."""

import pytest
from notebooks import Notebook, cells, run_all, shown

VIEW = "application/vnd.jupyter.widget-view+json"
NUMBERS = "import pandas as pd\ntable = pd.DataFrame({'x': range(5), 'y': [1, 4, 9, 16, 25]})"
SOURCES = {
    "table": NUMBERS,
    "plotly": "import plotly.express as px\npx.line(table, x='x', y='y')",
    "renderer": "import altair as alt\nalt.renderers.enable('mimetype')",
    "altair": "import altair as alt\nalt.Chart(table).mark_line().encode(x='x', y='y')",
    "tqdm": "from tqdm import tqdm\nfor n in tqdm(range(4), mininterval=0): print(n)",
    "controls": (
        "import ipywidgets as w\n"
        "from IPython.display import display\n"
        "display(w.VBox([w.IntSlider(7, description='Speed <1>'), w.HBox([w.Checkbox(True), "
        "w.Dropdown(options=[('one', 1), ('two', 2)], value=2), w.Password(value='hidden')])]))"
    ),
    "later state": (
        "bar = w.IntProgress(0, 0, 5, description='done')\ndisplay(bar)\n"
        "for n in range(5): bar.value += 1\ndel bar"
    ),
    "interact": "w.interact(lambda x: print('x is', x), x=3);",
    "output": (
        "out = w.Output()\ndisplay(out)\n"
        "with out:\n    print('gone')\n    out.clear_output()\n    print('kept'); display(table)\n"
        "print('outside')\ndel out"
    ),
    "bar": "from tqdm.notebook import tqdm as bars\nfor n in bars(range(3), desc='epoch'): pass",
    "bar that leaves": "for n in bars(range(3), leave=False): pass\nprint('over')",
    "display id": "_ = display('waiting', display_id='progress-1')",
    "update": (
        "from IPython.display import update_display\n"
        "update_display('ready', display_id='progress-1')"
    ),
    "clear": (
        "from IPython.display import clear_output\nprint('a'); clear_output(wait=True); print('b')"
    ),
    "processes": (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'print(\"a process\")'], check=True)\n"
        "!echo a shell"
    ),
}


class Runs:
    """The notebook before and after a kill."""

    def __init__(self, notebook):
        self.names = list(SOURCES)
        self.runs = []
        for _ in range(2):
            with notebook.kernel() as k:
                self.runs.append(run_all(k, cells(*SOURCES.values())))
        self.decided = [d.decision for d in notebook.decisions()]

    def before_and_after(self, name):
        at = self.names.index(name)
        return [shown(answers[at]) for answers in self.runs]

    def restored(self, name):
        """What the restored cell shows; fails if it ran."""
        assert self.decided[self.names.index(name)] == "restored"
        return self.before_and_after(name)[1]

    def html(self, name):
        """The HTML that stands for a widget."""
        (data,) = (m[1]["data"] for m in self.restored(name) if m[0] == "display_data")
        assert VIEW not in data
        return data["text/html"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(Notebook(tmp_path_factory.mktemp("rich")))


@pytest.mark.parametrize(
    ("name", "mime"),
    [("plotly", "application/vnd.plotly.v1+json"), ("altair", "application/vnd.vegalite")],
)
def test_bundles_come_back_whole(runs, name, mime):
    before, after = runs.before_and_after(name)
    assert after == before
    assert [m for _, c in after for m in c["data"] if m.startswith(mime)]
    assert runs.decided[runs.names.index("renderer")] == "recomputed"
    runs.restored(name)


@pytest.mark.parametrize("name", ["tqdm", "display id", "update", "clear", "processes"])
def test_streams_updates_and_cleared_outputs_come_back_as_they_were(runs, name):
    before, after = runs.before_and_after(name)
    assert after == before != []
    runs.restored(name)


def test_progress_on_a_line_keeps_its_carriage_returns(runs):
    stream = next(text for kind, name, text in runs.restored("tqdm") if name == "stderr")
    assert "\r100%|" in stream


def test_widgets_stand_as_they_were_when_their_cell_ended(runs):
    picture = runs.html("controls")
    for part in ("Speed &lt;1&gt; <b>7</b>", "☑", "<b>two</b>", "•••"):
        assert part in picture
    assert "hidden" not in picture
    assert '<progress value="5" max="5">' in runs.html("later state")


def test_what_an_output_widget_caught_is_shown_in_it_alone(runs):
    assert "<pre>x is 3\n</pre>" in runs.html("interact")
    assert [kind for kind, *_ in runs.restored("interact")] == ["display_data"]
    picture = runs.html("output")
    assert "<pre>kept\n</pre>" in picture
    assert "<table" in picture
    assert "gone" not in picture
    assert runs.restored("output")[1:] == [("stream", "stdout", "outside\n")]


def test_notebook_progress_bars_stand_at_their_end_and_closed_ones_leave(runs):
    picture = runs.html("bar").replace("\u2007", " ")
    assert "epoch: 100%" in picture
    assert "3/3" in picture
    assert runs.restored("bar that leaves")[-1] == ("stream", "stdout", "over\n")
    assert not any(VIEW in str(message) for message in runs.restored("bar that leaves"))


def test_outputs_above_the_limit_are_cut_with_a_notice(tmp_path):
    notebook = Notebook(tmp_path)
    sources = cells(
        "import evercell\nfrom IPython.display import HTML, clear_output, display\n"
        "evercell.configure(output_limit=100_000)",
        "for n in range(10_000): print('line', n, 'x' * 50, flush=n % 100 == 0)",
        "HTML('y' * 200_000)",
        "display(HTML('y' * 200_000)); print('after')",
        "for n in range(30):\n    clear_output(wait=True); print('z' * 20_000)\nprint('the end')",
        "h = display('0', display_id=True)\n"
        "for n in range(300): h.update('u' * 1000 + str(n))\n"
        "del h",
        "print('short')",
    )
    with notebook.kernel() as k:
        first = run_all(k, sources)
    with notebook.kernel() as k:
        again = run_all(k, sources)
    lines = "".join(f"line {n} {'x' * 50}\n" for n in range(10_000))
    assert first[1].text() == lines
    assert "restart" in first[1].text("stderr")  # it says so at once
    assert len(again[1].text()) < 110_000
    assert again[1].text().startswith("line 0 ")
    assert again[1].text().endswith(lines[-1000:])
    assert "output_limit" in again[1].text("stderr")
    bundle = again[2].messages[0][1]["data"]
    assert "text/html" not in bundle
    assert "output_limit" in bundle["text/plain"]
    assert again[3].text() == "after\n"
    assert "output_limit" in again[3].text("stderr")
    assert again[4].text("stderr") == first[4].text("stderr") == ""  # what was cleared is no loss
    assert again[4].text().endswith("z\nthe end\n")
    assert again[5].text("stderr") == ""  # a later update stands for the earlier ones
    assert again[5].messages[-1] == first[5].messages[-1]
    assert shown(again[6]) == shown(first[6])
