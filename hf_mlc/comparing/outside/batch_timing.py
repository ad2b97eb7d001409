"""How long a system takes to answer rows that come so many at a time; the programs of this folder share it."""

import time


def seconds_of(answer, features, batch_size: int) -> float:
    """Wall seconds to answer every row, batch after batch. The batches are cut, and one answered, before the clock starts.

    Args:
        answer: given a matrix of rows, works out their labels.
        features (`scipy.sparse.csr_matrix`): the rows.
        batch_size (`int`): rows at a time.
    """
    batches = [features[start : start + batch_size] for start in range(0, features.shape[0], batch_size)]
    answer(batches[0])
    start = time.perf_counter()
    for batch in batches:
        answer(batch)
    return time.perf_counter() - start
