from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commandside.payments import settle as settle_module
from commandside.payments.port import (
    AuthorisationOutcome,
    Authorised,
    Cancelled,
    Captured,
    CaptureOutcome,
    Declined,
    Payment,
    PaymentKeyReused,
    PaymentOutcome,
    PaymentRefused,
    Pending,
    Processing,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
    RefundOutcome,
)
from commandside.payments.settle import LONGEST_PAUSE_SECONDS, Settled, StillUnknown, settle
from domain.values import Money
from tests.fakes.payments import FakePaymentProvider
from tests.payments import AMOUNT, a_payment

PAYMENT = a_payment(token="tok")
ATTEMPT_SECONDS = 3.0
WITHIN_SECONDS = 10.0

Answer = PaymentOutcome | Exception | None


class VirtualTime:
    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class ScriptedProvider:
    """Gives the answers of a script, the last one for ever; every call takes `call_seconds`."""

    def __init__(self, time: VirtualTime, *answers: Answer, call_seconds: float = 0.0) -> None:
        self.calls: list[str] = []
        self._time = time
        self._answers = list(answers)
        self._call_seconds = call_seconds

    async def authorise(self, payment: Payment) -> PaymentOutcome:
        assert payment == PAYMENT
        answer = self._next("authorise")
        assert answer is not None, "a script for authorise has no None"
        return answer

    async def find(self, payment: Payment) -> PaymentOutcome | None:
        assert payment == PAYMENT
        return self._next("find")

    async def capture(self, payment: Payment, amount: Money) -> CaptureOutcome:
        raise AssertionError("settling captures nothing")

    async def cancel(self, payment: Payment) -> AuthorisationOutcome:
        raise AssertionError("settling cancels nothing")

    async def refund(self, payment: Payment, refund_key: str, amount: Money) -> RefundOutcome:
        raise AssertionError("settling refunds nothing")

    def _next(self, method: str) -> PaymentOutcome | None:
        self.calls.append(method)
        self._time.now += self._call_seconds
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def settled(time: VirtualTime, provider: ScriptedProvider) -> Settled:
    deadline = time.now + WITHIN_SECONDS
    return await settle(provider, PAYMENT, deadline, clock=time.clock, sleep=time.sleep, jitter=lambda: 0.5)


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.mark.parametrize(
    "outcome", [Authorised("r"), Captured("r", AMOUNT), Declined("no"), Cancelled("r"), Pending("r")]
)
async def test_an_answer_at_once_is_the_outcome(time: VirtualTime, outcome: Settled) -> None:
    assert not isinstance(outcome, StillUnknown)
    provider = ScriptedProvider(time, outcome)

    assert await settled(time, provider) == outcome
    assert provider.calls == ["authorise"]
    assert time.pauses == []


@pytest.mark.parametrize("failure", [ProviderTimeout(), ProviderUnreachable(), ProviderMisbehaved(), TimeoutError()])
async def test_after_a_failure_it_looks_before_it_asks_again(time: VirtualTime, failure: Exception) -> None:
    provider = ScriptedProvider(time, failure, Authorised("r"))

    assert await settled(time, provider) == Authorised("r")
    assert provider.calls == ["authorise", "find"]
    assert len(time.pauses) == 1


async def test_it_asks_again_when_nothing_is_found(time: VirtualTime) -> None:
    provider = ScriptedProvider(time, ProviderUnreachable(), None, Authorised("r"))

    assert await settled(time, provider) == Authorised("r")
    assert provider.calls == ["authorise", "find", "authorise"]


async def test_it_goes_on_looking_while_looking_fails(time: VirtualTime) -> None:
    provider = ScriptedProvider(time, ProviderTimeout(), ProviderUnreachable(), ProviderTimeout(), Declined("no"))

    assert await settled(time, provider) == Declined("no")
    assert provider.calls == ["authorise", "find", "find", "find"]


async def test_it_polls_while_the_provider_works_on_it(time: VirtualTime) -> None:
    provider = ScriptedProvider(time, Processing("r"), Processing("r"), Processing("r"), Authorised("r"))

    assert await settled(time, provider) == Authorised("r")
    assert provider.calls == ["authorise", "find", "find", "find"]
    assert time.pauses == sorted(time.pauses)


async def test_at_the_deadline_the_outcome_is_unknown_and_the_reason_says_why(time: VirtualTime) -> None:
    began = time.now

    outcome = await settled(time, ScriptedProvider(time, ProviderUnreachable("connection refused")))

    assert outcome == StillUnknown("ProviderUnreachable: connection refused")
    assert time.now == pytest.approx(began + WITHIN_SECONDS)
    assert max(time.pauses) <= LONGEST_PAUSE_SECONDS


