"""References: the works that this report's methods come from, by what the study used."""

from collections.abc import Iterator

from lorasweep.folder.records import Scores
from lorasweep.report.blocks import Items, Section
from lorasweep.report.load import Outcome
from lorasweep.report.words.language import Strings

ALWAYS = (
    "Hu, E. J. et al. (2021). LoRA: Low-Rank Adaptation of Large Language Models. "
    "arXiv:2106.09685.",
    "Rajpurkar, P. et al. (2016). SQuAD: 100,000+ Questions for Machine Comprehension of Text. "
    "arXiv:1606.05250.",
    "Loshchilov, I. and Hutter, F. (2019). Decoupled Weight Decay Regularization. "
    "arXiv:1711.05101.",
)
ANALYSED = (
    "Hansen, P. R., Lunde, A. and Nason, J. M. (2011). The Model Confidence Set. "
    "Econometrica 79(2). doi:10.3982/ECTA5771.",
    "Westfall, P. H. and Young, S. S. (1993). Resampling-Based Multiple Testing. Wiley.",
    "Efron, B. (1987). Better Bootstrap Confidence Intervals. "
    "Journal of the American Statistical Association 82(397). "
    "doi:10.1080/01621459.1987.10478410.",
)
RSLORA = (
    "Kalajdzievski, D. (2023). A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA. "
    "arXiv:2312.03732."
)
LORA_PLUS = (
    "Hayou, S., Ghosh, N. and Yu, B. (2024). LoRA+: Efficient Low Rank Adaptation of Large Models. "
    "arXiv:2402.12354."
)
OF_DECODER = {
    "top-k": "Fan, A., Lewis, M. and Dauphin, Y. (2018). Hierarchical Neural Story Generation. "
    "arXiv:1805.04833.",
    "nucleus": "Holtzman, A. et al. (2020). The Curious Case of Neural Text Degeneration. "
    "arXiv:1904.09751.",
}


def references(outcome: Outcome, say: Strings) -> Section:
    """List the works that the study's methods come from."""
    works = sorted([*ALWAYS, *_used(outcome)])
    return Section("references", say("references.title"), [Items("", works)])


def _used(outcome: Outcome) -> Iterator[str]:
    results = outcome.results
    points = [run.configuration for run in results.runs]
    if results.analysis:
        yield from ANALYSED
    if any(point.scaling == "rslora" for point in points):
        yield RSLORA
    if any(point.lr_ratio not in (None, 1.0) for point in points):
        yield LORA_PLUS
    metrics = {name: value for run in results.runs for name, value in run.metrics.items()}
    decoders = [name for name, value in metrics.items() if isinstance(value, Scores)]
    kinds = {kind for name in decoders for kind in OF_DECODER if name.startswith(kind)}
    yield from (OF_DECODER[kind] for kind in sorted(kinds))
