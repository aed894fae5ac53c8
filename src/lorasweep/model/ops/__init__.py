"""Operations of the frozen base model: a plain-torch reference, and faster ones where they pay."""
