"""A participant's code, what is stored in its place, and the tickets of its screens.

The code resumes and withdraws a run, so only the participant has it: database, log and exports hold
`participant_id(code)`, from which the code can't be computed. Tickets are keyed by the code, so they survive a restart
with an empty disk and tell nothing to anyone else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_LENGTH = 12  # 60 bits
_MISREAD = str.maketrans("OIL", "011")
_ROUNDS = 1000  # about a millisecond: guessing codes from published identifiers does not pay


def new_code() -> str:
    """Return a fresh random code of 12 characters."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def shown(code: str) -> str:
    """Return a code as people read it: XXXX-XXXX-XXXX."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def normalised(text: str) -> str | None:
    """Return what was typed as a bare code: case, spaces, dashes and O, I, L forgiven. None if it is no code."""
    code = "".join(character for character in text.upper() if character.isalnum()).translate(_MISREAD)
    return code if len(code) == _LENGTH and set(code) <= set(_ALPHABET) else None


def participant_id(code: str) -> str:
    """Return the identifier stored for a bare code: 16 hex digits."""
    return hashlib.pbkdf2_hmac("sha256", code.encode(), b"styleidentity participant", _ROUNDS, dklen=8).hex()


def ticket(code: str, screen: str, *, undone: int) -> str:
    """Return the opaque name of one screen of a run, 32 hex digits.

    Args:
        screen: a trial's place, "check" or "review".
        undone: how many answers were taken back before it was shown: a screen shown again has another ticket.
    """
    return hmac.new(code.encode(), f"screen {screen} {undone}".encode(), hashlib.sha256).hexdigest()[:32]
