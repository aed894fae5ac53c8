"""The works that the report's methods come from: as a list, as numbers in the text, as BibTeX."""

from collections.abc import Iterator
from dataclasses import dataclass

from lorasweep.folder.scores import Scores
from lorasweep.report.load import Outcome
from lorasweep.report.words.language import Strings


@dataclass(frozen=True)
class Work:
    """A work; `place` is its journal or publisher, `link` is "arXiv:..." or "doi:..." or nothing.

    `others` says that there are more authors than are named.
    """

    key: str
    authors: tuple[str, ...]
    year: int
    title: str
    place: str = ""
    link: str = ""
    others: bool = False

    def __str__(self) -> str:
        named = [", ".join(self.authors[:-1]), self.authors[-1]]
        authors = " and ".join(filter(None, named)) if not self.others else f"{named[-1]} et al."
        parts = (f"{authors} ({self.year}). {self.title}.", self.place and f"{self.place}.",
                 self.link and f"{self.link}.")  # fmt: skip
        return " ".join(filter(None, parts))

    def bibtex(self) -> str:
        """Return the work as an entry of a BibTeX file."""
        kind, number = self.link.partition(":")[::2]
        journal = "publisher" if self.kind == "book" else "journal"
        fields = {
            "author": " and ".join([*self.authors, *["others"] * self.others]),
            "title": f"{{{self.title}}}", "year": str(self.year), journal: self.place,
            "eprint" if kind == "arXiv" else "doi": number,
            "archiveprefix": kind if kind == "arXiv" else "",
        }  # fmt: skip
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}", ""])

    @property
    def kind(self) -> str:
        """What BibTeX calls it."""
        if self.link.startswith("doi:"):
            return "article"
        return "misc" if self.link else "book"


ALWAYS = (
    Work("hu2021lora", ("Hu, E. J.",), 2021,
         "LoRA: Low-Rank Adaptation of Large Language Models", "", "arXiv:2106.09685", True),
    Work("rajpurkar2016squad", ("Rajpurkar, P.",), 2016,
         "SQuAD: 100,000+ Questions for Machine Comprehension of Text", "",
         "arXiv:1606.05250", True),
    Work("loshchilov2019adamw", ("Loshchilov, I.", "Hutter, F."), 2019,
         "Decoupled Weight Decay Regularization", "", "arXiv:1711.05101"),
)  # fmt: skip
OF_TESTS = (
    Work("hansen2011mcs", ("Hansen, P. R.", "Lunde, A.", "Nason, J. M."), 2011,
         "The Model Confidence Set", "Econometrica 79(2)", "doi:10.3982/ECTA5771"),
    Work("westfall1993resampling", ("Westfall, P. H.", "Young, S. S."), 1993,
         "Resampling-Based Multiple Testing", "Wiley"),
    Work("efron1987bca", ("Efron, B.",), 1987, "Better Bootstrap Confidence Intervals",
         "Journal of the American Statistical Association 82(397)",
         "doi:10.1080/01621459.1987.10478410"),
)  # fmt: skip
RSLORA = Work("kalajdzievski2023rslora", ("Kalajdzievski, D.",), 2023,
              "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA", "",
              "arXiv:2312.03732")  # fmt: skip
LORA_PLUS = Work("hayou2024loraplus", ("Hayou, S.", "Ghosh, N.", "Yu, B."), 2024,
                 "LoRA+: Efficient Low Rank Adaptation of Large Models", "",
                 "arXiv:2402.12354")  # fmt: skip
OF_DECODER = {
    "top-k": Work("fan2018topk", ("Fan, A.", "Lewis, M.", "Dauphin, Y."), 2018,
                  "Hierarchical Neural Story Generation", "", "arXiv:1805.04833"),
    "nucleus": Work("holtzman2020nucleus", ("Holtzman, A.",), 2020,
                    "The Curious Case of Neural Text Degeneration", "", "arXiv:1904.09751", True),
}  # fmt: skip


def works_of(outcome: Outcome) -> list[Work]:
    """Return the works that the study's methods come from, in the order of their numbers."""
    return sorted([*ALWAYS, *_used(outcome)], key=str)


def citations(outcome: Outcome, say: Strings) -> dict[str, str]:
    """Map the name of each work's first author to its number in the text: "[3]"."""
    works = enumerate(works_of(outcome), start=1)
    return {
        work.authors[0].partition(",")[0].lower(): f"[{say.integer(number)}]"
        for number, work in works
    }


def _used(outcome: Outcome) -> Iterator[Work]:
    results = outcome.results
    points = [run.configuration for run in results.runs]
    if results.analysis or outcome.study:
        yield from OF_TESTS
    if any(point.scaling == "rslora" for point in points):
        yield RSLORA
    if any(point.lr_ratio not in (None, 1.0) for point in points):
        yield LORA_PLUS
    metrics = {name: value for run in results.runs for name, value in run.metrics.items()}
    decoders = [name for name, value in metrics.items() if isinstance(value, Scores)]
    kinds = {kind for name in decoders for kind in OF_DECODER if name.startswith(kind)}
    yield from (OF_DECODER[kind] for kind in sorted(kinds))
