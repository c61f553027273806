"""accelerate, peft, TRL, transformers and lm-eval on an exported model."""

import pytest
import torch

TEXTS = ["the cat sat on the mat", "a dog ran over the hill", "one two three four five", "loops are layers again"]


def rows(tokenizer, texts=TEXTS, length=16):
    encoded = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True)
    labels = [
        [t if m else -100 for t, m in zip(*row, strict=True)]
        for row in zip(encoded["input_ids"], encoded["attention_mask"], strict=True)
    ]
    return [dict(input_ids=i, attention_mask=m, labels=label) for i, m, label in zip(encoded["input_ids"], encoded["attention_mask"], labels, strict=True)]  # fmt: skip


def trained(theirs, tokenizer, folder, **options):
    """Losses that transformers' Trainer logs."""
    from transformers import Trainer, TrainingArguments

    quiet = {"report_to": [], "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True, "use_cpu": True}
    arguments = TrainingArguments(str(folder), max_steps=2, learning_rate=0.0, **quiet, **options)
    trainer = Trainer(theirs.train(), arguments, train_dataset=rows(tokenizer) * 2)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_accelerate_prepares_a_model_and_trains_it(theirs, tokens):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, optimizer = accelerator.prepare(theirs.train(), torch.optim.AdamW(theirs.parameters(), lr=3e-3))
    losses = []
    for _ in range(4):
        output = model(input_ids=tokens, labels=tokens)
        accelerator.backward(output.loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(output.loss.item())
    assert losses[-1] < losses[0]


def test_accelerate_keeps_weights_on_disk(alone, theirs, tokens):
    from accelerate import disk_offload

    greedy = {"do_sample": False, "max_new_tokens": 4}
    with torch.no_grad():
        expected, written = theirs(input_ids=tokens).logits, theirs.generate(tokens, **greedy)
        offloaded = disk_offload(theirs, str(alone / "weights"), execution_device=torch.device("cpu"))
        torch.testing.assert_close(offloaded(input_ids=tokens).logits, expected)
        assert torch.equal(offloaded.generate(tokens, **greedy), written)


def test_peft_adapts_attention_and_merges_exactly(theirs, tokens):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=["q", "v"], init_lora_weights=False)
    adapted = get_peft_model(theirs.eval(), config)
    names = [name for name, p in adapted.named_parameters() if p.requires_grad]
    with torch.no_grad():
        expected = adapted(input_ids=tokens).logits
        merged = adapted.merge_and_unload()
        assert names and all("lora" in name for name in names)
        torch.testing.assert_close(merged(input_ids=tokens).logits, expected, rtol=1e-4, atol=1e-5)


def test_transformers_trainer_trains_and_does_the_same_with_accumulation(alone, theirs, tokenizer):
    whole = trained(theirs, tokenizer, alone, per_device_train_batch_size=4)
    parts = trained(theirs, tokenizer, alone, per_device_train_batch_size=1, gradient_accumulation_steps=4)
    assert parts == pytest.approx(whole, rel=1e-3)


def test_trl_fine_tunes(alone, theirs, tokenizer):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    quiet = {"report_to": [], "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True, "use_cpu": True}
    arguments = SFTConfig(str(alone), max_steps=2, per_device_train_batch_size=2, max_length=32, bf16=False, **quiet)
    trainer = SFTTrainer(
        theirs, arguments, train_dataset=Dataset.from_dict({"text": TEXTS}), processing_class=tokenizer
    )
    trainer.train()
    assert trainer.state.global_step == 2


def test_a_pipeline_writes_what_generate_does(theirs, tokenizer):
    from transformers import pipeline

    written = pipeline("text-generation", model=theirs, tokenizer=tokenizer)
    (text,) = written("the cat", max_new_tokens=5, do_sample=False, return_full_text=False)
    given = tokenizer("the cat", return_tensors="pt")
    ids = theirs.generate(**given, max_new_tokens=5, do_sample=False)[0, given["input_ids"].shape[1] :]
    assert text["generated_text"] == tokenizer.decode(ids, skip_special_tokens=True)


def test_the_usual_loop_with_a_cache_of_ones_own_gives_the_tokens_of_whole_passes(theirs, tokens):
    from transformers import DynamicCache

    cache, given = DynamicCache(), tokens[:1, :6]
    with torch.no_grad():
        whole = theirs(input_ids=tokens[:1]).logits
        first = theirs(input_ids=given, past_key_values=cache, use_cache=True)
        rest = theirs(input_ids=tokens[:1, 6:], past_key_values=first.past_key_values, use_cache=True)
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], 1), whole, rtol=1e-4, atol=1e-4)


def test_lm_eval_scores_as_the_logits_do(exported, tokenizer, theirs):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    scorer = HFLM(pretrained=theirs, tokenizer=tokenizer, batch_size=2, device="cpu", max_length=64)
    pairs = [("the cat", " sat"), ("a dog", " ran away")]
    requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    for (score, _), (context, continuation) in zip(
        scorer.loglikelihood(requests, disable_tqdm=True), pairs, strict=True
    ):
        start, ids = (
            len(tokenizer(context)["input_ids"]),
            tokenizer(context + continuation, return_tensors="pt")["input_ids"],
        )
        with torch.no_grad():
            logs = theirs(input_ids=ids).logits.log_softmax(-1)
        assert score == pytest.approx(
            sum(logs[0, i - 1, ids[0, i]].item() for i in range(start, ids.shape[1])), rel=1e-4
        )
