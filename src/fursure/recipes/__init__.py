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
FINE_TUNE = Recipe(name="fine-tune", tune=FineTune())
QUICK_TUNE = replace(
    FINE_TUNE,
    name="quick-tune",
    tune=FineTune(stages=(Stage(part="last-block", epochs=3, rate=3e-4),)),
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
spoil them; a rate that falls from layer to layer downwards moves edges least of all.
Time and result: see docs/experiments.md.
Source: Kumar et al., Fine-tuning can distort pretrained features, ICLR 2022; Howard and Ruder,
ACL 2018, for a rate of each layer's own.""",
        ),
        Entry(
            BEST,
            """All layers trained, and every answer the mean of a photo and its mirror image.

fursure train PHOTOS --recipe best

As fine-tune; each photo then goes through the network twice, also when it is predicted.
Time: 16 minutes for 12,000 photos on two cores. Result: 98.6 % where linear-probe has 97.9 %
(MobileNetV2, Kaggle's cats and dogs, n = 2353); docs/experiments.md says more.
Source: as fine-tune; Krizhevsky et al., NeurIPS 2012, for the mirror image.""",
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
