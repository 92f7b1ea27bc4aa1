"""The catalogue of named recipes, as plain values.

linear-probe   frozen backbone, logistic regression     fursure train PHOTOS
mlp-probe      frozen backbone, one hidden layer         fursure train PHOTOS --head mlp
"""

from dataclasses import replace

from fursure.recipe import Mlp, Recipe

LINEAR_PROBE = Recipe()
MLP_PROBE = replace(LINEAR_PROBE, name="mlp-probe", head=Mlp())
