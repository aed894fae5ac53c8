"""Base models as files, without torch: a name comes in; config, folder, linear modules go out."""

__all__ = ["architectures", "checked_config", "checksums", "models", "modes", "pull", "weights"]
