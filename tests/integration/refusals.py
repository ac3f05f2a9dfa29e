"""What the stock client says when a call is refused."""

from typing import Any

import pytest


def refusal(act: Any) -> tuple[str, str]:
    """Error code and message of the exception that ``act`` ends with."""
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as caught:
        act()
    return caught.value.error_code, str(caught.value)
