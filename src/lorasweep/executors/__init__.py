"""Where packs are run."""
