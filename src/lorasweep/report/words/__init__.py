"""Words: numbers and terms come in; sentences in the reader's language go out."""
