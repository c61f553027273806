"""Generic tests that fail here, each with the reason why it does not apply to a looped model.

A test by its name, for all declarations; or by declaration and name. What is listed and passes is an error, too.
"""

NOT_APPLICABLE = {
    "test_attention_outputs": "output_attentions is refused in one line: attention's weights are not kept, and there is one "
    "matrix for each layer and iteration",
    "test_correct_missing_keys": "the head is the embedding, so nothing is missing in a saved backbone; and where a weight is "
    "missing, loading is an error",
    "test_model_weights_reload_no_missing_tied_weights": "a folder without weights is an error, not a model with new ones",
    "huginn::test_num_layers_is_small": "a layer each before, in and after the loop are more than two",
    "parcae::test_num_layers_is_small": "a layer each before, in and after the loop are more than two",
    "openmythos::test_num_layers_is_small": "a layer each before, in and after the loop are more than two",
    "parcae::test_inputs_embeds": "value embeddings read the tokens again, so that inputs_embeds alone is refused",
    "parcae::test_inputs_embeds_matches_input_ids": "value embeddings read the tokens again, so that inputs_embeds alone "
    "is refused",
    "parcae::test_resize_tokens_embeddings": "value embeddings have tables of the vocabulary too; resizing is refused",
}

OF_PARTS = {
    "parcae::test_resize_embeddings_untied": "value embeddings have tables of the vocabulary too; resizing is refused",
    "parcae::test_resize_embeddings_untied_no_reinit_on_post_init": "value embeddings have tables of the vocabulary too; "
    "resizing is refused",
    "parcae::test_training_gradient_checkpointing_use_reentrant_true": "sequences that run different loop counts read what "
    "others have written, whose gradients reentrant checkpointing drops; it is refused, and use_reentrant=False is right",
}
"""Those whose parts pytest counts on their own, and so cannot be expected to fail: they are left out."""
