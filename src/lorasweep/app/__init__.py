"""The app: a study's folder in the browser, by gradio; nothing is trained or written."""

__all__ = ["page"]
