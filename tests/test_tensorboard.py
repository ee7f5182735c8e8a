"""RecBole's log for TensorBoard, of our models and of its own."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recbole_tema.cli import main


def test_every_run_has_its_folder_with_losses_and_validations(tiny):
    asked = ["--model", "TEMA,LLMEMF,SASRec", "--dataset", "tiny", "--seeds", "1,2"]
    quick = ["--epochs=2", "--show_progress=false", "--MAX_ITEM_LIST_LENGTH=5", "--gpu_id="]
    assert main([*asked, *quick, "--output", "out"]) == 0
    folders = sorted(Path("log_tensorboard").iterdir())
    assert [folder.name.split("-")[0] for folder in folders] == [
        *("LLMEMF", "LLMEMF", "SASRec", "SASRec", "TEMA", "TEMA")
    ]
    for folder in folders:
        events = EventAccumulator(str(folder))
        events.Reload()
        for name in ("Loss/Train", "Vaild_score"):  # spelt as RecBole does
            assert [event.step for event in events.Scalars(name)] == [0, 1], folder.name
