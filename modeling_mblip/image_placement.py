"""Placing Q-Former outputs into the language model's input.

Everything here counts: `masked_scatter` and indexing would take too few or the wrong features without a word, and the
model would train on without seeing its images. The checks are also what catches a batch torn apart by dispatching,
DataParallel or a pipeline's batching.

Shape suffixes: B = prompts, T = prompt tokens, I = distinct images, S = image slots in reading order, Q = query tokens
per image, D = width of the language model.
"""

import torch


def select_image_features(features_IQD: torch.Tensor, image_indices_S: torch.Tensor | None) -> torch.Tensor:
    """The features that each image slot shows, (S, Q, D).

    Args:
        features_IQD: one row per distinct image.
        image_indices_S: for each slot the row it shows; None: slot s shows row s.

    Raises:
        ValueError: an index has no row, or a row is shown by no slot.
    """
    if image_indices_S is None:
        return features_IQD
    num_images = features_IQD.shape[0]
    if image_indices_S.ndim != 1 or image_indices_S.is_floating_point():
        raise ValueError(
            f"`image_indices` has shape {tuple(image_indices_S.shape)} and dtype {image_indices_S.dtype}, expected "
            "integers of shape (image slots,): for each image slot of the batch, in reading order, the row of "
            "`pixel_values`."
        )
    shown = sorted(set(image_indices_S.tolist()))
    if shown != list(range(num_images)):
        raise ValueError(
            f"`image_indices` shows the rows {shown}, but {num_images} image row(s) came in, and every one must be "
            "shown. Pass the batch whole: `dispatch_batches=False`, no DataParallel; and build `image_indices` with "
            "`MBlipProcessor`."
        )
    return features_IQD[image_indices_S.to(features_IQD.device)]


def check_image_token_counts(is_image_BT: torch.Tensor, num_slots: int, num_query_tokens: int) -> None:
    """Make sure that the prompts hold exactly the `<image>` tokens that the image slots fill, prompt by prompt.

    Args:
        is_image_BT: True where an `<image>` token stands.

    Raises:
        ValueError: too few or too many tokens in the batch, or a prompt that holds a part of an image.
    """
    num_tokens_B = is_image_BT.sum(dim=1).tolist()
    num_tokens, num_features = sum(num_tokens_B), num_slots * num_query_tokens
    if num_tokens != num_features:
        raise ValueError(
            f"The prompts hold {num_tokens} `<image>` tokens, but {num_slots} image slot(s) x {num_query_tokens} "
            f"query tokens = {num_features} features came in. Build the inputs with `MBlipProcessor`, which writes "
            "`num_query_tokens` of them per image."
        )
    torn = [row for row, count in enumerate(num_tokens_B) if count % num_query_tokens]
    if torn:
        raise ValueError(
            f"Prompt {torn[0]} holds {num_tokens_B[torn[0]]} `<image>` tokens, which is no multiple of the "
            f"{num_query_tokens} query tokens per image ({num_tokens} of {num_features} in the batch): an image "
            "would be spread over two prompts. Build the inputs with `MBlipProcessor`, and cut long text before the "
            "image tokens are added."
        )


def place_image_features(
    embeds_BTD: torch.Tensor, features_SQD: torch.Tensor, is_image_BT: torch.Tensor
) -> torch.Tensor:
    """Overwrite the embeddings of the `<image>` tokens with image features, in reading order.

    Raises:
        ValueError: the prompts hold fewer or more `<image>` tokens than there are features, or a prompt holds a part
            of an image.
    """
    check_image_token_counts(is_image_BT, features_SQD.shape[0], features_SQD.shape[1])
    features_SQD = features_SQD.to(device=embeds_BTD.device, dtype=embeds_BTD.dtype)
    return embeds_BTD.masked_scatter(is_image_BT[..., None].to(embeds_BTD.device), features_SQD)
