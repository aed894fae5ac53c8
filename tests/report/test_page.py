"""The page: whole, self-contained, escaped, and sound where results are missing."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from invented import (
    HOSTILE,
    RIGHT_TO_LEFT,
    make_predictions,
    make_results,
    make_run,
    write_history,
    write_outcome,
    write_predictions,
    write_results,
)

from lorasweep.errors import UserError
from lorasweep.folder.records import Results
from lorasweep.report.page import write_report

FIGURES = (
    "f1", "base_vs_tuned", "differences", "main_effects", "lr_rank_1", "f1_parameters", "failures",
    "f1_by_question_kind", "f1_by_answer_length", "f1_by_context_length", "train_loss", "eval_loss",
    "grad_norm", "overfitting",
)  # fmt: skip
BREAKDOWNS = ("question_kind", "expected_type", "answer_length", "context_length",
              "answer_position", "article")  # fmt: skip
TABLES = (
    "leaderboard", "base_vs_tuned", "comparisons",
    "best_and_worst", "main_effects", "variance_shares", "cost", "failures",
    "failure_examples", "sample_predictions", "training_health", "data", "token_lengths",
    "overfitting", "overfitting_by_axis",
    "hyperparameters", "lora_configurations", "machine", "versions",
    *(f"failures_by_{aspect}" for aspect in BREAKDOWNS),
)  # fmt: skip
SECTIONS = [
    "summary", "leaderboard", "gain", "comparisons", "ablation", "cost", "failures", "answers",
    "predictions", "losses", "overfitting", "health", "discussion",
    "limitations", "conclusion", "lora", "data", "method", "grid", "reproduce", "references",
]  # fmt: skip


class Page(HTMLParser):
    """The elements of a page, the text of its scripts, and the text outside them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts.append(data)
        elif not self.inside:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(out: Path, results: Results) -> Page:
    write_results(out, results)
    return Page(write_report(out).read_text(encoding="utf-8"))


def test_every_file_is_written_and_nothing_else_is_left(out: Path) -> None:
    files = {str(path.relative_to(out / "report")) for path in (out / "report").rglob("*.*")}
    figures = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}
    tables = {f"tables/{name}.{kind}" for name in TABLES for kind in ("csv", "md", "tex")}
    assert files == {"index.html", "report.md", "references.bib", "written.json"} | figures | tables
    assert {path.name for path in out.iterdir()} == {"results.json", "runs", "base", "report"}


def test_sections_are_in_reading_order_under_headings(page: str) -> None:
    parsed = Page(page)
    assert [section["id"] for section in parsed.all("section")] == SECTIONS
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_page_fetches_nothing(page: str) -> None:
    assert len(page.encode()) < 6 * 2**20
    parsed = Page(page)
    for tag, attributes in parsed.elements:
        sources = [attributes.get(name) for name in ("src", "srcset", "data", "poster")]
        sources += [attributes.get("href")] if tag == "link" else []
        assert all(source is None or source.startswith("data:") for source in sources)
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(m["content"] for m in parsed.all("meta") if "http-equiv" in m)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_links_point_at_files_that_are_there(out: Path, page: str) -> None:
    links = [link["href"] or "" for link in Page(page).all("a")]
    ids = {attributes.get("id") for _, attributes in Page(page).elements}
    for link in links:
        assert link[1:] in ids if link.startswith("#") else (out / "report" / link).is_file()


def test_data_is_escaped_everywhere(out: Path, page: str) -> None:
    parsed = Page(page)
    assert HOSTILE not in page
    assert HOSTILE in parsed.text
    assert RIGHT_TO_LEFT in parsed.text
    types = [script.get("type") for script in parsed.all("script")]
    holding = {kind for kind, text in zip(types, parsed.scripts, strict=True) if "alert(1)" in text}
    assert holding == {"application/json"}
    # a turned text stays in its own cell
    assert re.search(rf"<bdi>What did {RIGHT_TO_LEFT}[^<]*</bdi>", page)
    assert "<script" not in (out / "report/tables/sample_predictions.md").read_text()


def test_a_hostile_label_cannot_leave_the_chart(tmp_path: Path) -> None:
    run = make_run(0, 50.0, label=HOSTILE)
    write_history(tmp_path, run, 20)
    parsed = report(tmp_path, make_results([run]))
    *types, library, program = [script.get("type") for script in parsed.all("script")]
    assert set(types) == {"application/json"}
    assert (library, program) == (None, None)
    specs = [json.loads(text) for text in parsed.scripts[: len(types)]]
    assert specs[0]["datasets"]["points"][0]["name"] == HOSTILE


def test_figures_and_tables_can_be_read_without_eyes(page: str) -> None:
    parsed = Page(page)
    assert all(image.get("alt") for image in parsed.all("img"))
    assert all(box.get("aria-label") for box in parsed.all("div") if "data-chart" in box)
    assert all(head.get("scope") in ("row", "col") for head in parsed.all("th"))
    in_files_and_to_search = len(TABLES) + 1
    assert len(parsed.all("caption")) == len(parsed.all("table")) == in_files_and_to_search


def test_the_leaderboard_is_sorted_by_f1_with_the_base_model_among_the_runs(out: Path) -> None:
    lines = (out / "report/tables/leaderboard.csv").read_text().splitlines()
    assert lines[0].startswith(
        "label,tied,f1,f1_interval_low,f1_interval_high,exact_match,eval_loss"
    )
    scores = [line.split(",")[2] for line in lines[1:]]
    assert scores == ["62.0", "60.5", "48.0", "21.0", ""]
    assert lines[4].startswith("base model,")
    assert ",failed," in lines[5]
    assert "nan" not in "".join(lines).lower()


