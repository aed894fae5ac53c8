"""What tests of scorers share: examples, and sentences of six scripts that are alike in part."""

import random
from collections.abc import Iterator

from lorasweep.data.examples import Example

SENTENCES = (
    "The red mill at Orrin burned twice, in 1841 and in 1856.",
    "A stone bridge replaced the ford; nobody knows who built it.",
    "آسیاب سرخ کنار رود دو بار سوخت، بار دوم در سال ۱۳۲۰.",
    "پل سنگی جای گدار را گرفت و کسی سازندهٔ آن را نمی‌شناسد.",
    "احترقت الطاحونة الحمراء مرتين، وبُني الجسر الحجري بعدها.",
    "لا أحد يعرف من بنى الجسر فوق النهر في عام ١٨٥٦.",
    "奥林的红水车烧过两次，一次在1841年。",
    "石桥取代了渡口，没有人知道是谁建的。",
    "โรงสีแดงริมแม่น้ำไหม้สองครั้ง ครั้งแรกในปี ๒๓๘๔",
    "สะพานหินมาแทนท่าข้าม ไม่มีใครรู้ว่าใครสร้าง",
    "🚲🌉 two wheels, one bridge 👨‍👩‍👧 🎉🎉",
    "赤い水車は二度燃えた。カタカナも ひらがなも。",
)


def example(*references: str, choices: tuple[str, ...] = (), name: str = "e") -> Example:
    return Example(id=name, prompt="?", references=references, choices=choices)


def changed(rng: random.Random, text: str) -> str:
    """Return a text with some of its characters or words dropped, doubled, moved or capitals."""
    parts = list(text) if rng.random() < 0.5 else text.split(" ")
    joint = "" if len(parts) == len(text) else " "
    for _ in range(rng.randint(0, 4)):
        if not parts:
            break
        place = rng.randrange(len(parts))
        match rng.randrange(4):
            case 0:
                del parts[place]
            case 1:
                parts.insert(place, parts[rng.randrange(len(parts))])
            case 2:
                parts[place] = parts[place].upper()
            case 3:
                parts = parts[place:] + parts[:place]
    return joint.join(parts) if rng.random() < 0.95 else ""


def pairs(num: int, seed: int) -> Iterator[tuple[str, Example]]:
    """Yield answers with examples of one to three references."""
    rng = random.Random(seed)
    for number in range(num):
        sentence = rng.choice(SENTENCES)
        references = [sentence, *(changed(rng, sentence) for _ in range(rng.randint(0, 2)))]
        origin = sentence if rng.random() < 0.8 else rng.choice(SENTENCES)
        yield changed(rng, origin), example(*references, name=f"e{number}")
