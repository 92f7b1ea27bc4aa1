"""The catalogue of named recipes, as plain values: `fursure recipes` lists it.

Each entry says what its recipe does, how it is run, how long it takes, and whose idea it was.
"""

from dataclasses import replace

from fursure.errors import UnknownRecipe
from fursure.recipe import FineTune, Mlp, Recipe, Stage
from fursure.recipes.entry import Entry
from fursure.recipes.seeds import SEEDS

LINEAR_PROBE = Recipe()
MLP_PROBE = replace(LINEAR_PROBE, name="mlp-probe", head=Mlp())
FINE_TUNE = Recipe(name="fine-tune", tune=FineTune(beside="lite0"))
QUICK_TUNE = replace(
    FINE_TUNE,
    name="quick-tune",
    tune=FineTune(stages=(Stage(part="last-block", epochs=3, rate=3e-4),), beside="lite0"),
)
BEST = Recipe(
    name="best",
    backbone="lite2",
    tune=FineTune(train_size=208, runs=2, beside="lite0"),
    image_size=240,
)

ENTRIES: dict[str, Entry] = {
    entry.recipe.name: entry
    for entry in (
        Entry(
            LINEAR_PROBE,
            """A frozen backbone and a logistic regression: the default.

fursure train PHOTOS

Each photo goes once through the network, its features are kept, and the head is fitted in
about a second; its strength is chosen on validation photos.
Time: half a minute for 12,000 photos on two cores. Result: see docs/experiments.md.
Source: Donahue et al., DeCAF, ICML 2014.""",
        ),
        Entry(
            MLP_PROBE,
            """A frozen backbone and one hidden layer, for what a linear head cannot part.

fursure train PHOTOS --recipe mlp-probe

As linear-probe, with 256 hidden units and dropout in between; the best epoch is kept.
Time and result: see docs/experiments.md.
Source: Donahue et al., DeCAF, ICML 2014.""",
        ),
        Entry(
            QUICK_TUNE,
            """The head fitted, then the last block of the network trained for three passes.

fursure train PHOTOS --recipe quick-tune

The cheapest training of the network itself: what lies below the last block stays frozen.
Time and result: see docs/experiments.md.
Source: Yosinski et al., How transferable are features in deep neural networks?, NeurIPS 2014.""",
        ),
        Entry(
            FINE_TUNE,
            """The head fitted, then all layers trained, the lower ones more slowly.

fursure train PHOTOS --recipe fine-tune

A head that fits the frozen features spares the network the large first steps that would
spoil them; a rate that falls from layer to layer downwards moves edges least of all. Frozen lite0
stands beside: its answers join in, and by its features strangers are known as before.
Time and result: see docs/experiments.md.
Source: Kumar et al., Fine-tuning can distort pretrained features, ICLR 2022; Howard and Ruder,
ACL 2018, for a rate of each layer's own.""",
        ),
        Entry(
            BEST,
            """Lite2 trained twice, frozen lite0 beside: the mean of three networks.

fursure train PHOTOS --recipe best --minutes 120

It answers at 240 px and trains at 208. Strangers are known by the frozen network. --minutes is a
limit: with little time there is one training, and a shorter one. Where training does not help,
frozen networks are kept, and it says so.
Time: about an hour for 12,000 photos on two cores of an AMD EPYC (Zen 4), by its rate alone.
Result: 99.36 % of Kaggle's cats and dogs (mean of three divisions, n = 3610, trained on a GPU),
where frozen Lite2 has 99.00 %; docs/experiments.md says more.
Source: as fine-tune; Lakshminarayanan et al., NeurIPS 2017, for the mean of trainings; Touvron et
al., NeurIPS 2019, for smaller photos in training.""",
        ),
        *SEEDS,
    )
}
RECIPES: dict[str, Recipe] = {name: entry.recipe for name, entry in ENTRIES.items()}


def find(name: str) -> Recipe:
    """Return the recipe of that name.

    Raises:
        UnknownRecipe: there is none; the message names the nearest and lists the others.
    """
    try:
        return RECIPES[name]
    except KeyError:
        raise UnknownRecipe(name, RECIPES) from None
