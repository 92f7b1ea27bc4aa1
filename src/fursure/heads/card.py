"""A bundle's facts → its model card, for people."""

from collections.abc import Iterator

from fursure.bundle.meta import Meta
from fursure.metrics.catalogue import METRICS
from fursure.metrics.classification import Evaluation


def explained(basis: str, photos: int) -> str:
    """Return in words on what the figures were measured, and what the model learned from."""
    if basis == "cross-validation":
        return (
            f"measured by cross-validation: each of {photos:,} photos by a model that saw neither "
            "it nor a near-duplicate; the one here learned from all of them"
        )
    return f"measured on {photos:,} {basis}"


def _kept(meta: Meta) -> str:
    """Return whether the encoder was trained on the photos."""
    if (tune := meta.recipe.get("tune")) is None:
        return "frozen"
    beside = tune.get("beside")
    return f"trained on these photos{f', {beside} beside it frozen' if beside else ''}"


def card(meta: Meta) -> str:
    """Return the card as Markdown: what it tells apart, how well, and how that was measured."""
    evaluation = meta.evaluation
    rows = [
        f"| {label} | {splits.get('train', 0)} | {splits.get('val', 0)} | {splits.get('test', 0)} |"
        for label, splits in sorted(meta.data["photos"].items())
    ]
    risks = [
        f"| {row['max_error']:.1%} | "
        + (f"{row['threshold']:.4f} |" if row["threshold"] is not None else "not certified |")
        for row in meta.risks.to_json()["rows"]
    ]
    return "\n".join(
        [
            f"# {meta.name}",
            "",
            f"Tells apart {_listed(meta.labels)}, and says “unsure” or “stranger” otherwise.",
            "",
            *([meta.recipe["note"], ""] if meta.recipe["note"] else []),
            *_figures(evaluation),
            f"- The figures were {explained(meta.figures['basis'], evaluation.n)}",
            f"- Encoder: {meta.backbone}, {_kept(meta)}, {meta.features}-D features at "
            f"{meta.preprocess.size} px; licence of its weights: {meta.licence}",
            f"- Head: {meta.recipe['head']['kind']}, recipe {meta.recipe['name']}, "
            f"seed {meta.recipe['seed']}, temperature {meta.temperature:.3f}",
            f"- Photos: digest {meta.data['digest'][:16]}, {meta.data['near_duplicates']} "
            f"near-duplicates kept in one split, {meta.data['left_out']} left out",
            *_about_seen(meta),
            "",
            "| class | train | validation | test |",
            "|---|---|---|---|",
            *rows,
            "",
            "The share of wrong answers among those given, and the confidence it asks for:",
            "",
            "| at most | confidence |",
            "|---|---|",
            *risks,
            "",
            f"Unless a risk is asked for, it answers from confidence {meta.default_threshold:.4f} "
            "on.",
            "",
            "Intervals are 95 %. Photos unlike the training photos are better refused than "
            "trusted; the familiarity of each answer says how like them a photo is.",
            "",
        ]
    )


def _figures(evaluation: Evaluation) -> Iterator[str]:
    """Yield a line for each figure of the card, the first of them bold."""
    mark = "**"
    for key, metric in METRICS.items():
        if metric.on_card and (figure := evaluation.figures[key]):
            title = metric.titled(evaluation.labels)
            yield f"- {title}: {mark}{figure}{mark}{metric.after(figure)}"
            mark = ""


def _about_seen(meta: Meta) -> Iterator[str]:
    if count := meta.data.get("seen_by_encoder"):
        yield f"- The encoder was trained on {count} of them; no figure is measured on those"


def _listed(labels: tuple[str, ...]) -> str:
    shown = [*labels[:5], f"{len(labels) - 5} more"] if len(labels) > 6 else list(labels)
    return ", ".join(shown[:-1]) + " and " + shown[-1]
