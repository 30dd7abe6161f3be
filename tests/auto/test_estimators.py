"""Tables in further forms, and estimators of every kind: what they are asked for, and in which form they get rows."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

import pnpxai
from pnpxai.errors import ArgumentError


def sklearn_class(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"sklearn.{module}"), name)


def logistic_regression():
    return sklearn_class("linear_model.LogisticRegression")()


def linear(columns, outputs):
    torch.manual_seed(0)
    return torch.nn.Linear(columns, outputs)


FRAME = pd.DataFrame(np.random.default_rng(1).normal(size=(40, 3)), columns=list("abc"))
ABOVE = (FRAME["a"] + FRAME["b"] * FRAME["c"] > 0).to_numpy(int)


@pytest.mark.parametrize(
    ("data", "mentions"),
    [
        (FRAME.set_axis(["a", "a", "b"], axis=1), "several named a"),
        (FRAME.to_numpy().astype(complex), "got complex ones"),
        (np.ma.masked_array(FRAME, FRAME > 1), "expected finite numbers"),
    ],
    ids=["names twice", "complex", "masked"],
)
def test_tables_that_have_no_plain_numbers_are_refused(data, mentions):
    with pytest.raises(ArgumentError, match=mentions):
        pnpxai.auto_explain(linear(3, 2), data).explain("FeatureAblation")


@pytest.mark.parametrize("form", ["array", "lists", "sparse", "read-only array"])
def test_tables_in_every_form_have_the_maps_of_their_frame(form):
    model = linear(3, 2)
    values = FRAME.to_numpy().copy()
    values.setflags(write=form != "read-only array")
    data = {"lists": values.tolist(), "sparse": scipy.sparse.csr_matrix(values)}.get(form, values)
    maps = [pnpxai.auto_explain(model, one).explain("FeatureAblation").attributions[0] for one in (FRAME, data)]
    assert torch.equal(*maps)


@pytest.mark.parametrize(
    ("path", "settings"),
    [
        ("svm.SVC", {}),
        ("svm.LinearSVC", {}),
        ("cluster.KMeans", {"n_clusters": 3, "n_init": 1, "random_state": 0}),
        ("ensemble.IsolationForest", {"n_estimators": 5}),
    ],
)
def test_estimators_without_probabilities_are_asked_for_what_they_decide_by(path, settings):
    """The second of two classes has the decision function; a cluster is a class, not a number."""
    estimator = sklearn_class(path)(**settings).fit(FRAME, ABOVE)
    auto = pnpxai.auto_explain(estimator, FRAME)
    explanation = auto.explain("FeatureAblation")
    if path == "cluster.KMeans":
        assert explanation.targets.tolist() == estimator.predict(FRAME[:8]).tolist()
        assert explanation.scores.tolist() == [1] * 8
    else:
        decided = estimator.decision_function(FRAME[:8])
        right = decided if path == "ensemble.IsolationForest" else np.abs(decided)
        np.testing.assert_allclose(explanation.scores, right, rtol=1e-5)


def test_several_outputs_of_an_estimator_keep_their_rows():
    both = np.stack([ABOVE, (FRAME["c"] > 0).to_numpy(int)], 1)
    estimator = sklearn_class("multioutput.MultiOutputClassifier")(logistic_regression()).fit(FRAME, both)
    explanation = pnpxai.auto_explain(estimator, FRAME, target=(1, 1)).explain("FeatureAblation")
    np.testing.assert_allclose(explanation.scores, estimator.predict_proba(FRAME[:8])[1][:, 1], rtol=1e-5)


def test_an_estimator_gets_frames_or_arrays_as_it_was_fitted():
    """A warning about names would be an error here."""
    for fitted_on in (FRAME, FRAME.to_numpy()):
        estimator = logistic_regression().fit(fitted_on, ABOVE)
        for data in (FRAME, FRAME.to_numpy()):
            assert pnpxai.auto_explain(estimator, data).explain("FeatureAblation").scores.isfinite().all()


def test_the_error_of_a_model_is_the_one_that_is_seen():
    """It counts as a missing attribute too, which Python looks for a second time."""
    with pytest.raises(sklearn_class("exceptions.NotFittedError")):
        pnpxai.auto_explain(logistic_regression(), FRAME).explain("FeatureAblation")


class OfArrays:
    """Knows nothing of frames, and says nothing of what it was fitted on."""

    def predict_proba(self, rows):
        assert rows.dtype == np.float32
        likely = 1 / (1 + np.exp(-rows[:, 1]))
        return np.stack([1 - likely, likely], 1)


@pytest.mark.parametrize(
    "model",
    [OfArrays(), OfArrays().predict_proba, lambda rows: OfArrays().predict_proba(np.asarray(rows))],
    ids=["without predict", "its method", "a function"],
)
@pytest.mark.parametrize("data", [FRAME.astype(np.float32), FRAME.to_numpy(np.float32)], ids=["frame", "array"])
def test_what_predicts_of_arrays_is_asked_in_their_type(model, data):
    explanation = pnpxai.auto_explain(model, data).explain("FeatureAblation")
    right = OfArrays().predict_proba(FRAME.to_numpy(np.float32)[:8]).max(1)
    np.testing.assert_allclose(explanation.scores, right, rtol=1e-6)
    assert (explanation.attributions[0].abs().argmax(1) == 1).all()


def test_columns_go_to_an_estimator_as_it_was_fitted():
    estimator = logistic_regression().fit(FRAME, ABOVE)
    maps = pnpxai.auto_explain(estimator, FRAME).explain("FeatureAblation").to_frame()
    mixed = (FRAME[["c", "b", "a"]].assign(other=1.0), ABOVE)
    pd.testing.assert_frame_equal(pnpxai.auto_explain(estimator, mixed).explain("FeatureAblation").to_frame(), maps)
    with pytest.raises(ArgumentError, match="LogisticRegression was fitted on a column 'c', which the frame does not"):
        pnpxai.auto_explain(estimator, FRAME[["a", "b"]])


def test_several_predicted_numbers_are_asked_for():
    estimator = sklearn_class("linear_model.Ridge")().fit(FRAME, FRAME[["a", "b"]])
    with pytest.raises(ArgumentError, match="predicts 2 numbers for each row, of which none is a class"):
        pnpxai.auto_explain(estimator, FRAME).explain("FeatureAblation")
    scores = pnpxai.auto_explain(estimator, FRAME, target=1).explain("FeatureAblation").scores
    np.testing.assert_allclose(scores, estimator.predict(FRAME[:8])[:, 1])
