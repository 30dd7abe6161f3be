"""Numbers, settings and names in words."""

import pytest

from pnpxai.report.words import counted, definition, humps, number, setting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (-1.5, "−1.500"),
        (0, "0.000"),
        (1e-9, "1e−09"),
        (0.0005, "0.001"),
        (-0.00049, "−0.00049"),
        (123456.0, "1.2e+05"),
        (float("nan"), "undefined"),
        (None, "undefined"),
        (float("inf"), "infinite"),
        (float("-inf"), "−infinite"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_number_of_digits():
    assert number(3.14159, 1) == "3.1"
    assert number(20, 0) == "20"


def test_counted():
    assert (counted(1, "value"), counted(0, "value"), counted(2, "value")) == ("1 value", "0 values", "2 values")


def test_humps_break_names_and_escape_them():
    assert humps("SmoothGrad (tuned)") == "Smooth<wbr>Grad (tuned)"
    assert humps("LRPEpsilonPlus") == "LRP<wbr>Epsilon<wbr>Plus"
    assert humps("FactorVAE") == "Factor<wbr>VAE"
    assert humps("LRP(n_iter=2)") == "LRP<wbr>(n_<wbr>iter=<wbr>2)"
    assert humps("<b>A") == "&lt;b&gt;A"


def test_said():
    blur = {"type": "GaussianBlur", "kernel_size": [5, 5], "sigma": 1.0, "layer": None}
    assert setting(blur) == "GaussianBlur(kernel_size=[5, 5], sigma=1)"
    assert setting({"type": "Zeros"}) == "Zeros"
    assert setting({"a": 1}) == "{a=1}"
    assert setting({"callable": "pnpxai.metrics.faithfulness.removal:probability"}) == "probability"
    assert (setting(None), setting(True), setting("x"), setting(1e-06)) == ("None", "True", "x", "1e-06")


def test_definition_takes_the_prose_that_opens_a_docstring():
    class Whole:
        """First ``thing``,
        on two lines.

        Range 0 to 1.

        More.
        """

    class Listed:
        """First.

        Args:
            a: what.
        """

    class Bare:
        pass

    assert definition(Whole) == ("First thing, on two lines.", "Range 0 to 1.")
    assert definition(Listed) == ("First.",)
    assert definition(Bare) == ()
