"""RecBole's trainers with this project's evaluation and safe checkpoints."""
