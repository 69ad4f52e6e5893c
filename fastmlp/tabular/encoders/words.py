"""Free text as a few numbers: weighted terms, and the directions in which texts differ most.

Terms are words, pairs of words, and runs of three or four letters. Each is counted under a number
that is computed from it, so that no vocabulary is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_TERMS = 2**13  # half of them for words, and half for runs of letters
_MOST_KEPT = 4096
_LONGEST = 1000  # characters of a text that are looked at
_TEXTS_FOR_COMPONENTS = 5000
_TEXTS_PER_COMPONENT = 10
SIZES = ("length", "words")


@dataclass
class Words:
    """What has been learned of the text in a column.

    Attributes
    ----------
    terms : ndarray of shape (n_terms,), int64
        The numbers of the terms that count, in increasing order.
    weights : ndarray of shape (n_terms,), float64
        The weight of each, which is larger for rarer terms.
    components : ndarray of shape (n_terms, n_components), float64
        The directions in which texts differ most.
    """

    terms: NDArray[np.int64]
    weights: NDArray[np.float64]
    components: NDArray[np.float64]

    def apply(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Convert texts to numbers of shape (n_texts, n_components + 2).

        The last two are the logarithms of the numbers of characters and words. All are
        not-a-number for a text without characters.
        """
        result = np.empty((len(texts), self.components.shape[1] + len(SIZES)))
        if self.components.shape[1]:
            result[:, : -len(SIZES)] = self._weighted(_counted(texts)) @ self.components
        result[:, -2] = [np.log1p(len(text)) for text in texts]
        result[:, -1] = [np.log1p(len(text.split())) for text in texts]
        result[[not text for text in texts]] = np.nan
        return result

    def _weighted(self, counts: Any) -> Any:
        """Weigh the counts of terms, and give each text the length 1."""
        from sklearn.preprocessing import normalize

        chosen = counts[:, self.terms].astype(np.float64)
        chosen.data = 1 + np.log(chosen.data)
        return normalize(chosen.multiply(self.weights).tocsr(), copy=False)


def learn_words(texts: Sequence[str], n_components: int) -> Words:
    """Learn which terms tell texts apart; nothing but the texts is looked at.

    Parameters
    ----------
    texts : sequence of str
        The different texts of a column.
    n_components : int
        The largest number of components; few texts have fewer.

    Returns
    -------
    Words
    """
    from sklearn.utils.extmath import randomized_svd

    some: Sequence[str] = [text for text in texts if text]
    if len(some) > _TEXTS_FOR_COMPONENTS:
        drawn = np.random.default_rng(0).choice(len(some), _TEXTS_FOR_COMPONENTS, replace=False)
        some = [some[i] for i in np.sort(drawn)]
    counts = _counted(some)
    n_texts_with = np.bincount(counts.indices, minlength=N_TERMS)
    is_telling = (n_texts_with > 1) & (n_texts_with < len(some))
    ranked = np.argsort(-n_texts_with * is_telling, kind="stable")[:_MOST_KEPT]
    terms = np.sort(ranked[is_telling[ranked]]).astype(np.int64)
    weights = np.log((1 + len(some)) / (1 + n_texts_with[terms])) + 1
    most = min(n_components, max(1, len(some) // _TEXTS_PER_COMPONENT), len(terms))
    words = Words(terms, weights, np.empty((len(terms), 0)))
    if most:
        weighted = words._weighted(counts)
        *_, directions = randomized_svd(weighted, most, n_iter=4, random_state=0)
        words.components = np.ascontiguousarray(directions.T)
    return words


def _counted(texts: Sequence[str]) -> Any:
    """Count the terms of texts, as a sparse matrix of shape (n_texts, N_TERMS)."""
    from scipy.sparse import hstack

    # Half a surrogate pair is no letter; hashing needs whole ones.
    shortened = [text[:_LONGEST].encode("utf-8", "replace").decode("utf-8") for text in texts]
    return hstack([counter.transform(shortened) for counter in _counters()], format="csr")


@cache
def _counters() -> tuple[Any, Any]:
    """Make what counts words, and what counts runs of letters."""
    from sklearn.feature_extraction.text import HashingVectorizer

    same = {"n_features": N_TERMS // 2, "alternate_sign": False, "norm": None}
    return (
        HashingVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **same),
        HashingVectorizer(analyzer="char_wb", ngram_range=(3, 4), **same),
    )
