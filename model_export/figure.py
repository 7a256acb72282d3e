"""One figure on one input: the graphs' values, the exact values, and the limit of their difference.

No fixed limit separates a wrong graph from rounding in float32, because large weights and long
sequences amplify rounding: a right graph of one trained model was off by 1.2e-4 nats in one token.
The limit of a figure therefore scales with its *noise*, the change that rounding alone causes.
"""

from dataclasses import dataclass

import numpy as np

from model_export.errors import ParityError
from model_export.reference import Doubles

# Of 7,900 figures of 120 right graphs (1 to 3 layers, 8 to 128 wide, states up to 92, matrices
# up to 8 times too large) the worst took 0.50 of its limit, and the worst mean 0.34.
WORST_PER_NOISE = 16.0
MEAN_PER_NOISE = 8.0
# With few figures, noise can be small by chance. This part of the magnitude is always allowed,
# because float32 loses it in a few additions.
FLOOR = 4 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Figure:
    """Arrays (rows, columns). `noise` and `magnitude` may have a single column.

    A row is a `unit` of the input: a "token" or a "sequence". `found` are the values of the graphs,
    `torch` those of torch in float32.
    """

    name: str
    unit: str
    found: Doubles
    exact: Doubles
    torch: Doubles
    noise: Doubles
    magnitude: Doubles

    @property
    def errors(self) -> Doubles:
        """|found − exact|, infinite if the graphs return nan."""
        errors = np.abs(self.found - self.exact)
        return np.where(np.isfinite(errors), errors, np.inf)

    @property
    def torch_errors(self) -> Doubles:
        errors: Doubles = np.abs(self.torch - self.exact)
        return errors

    def check(self, where: str) -> None:
        """Raise ParityError if an error, or the mean of all errors, is above its limit.

        `where` describes the input.
        """
        if not (np.isfinite(self.exact).all() and np.isfinite(self.torch_errors).all()):
            raise ParityError(
                f"the checkpoint itself has {self.name} that are not finite, on {where}; "
                "no bundle was written; train again with a smaller train.learning_rate"
            )
        limits = np.broadcast_to(
            WORST_PER_NOISE * self.noise + FLOOR * self.magnitude, self.exact.shape
        )
        place = np.unravel_index((self.errors / limits).argmax(), limits.shape)
        floor = FLOOR / float(np.sqrt(self.exact.size))  # averages of more figures have less noise
        mean = MEAN_PER_NOISE * float(self.noise.mean()) + floor * float(self.magnitude.mean())
        if self.errors[place] > limits[place]:
            place_name, error, limit = (
                f"{self.unit} {place[0] + 1}",
                self.errors[place],
                limits[place],
            )
        elif self.errors.mean() > mean:
            place_name, error, limit = "their mean", self.errors.mean(), mean
        else:
            return
        raise ParityError(
            f"the exported graphs differ from the checkpoint by {error:.2e}, more than "
            f"{limit:.2e}, in the {self.name} of {where} ({place_name}; largest "
            f"{self.errors.max():.2e}, mean {self.errors.mean():.2e}, of torch's float32 "
            f"{self.torch_errors.max():.2e} and {self.torch_errors.mean():.2e}); no bundle was "
            "written"
        )
