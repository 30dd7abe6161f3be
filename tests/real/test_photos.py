"""The demonstration on photographs names what they show, by explainers that kept their laws."""

from __future__ import annotations

import pytest
from PIL import Image

from pnpxai.demo import explain_photos
from tests import real_models

pytestmark = pytest.mark.real


def test_photographs_are_named_and_explained(tmp_path):
    packages = [real_models.package(*of) for of in real_models.EFFICIENTNET_LITE0]
    with real_models.importable(*packages):
        shown = explain_photos(tmp_path, quick=True)
    assert [overview.classes[0] for overview in shown.values()] == ["tiger cat", "espresso", "tripod"]
    for file, overview in shown.items():
        assert len(overview.rows) == 3
        assert overview.rows[0].faithfulness == max(row.faithfulness for row in overview.rows)
        with Image.open(file) as picture:
            assert picture.width > 300
