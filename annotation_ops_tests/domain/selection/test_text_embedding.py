import numpy as np
import pytest

from annotation_ops.domain.selection.text_embedding import embed_texts


def test_texts_with_shared_words_are_nearer_than_others() -> None:
    cat, also_cat, ship = embed_texts(["the cat sleeps", "a cat sleeps", "container vessel departs"])

    assert cat @ also_cat > cat @ ship + 0.3


def test_embeddings_have_length_one_and_ignore_case_and_order() -> None:
    embedded = embed_texts(["Good morning Köln", "KÖLN morning good", "!!"])

    assert np.linalg.norm(embedded, axis=1) == pytest.approx([1.0, 1.0, 0.0])
    assert np.array_equal(embedded[0], embedded[1])