async def test_after_the_deadline_nothing_is_asked(time: VirtualTime) -> None:
    provider = ScriptedProvider(time, Authorised("r"))

    outcome = await settle(provider, PAYMENT, time.now, clock=time.clock, sleep=time.sleep)

    assert isinstance(outcome, StillUnknown)
    assert provider.calls == []


async def test_another_amount_under_the_key_is_the_callers_fault(time: VirtualTime) -> None:
    with pytest.raises(PaymentKeyReused):
        await settled(time, ScriptedProvider(time, PaymentKeyReused(), Authorised("r")))


async def test_a_refusal_before_anything_can_have_been_held_is_told(time: VirtualTime) -> None:
    provider = ScriptedProvider(time, PaymentRefused("422"), Authorised("r"))
    with pytest.raises(PaymentRefused):
        await settled(time, provider)
    assert provider.calls == ["authorise"]


@pytest.mark.parametrize("before", [[ProviderTimeout(), None], [Processing("r"), None]])
async def test_a_refusal_afterwards_is_no_outcome(time: VirtualTime, before: list[Answer]) -> None:
    # The first request may still be on its way to the provider, who does not know of it yet.
    provider = ScriptedProvider(time, *before, PaymentRefused("422"), Authorised("r"))
    assert await settled(time, provider) == Authorised("r")
    assert provider.calls == ["authorise", "find", "authorise", "find"]


async def test_nor_is_one_to_who_was_asked_by_another_process_before(time: VirtualTime) -> None:
    provider = ScriptedProvider(time, PaymentRefused("401"), ProviderTimeout())
    outcome = await settle(provider, PAYMENT, time.now + 1, asked_before=True, clock=time.clock, sleep=time.sleep)
    assert isinstance(outcome, StillUnknown)


async def test_a_call_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, time: VirtualTime) -> None:
    monkeypatch.setattr(settle_module, "ATTEMPT_TIMEOUT_SECONDS", 0.01)

    class Silent(ScriptedProvider):
        async def authorise(self, payment: Payment) -> PaymentOutcome:
            self.calls.append("authorise")
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    provider = Silent(time, Authorised("r"))
    async with asyncio.timeout(5):
        assert await settled(time, provider) == Authorised("r")
    assert provider.calls == ["authorise", "find"]


async def test_being_cancelled_is_not_taken_for_a_failure(time: VirtualTime) -> None:
    class Silent(ScriptedProvider):
        async def authorise(self, payment: Payment) -> PaymentOutcome:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    task = asyncio.create_task(settled(time, Silent(time, Authorised("r"))))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


answers = st.sampled_from(
    [ProviderTimeout(), ProviderUnreachable(), ProviderMisbehaved(), Processing("r"), Authorised("r"), Pending("r")]
)


@given(script=st.lists(answers, min_size=1, max_size=60), call_seconds=st.floats(0, ATTEMPT_SECONDS))
def test_whatever_the_answers_it_ends_in_time_and_never_asks_again_without_looking(
    script: list[Answer], call_seconds: float
) -> None:
    time = VirtualTime()
    provider = ScriptedProvider(time, *script, call_seconds=call_seconds)
    began = time.now

    outcome = asyncio.run(settled(time, provider))

    assert time.now <= began + WITHIN_SECONDS + ATTEMPT_SECONDS
    assert provider.calls == ["authorise"] + ["find"] * (len(provider.calls) - 1)
    answered = [answer for answer in script if isinstance(answer, Authorised | Pending)]
    assert isinstance(outcome, StillUnknown) or outcome == answered[0]
    assert not any(pause > LONGEST_PAUSE_SECONDS for pause in time.pauses)


tokens = st.one_of(
    st.sampled_from(["tok_ok", "tok_timeout", "tok_error_then_ok", "tok_declined", "tok_webhook"]),
    st.integers(0, 20_000).map(lambda milliseconds: f"tok_slow_{milliseconds}"),
)


@given(token=tokens, outages=st.lists(st.booleans(), max_size=12))
def test_every_token_settles_at_most_one_payment_through_outages(token: str, outages: list[bool]) -> None:
    async def run() -> None:
        time = VirtualTime()
        provider = FakePaymentProvider(timeout_seconds=ATTEMPT_SECONDS, clock=time.clock, sleep=time.sleep)
        pending = list(outages)

        async def sleep(seconds: float) -> None:
            provider.unreachable = pending.pop() if pending else False
            await time.sleep(seconds)

        outcome = await settle(
            provider, a_payment(token=token), time.now + 40, clock=time.clock, sleep=sleep, jitter=lambda: 0
        )

        provider.unreachable = False
        if token == "tok_declined":
            assert outcome == Declined("card_declined")
        elif token == "tok_webhook":
            assert isinstance(outcome, Pending | Authorised)
        else:
            assert isinstance(outcome, Authorised)
        assert provider.authorised() == ({"key": AMOUNT} if isinstance(outcome, Authorised) else {})
        assert provider.captured() == {}

    asyncio.run(run())
