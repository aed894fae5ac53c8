"""Adapters to and from others: export with a card, merged weights, the Hub, import from PEFT."""
