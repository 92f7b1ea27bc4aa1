"""Recipes that redo five classic cats-and-dogs tutorials, so that all share one split and clock.

Photos are squashed to a square, as the tutorials did, and heads start from random weights.
"""

from dataclasses import replace

from fursure.recipe import FineTune, Mlp, Recipe, Stage
from fursure.recipes.entry import Entry

VGG16 = "timm:vgg16.tv_in1k"
HELD_OUT = 2_000 / 19_000  # share of validation, and of test: 15,000 photos are left to train on

# The tutorials' own training: one rate for all layers, much dropout in the head, the last weights.
PLAIN = FineTune(start="random", augment="classic", layer_decay=1.0, dropout=0.5, ema=0.0)

VGG16_AUGMENTED = Recipe(
    name="vgg16-augmented",
    backbone=VGG16,
    head=Mlp(hidden=(256,), dropout=0.5),
    tune=replace(PLAIN, stages=(Stage(part="head", epochs=10, rate=1e-3),)),
    image_size=224,
    resize="squash",
)

SCRATCH_CNN = Recipe(
    name="scratch-cnn",
    backbone="scratch:cnn",
    tune=replace(PLAIN, stages=(Stage(epochs=30, rate=1e-3),), batch_norm="live", patience=10),
    image_size=150,
    resize="squash",
)
SCRATCH_RESNET = Recipe(
    name="scratch-resnet",
    backbone="scratch:resnet",
    tune=FineTune(
        stages=(Stage(epochs=55, rate=4e-3),),
        start="random",
        train_size=112,
        augment="strong",
        batch=64,
        layer_decay=1.0,
        weight_decay=0.1,
        ema=0.999,
        batch_norm="live",
        patience=20,
    ),
    image_size=144,
    resize="squash",
)
VGG_TRANSFER = Recipe(
    name="vgg-transfer",
    backbone=VGG16,
    head=Mlp(hidden=(256,), dropout=0.5),
    image_size=150,
    resize="squash",
)

VGG16_SMALL = Recipe(
    name="vgg16-small",
    backbone=VGG16,
    head=Mlp(hidden=(256,), dropout=0.5),
    tune=replace(
        PLAIN,
        stages=(
            Stage(part="head", epochs=10, rate=1e-3),
            Stage(part="last-block", epochs=10, rate=1e-5),
        ),
    ),
    image_size=224,
    resize="squash",
    photos=4_000,
    validation=0.08,
    test=0.08,
)
VGG16_FULL = replace(VGG16_SMALL, name="vgg16-full", photos=21_000)

CHOOSE_BACKBONE = Recipe(
    name="choose-backbone",
    backbone="timm:resnet50.a1_in1k",
    head=Mlp(hidden=(256,)),
    tune=replace(PLAIN, stages=(Stage(part="head", epochs=20, rate=1e-3),), patience=3),
    resize="squash",
)

VGG16_BOTTLENECK = Recipe(
    name="vgg16-bottleneck",
    backbone=VGG16,
    head=Mlp(hidden=(256,), dropout=0.5, l2=0.05, rate=1e-3, decay=0.9),
    image_size=150,
    resize="squash",
    validation=HELD_OUT,
    test=HELD_OUT,
)

SEEDS: tuple[Entry, ...] = (
    Entry(
        SCRATCH_CNN,
        """A small network of the tutorials, from random weights: what transfer has to beat.

fursure train PHOTOS --recipe scratch-cnn

Four convolutions and a dense layer at 150 px; photos turned, sheared, zoomed and mirrored.
Time and result: see docs/seeds.md.
Source: the first of the classic tutorials, which goes on to vgg-transfer.""",
    ),
    Entry(
        SCRATCH_RESNET,
        """A small residual network from random weights, trained the way it is done today.

fursure train PHOTOS --recipe scratch-resnet

112 px in training and 144 in answering, strong augmentation, averaged weights, 55 passes.
Time: about an hour for 12,000 photos on two cores of an AMD EPYC (Zen 4), by its rate; 150 s on
one H200. Result: 95.82, 95.09 and 95.07 % of Kaggle's cats and dogs on three divisions (n = 1172,
1243, 1196), trained on that GPU. 95 passes at half the weight decay gave 96.7 % (n = 2355).
Source: He et al., Deep residual learning, CVPR 2016; Wightman et al., ResNet strikes back,
NeurIPS workshops 2021.""",
    ),
    Entry(
        VGG_TRANSFER,
        """VGG16 frozen at 150 px and 256 hidden units, without augmentation.

fursure train PHOTOS --recipe vgg-transfer

The second half of the tutorial that begins with scratch-cnn.
Time and result: see docs/seeds.md.
Source: Simonyan and Zisserman, Very deep convolutional networks, ICLR 2015, for the network.""",
    ),
    Entry(
        VGG16_AUGMENTED,
        """VGG16 frozen at 224 px, its head trained on photos that vary from pass to pass.

fursure train PHOTOS --recipe vgg16-augmented

Every pass runs the whole network anew, which is what augmentation costs.
Time and result: see docs/seeds.md.
Source: a classic tutorial on augmentation in front of a frozen network.""",
    ),
    Entry(
        VGG16_SMALL,
        """4,000 photos: VGG16's head first, then its last block at a small rate.

fursure train PHOTOS --recipe vgg16-small

Two stages: ten passes for the head above a frozen network, ten more for the last block at 1e-5.
The original: 0.9665 of its test photos. Time and result here: see docs/seeds.md.
Source: the fine-tuning half of a classic tutorial on little data.""",
    ),
    Entry(
        VGG16_FULL,
        """21,000 photos: VGG16's head first, then its last block at a small rate.

fursure train PHOTOS --recipe vgg16-full

As vgg16-small, with all that Kaggle's 25,000 photos leave beside validation and test.
The original: 0.9765 of its test photos. Time and result here: see docs/seeds.md.
Source: as vgg16-small.""",
    ),
    Entry(
        CHOOSE_BACKBONE,
        """ResNet50, or the backbone you name, frozen; its head trained with augmentation.

fursure train PHOTOS --recipe choose-backbone --backbone timm:inception_v3.tv_in1k

Turned, zoomed and mirrored photos; it stops after three passes without a better loss. ResNet50
by default; timm:vgg16.tv_in1k and timm:inception_v3.tv_in1k were the other choices.
The original: 99.36 % of its test photos. Time and result here: see docs/seeds.md.
Source: a classic tutorial that compares three networks.""",
    ),
    Entry(
        VGG16_BOTTLENECK,
        """VGG16's features at 150 px, kept, and a strongly regularised head on them.

fursure train PHOTOS --recipe vgg16-bottleneck

256 hidden units, dropout, an L2 penalty of 0.05, a rate that falls by a tenth each epoch.
The original, on 15,000 / 2,000 / 2,000 photos: over 92 %. Time and result here: see docs/seeds.md.
Source: a classic tutorial on bottleneck features.""",
    ),
)
