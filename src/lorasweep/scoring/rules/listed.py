"""All rules by name: "squad-v1.1", "mlqa:ar", "folded:fa" come in; rules go out."""

from collections.abc import Callable

from lorasweep.errors import UserError
from lorasweep.scoring.rules.characters import jaquad, korquad, persianqa_chars
from lorasweep.scoring.rules.mlqa import mlqa
from lorasweep.scoring.rules.rules import Rules
from lorasweep.scoring.rules.squad import folded, persianqa, squad_v1, squad_v2
from lorasweep.study.scorers import known_rules

PLAIN: dict[str, Callable[[], Rules]] = {
    "squad-v1.1": squad_v1,
    "squad-v2": squad_v2,
    "xquad": lambda: squad_v1("xquad"),
    "korquad": korquad,
    "jaquad": jaquad,
    "persianqa": persianqa,
    "persianqa-chars": persianqa_chars,
}
OF_LANGUAGE: dict[str, Callable[[str], Rules]] = {"mlqa": mlqa, "folded": folded}


def parse_rules(name: str, field: str = "evaluate.rules") -> Rules:
    """Return the rules of a name; UserError names the field and the nearest right name."""
    try:
        kind, _, language = known_rules(name).partition(":")
    except UserError as error:
        raise UserError(f"{field}: {error}") from None
    return OF_LANGUAGE[kind](language) if language else PLAIN[kind]()
