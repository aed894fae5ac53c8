"""Values as one text, and as twelve digits: what run ids and comparisons of files go by."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return 12 hexadecimal digits that stand for a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]
