"""What the package shows of itself: ``digits`` trains, tunes, compares and reports; ``photos`` explains photographs."""

from pnpxai.demo.digits import digits, run, train
from pnpxai.demo.photos import explain_photos

__all__ = ["digits", "explain_photos", "run", "train"]