def test_the_summary_says_who_is_tied_and_what_the_best_run_gains(page: str) -> None:
    text = Page(page).text
    assert "The best run by F1 is r4 lr0.001 attn, with F1 62.0 (95 % interval 59.0 – 65.0)" in text
    assert (
        "2 of 3 runs are tied for best: r4 lr0.001 attn, r16 lr0.001 attn; these questions" in text
    )
    assert "tied with 1 other run" in text
    assert " better than the base model, 95 % interval " in text
    assert "The best run was chosen and scored on the same questions" in text
    assert "weights dequantised from 4 bits" in text
    assert "1 run failed." in text
    assert "r16 lr0.0003 attn was stopped at step 8: gradient was nan." in text


def test_runs_that_are_tied_for_best_have_a_star(out: Path) -> None:
    lines = (out / "report/tables/leaderboard.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["★", "★", "no", "", ""]
    assert r"$\star$" in (out / "report/tables/leaderboard.tex").read_text()


def test_runs_that_were_not_analysed_are_not_compared(tmp_path: Path) -> None:
    parsed = report(tmp_path, make_results([make_run(0, 50.0), make_run(1, 40.0)]))
    assert "The runs have not been compared: lorasweep analyse on this folder" in parsed.text
    assert "The results have not been analysed" in parsed.text
    assert "There is no ablation" in parsed.text
    assert "Wrong answers have not been classified" in parsed.text


def test_without_runs_the_page_says_what_is_missing(tmp_path: Path) -> None:
    empty = make_results([], data={}, recipe={}, versions={}, warnings=[])
    base = empty.base.model_copy(update={"metrics": {}, "note": ""})
    parsed = report(tmp_path, empty.model_copy(update={"base": base}))
    for words in (
        "No run has been trained and scored yet",
        "There is no chart of scores",
        "no training losses to draw",
        "no evaluation losses to draw",
        "There are no predictions to show",
        "The results hold no description of the data.",
        "The results hold no recipe.",
        "The study gave no warnings.",
    ):
        assert words in parsed.text
    assert parsed.scripts == []


def test_a_run_without_history_and_few_answers_are_named(tmp_path: Path) -> None:
    runs = [make_run(0, 50.0), make_run(1, 40.0, state="stopped", metrics={})]
    write_history(tmp_path, runs[0], 20)
    write_predictions(tmp_path / "runs" / runs[0].id, make_predictions(2))
    parsed = report(tmp_path, make_results(runs))
    assert "1 run has no training history: r16 lr0.001 attn." in parsed.text
    assert "There are only 2 right answers." in parsed.text
    assert "The base model left no predictions" in parsed.text
    assert "1 run was stopped before its end." in parsed.text


def test_a_new_report_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "old.html").touch()
    first = report(tmp_path, make_results([make_run(0, 50.0)]))
    second = report(tmp_path, make_results([make_run(0, 50.0)]))
    assert not (tmp_path / "report" / "old.html").exists()
    assert first.elements == second.elements
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "report"}


@pytest.fixture(scope="module")
def farsi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the invented study with its report in Persian."""
    out = tmp_path_factory.mktemp("farsi")
    write_outcome(out)
    write_report(out, "fa")
    return out


def test_a_report_in_persian_has_the_same_files(farsi: Path, out: Path) -> None:
    def files(folder: Path) -> set[Path]:
        return {path.relative_to(folder) for path in (folder / "report").rglob("*")}

    assert files(farsi) == files(out)


def test_a_page_in_persian_goes_from_right_to_left_and_brings_its_letters(farsi: Path) -> None:
    text = (farsi / "report/index.html").read_text(encoding="utf-8")
    assert '<html lang="fa" dir="rtl">' in text
    assert len(text.encode()) < 6 * 2**20
    assert "font-src data:" in text
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert style.count("url(") == style.count('url("data:font/ttf;base64,') == 1
    parsed = Page(text)
    assert [section["id"] for section in parsed.all("section")] == SECTIONS
    assert HOSTILE not in text
    assert "۶۲٫۰" in parsed.text
    assert "interval" not in parsed.text


def test_a_written_report_in_persian_goes_from_right_to_left(farsi: Path) -> None:
    text = (farsi / "report/report.md").read_text(encoding="utf-8")
    assert text.startswith('<div dir="rtl">\n\n# ')
    assert text.endswith("\n</div>\n")


def test_pictures_in_persian_have_its_digits_and_its_font(farsi: Path) -> None:
    picture = (farsi / "report/figures/f1.svg").read_text(encoding="utf-8")
    assert "Vazirmatn" in picture
    assert re.search("[۰-۹]{2}", picture)
    assert "F1 با بازهٔ ۹۵٪" in picture


def test_tables_for_programs_have_plain_numbers_in_every_language(farsi: Path, out: Path) -> None:
    rows = [
        (folder / "report/tables/cost.csv").read_text(encoding="utf-8").splitlines()
        for folder in (farsi, out)
    ]
    assert rows[0] == rows[1]


def test_a_language_that_there_is_not_leaves_the_report_as_it_was(farsi: Path) -> None:
    before = (farsi / "report/index.html").stat().st_mtime_ns
    with pytest.raises(UserError, match="no report in language 'fr'"):
        write_report(farsi, "fr")
    assert (farsi / "report/index.html").stat().st_mtime_ns == before
