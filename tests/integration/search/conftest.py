import pytest

pytest.register_assert_rewrite(
    *(f"tests.integration.search.{name}" for name in ("contract", "words_contract", "suggest_contract", "small_shop"))
)
