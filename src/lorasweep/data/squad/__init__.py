"""Questions on paragraphs: SQuAD's files, rows, Hub sets come in; selected paragraphs go out."""

__all__ = ["json_text", "offsets", "sources"]
