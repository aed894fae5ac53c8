"""Questions on paragraphs: SQuAD's files and rows come in; paragraphs with questions go out."""

__all__ = ["offsets", "sources"]
