"""What people see of a run: steps and lines come in; progress and the wish to stop go out."""
