"""Questions on paragraphs: SQuAD's files, rows, Hub sets come in; selected paragraphs go out."""

__all__ = ["dataset", "json_text", "offsets", "selection", "sources"]
