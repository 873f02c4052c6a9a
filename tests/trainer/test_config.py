"""What a configuration accepts, and what it says about what it refuses."""

from pathlib import Path

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from grokprobe.errors import InvalidInput
from trainer.config.schema import (
    Config,
    MLPSection,
    ModelSection,
    TransformerSection,
    architecture,
    default_run_name,
    load_config,
    preset,
)


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path, *assignments: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_config(path, assignments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_mainline_is_the_defaults() -> None:
    """The preset that states everything and the defaults in the code are one configuration."""
    assert load_config(preset("mainline")) == Config()


def test_presets_are_their_papers_networks() -> None:
    """Each decodes; what they differ in beside the mainline is the table of docs/maths.md."""
    models = {
        name: load_config(preset(name)).model for name in ("power", "gromov", "pizza", "quickstart")
    }
    assert models == {
        "power": TransformerSection(
            layers=2, layer_norm="post", biases="none", initialisation="pytorch"
        ),
        "gromov": MLPSection(),
        "pizza": TransformerSection(
            tokens="a b", causal=False, attention_rate=0.0, initialisation="pizza"
        ),
        "quickstart": TransformerSection(),
    }


@pytest.mark.parametrize("name", ["mainline", "power", "pizza", "quickstart"])
def test_a_preset_of_a_transformer_takes_a_vocabulary_for_each_operand(name: str) -> None:
    """By one field, and it is another run than the preset's."""
    plain = load_config(preset(name))
    separate = load_config(preset(name), ["model.vocabularies=separate"])
    assert isinstance(plain.model, TransformerSection)
    assert separate.model == replace(plain.model, vocabularies="separate")
    assert separate.sha256 != plain.sha256


@pytest.mark.parametrize(
    ("section", "has"),
    [
        (TransformerSection(), True),
        (MLPSection(), False),
        (MLPSection(join="add"), False),
        (MLPSection(inputs="embedding"), True),
    ],
)
def test_an_architecture_tells_the_width_of_an_embedding_that_is_there(
    section: ModelSection, has: bool
) -> None:
    """One-hot inputs have none; all else is the section."""
    told = architecture(section)
    assert ("d_model" in told) == has
    assert told == {name: value for name, value in to_builtins(section).items() if name in told}


@pytest.mark.parametrize(
    ("text", "field", "hint"),
    [
        ("[optimiser]\nlearning_rat = 1", "optimiser.learning_rat", "did you mean learning_rate?"),
        ("[optimizer]\nlearning_rate = 1", "optimizer", "did you mean optimiser?"),
        ("task = 3", "task", "section"),
        ("[optimiser]\nlearning_rate = -0.1", "optimiser.learning_rate", "got -0.1"),
        ("[optimiser]\nlearning_rate = nan", "optimiser.learning_rate", "got nan"),
        ("[optimiser]\nweight_decay = inf", "optimiser.weight_decay", "got inf"),
        ("[optimiser]\nbetas = [0.9, 1.0]", "optimiser.betas", "got [0.9, 1.0]"),
        ("[task]\ntrain_fraction = 0", "task.train_fraction", "got 0"),
        ("[task]\ntrain_fraction = 1.0", "task.train_fraction", "got 1.0"),
        ("[task]\nmodulus = 3\ntrain_fraction = 0.1", "task.train_fraction", "0 of 9 pairs"),
        ("[task]\nmodulus = 4", "task.modulus", "got 4; add and sub take any modulus from 5"),
        ("[task]\noperation = 'mul'\nmodulus = 91", "task.modulus", "odd prime, got 91"),
        ("[task]\noperation = 's5'", "task.modulus", "set modulus = 120"),
        ("[task]\nmodulus = '113'", "task.modulus", "expected int, got '113'"),
        ("[task]\noperation = 'plus'", "task.operation", "known: add, sub"),
        ("[training]\nsteps = 0", "training.steps", "got 0"),
        ("[training]\nsteps = 1.5", "training.steps", "expected int"),
        ("[training]\ndevice = 'tpu'", "training.device", "tpu"),
        ("[checkpoints]\nevery = 0", "checkpoints.every", "got 0"),
        ("[checkpoints]\ndense = [[50, 10, 5]]", "checkpoints.dense", "50 to 10"),
        ("[model]\nheads = 0", "model.heads", "got 0"),
        ("[model]\nfamily = 'cnn'", "model.family", "known: transformer, mlp, got 'cnn'"),
        ("[model]\nfamily = 3", "model.family", "expected str"),
        ("[model]\nfamily = 'mlp'\nheads = 4", "model.heads", "[model] where family is mlp"),
        ("[model]\nfamily = 'mlp'\nbias = 4", "model.bias", "did you mean biases?"),
        ("[model]\ninputs = 'one-hot'", "model.inputs", "where family is transformer"),
        ("[model]\nfamily = 'mlp'\njoin = 'sum'", "model.join", "known: concatenate, add"),
        ("[model]\nlayers = 13", "model.layers", "<= 12, got 13"),
        ("[model]\nlayer_norm = true", "model.layer_norm", "got True"),
        ("[local_learning_coefficient]\nchains = 1", "local_learning_coefficient.chains", "got 1"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_field(
    tmp_path: Path, text: str, field: str, hint: str
) -> None:
    """One line: the file, the dotted field, what is wrong and what to do."""
    message = refusal(written(tmp_path, text))
    assert message.startswith(f"mine.toml: {field}")
    assert hint in message


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    """A syntax error says where it is."""
    assert "line 2" in refusal(written(tmp_path, "[task]\nmodulus = \n"))


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """As Windows' editors leave it, with their ends of lines; UTF-16 is named."""
    text = "[task]\r\nmodulus = 7\r\n"
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode("utf-8-sig"))
    assert load_config(path, []).task.modulus == 7
    path.write_bytes(text.encode("utf-16"))
    assert refusal(path) == f"{path}: is UTF-16 or UTF-32; write it in UTF-8"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """So is a file that is not there."""
    assert "missing.toml: cannot be read: No such file" in refusal(tmp_path / "missing.toml")


def test_an_unknown_preset_lists_the_presets() -> None:
    """Whoever mistypes a preset learns which ones there are."""
    with pytest.raises(InvalidInput, match="did you mean quickstart"):
        preset("quikstart")
    with pytest.raises(
        InvalidInput, match="known: gromov, mainline, narrow, pizza, power, quickstart"
    ):
        preset("xyz")


def test_assignments_change_fields() -> None:
    """`--set` takes TOML values and plain words, over whatever the file says."""
    config = load_config(
        preset("quickstart"),
        [
            "optimiser.weight_decay=0.5",
            "training.device='cpu'",
            "task.operation=x2+y2",
            "checkpoints.dense=[[0, 4, 1]]",
        ],
    )
    assert config.optimiser.weight_decay == 0.5
    assert (config.training.device, config.task.operation) == ("cpu", "x2+y2")
    assert config.checkpoints.dense == [(0, 4, 1)]


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("optimiser.weigth_decay=0.5", "optimiser.weigth_decay: is not a field"),
        ("optimisr.weight_decay=0.5", "did you mean optimiser?"),
        ("optimiser.weight_decay=-1", "optimiser.weight_decay: expected float >= 0.0, got -1"),
        ("training.steps=many", "expected int"),
        ("training.steps=[1", "expected int, got '[1'"),
        ("training.steps", "section.field=value"),
        ("steps=3", "section.field=value"),
    ],
)
def test_a_bad_assignment_names_set(assignment: str, words: str) -> None:
    """The blame goes to `--set`, not to the file."""
    message = refusal(preset("quickstart"), assignment)
    assert message.startswith("--set")
    assert words in message


def test_the_digest_is_of_the_values() -> None:
    """Comments, order and spelling of numbers do not matter; values do."""
    config = load_config(preset("quickstart"))
    assert load_config(preset("quickstart"), ["optimiser.weight_decay=1"]).sha256 == config.sha256
    assert load_config(preset("quickstart"), ["training.seed=9"]).sha256 != config.sha256


@pytest.mark.parametrize("stem", ["quickstart", "My Config", "-x", "é", "a" * 80])
def test_the_default_name_is_a_run_name(stem: str) -> None:
    """Whatever the file is called, NAME-sSEED-CONFIG8 can be published."""
    config = Config()
    assert default_run_name(stem, config).endswith(f"-s0-{config.sha256[:8]}")
