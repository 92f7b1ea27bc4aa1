"""x/√2 → Erf → + 1 → × ½ → × x, as torch writes its GELU → one step: LiteRT has no Erf."""

from dataclasses import replace

import numpy as np

from fursure.phones.straight import GraphStep, Straight

_CLOSE = 1e-5  # to √2, 1 and ½


def with_gelus(network: Straight) -> Straight:
    """Return ``network`` with a `Gelu` wherever an Erf was part of one; others stay."""
    makers = {name: step for step in network.steps for name in step.outputs}
    users = {name: step for step in network.steps for name in step.inputs}
    gone: set[str] = set()
    whole: dict[str, GraphStep] = {}
    for step in network.steps:
        if step.kind == "Erf" and (chain := _chain(network, step, makers, users)):
            source, last = chain[0].inputs[0], chain[-1].outputs
            gone.update(link.outputs[0] for link in chain)
            whole[last[0]] = GraphStep(kind="Gelu", inputs=(source,), outputs=last, attributes={})
    steps = (
        whole.get(step.outputs[0], step)
        for step in network.steps
        if step.outputs[0] in whole or step.outputs[0] not in gone
    )
    return replace(network, steps=tuple(steps))


def _chain(
    network: Straight, erf: GraphStep, makers: dict[str, GraphStep], users: dict[str, GraphStep]
) -> list[GraphStep] | None:
    """Return the five steps around ``erf``, if they are those of a GELU."""
    divided = makers.get(erf.inputs[0])
    if divided is None or divided.kind != "Div" or not _has(network, divided, np.sqrt(2)):
        return None
    chain = [divided, erf]
    for kind, number in (("Add", 1.0), ("Mul", 0.5), ("Mul", None)):
        link = users.get(chain[-1].outputs[0])
        if link is None or link.kind != kind:
            return None
        if number is None:
            return [*chain, link] if divided.inputs[0] in link.inputs else None
        if not _has(network, link, number):
            return None
        chain.append(link)
    return None


def _has(network: Straight, step: GraphStep, number: float) -> bool:
    """Return whether an input of ``step`` is the constant ``number``."""
    constants = (network.constants[name] for name in step.inputs if name in network.constants)
    return any(value.size == 1 and abs(value.item() - number) < _CLOSE for value in constants)
