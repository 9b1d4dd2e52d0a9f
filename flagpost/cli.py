"""The `flagpost` command: one verb each for what is not a script of its own."""

from flagpost.dead_letters.commands import dead_letters
from flagpost.demo import demo
from flagpost.drift_command import drift
from flagpost.entry_point import entry_point, program
from flagpost.labelling.commands import label, load_labels
from flagpost.local.commands import down
from flagpost.marketing_command import load_marketing
from flagpost.postgres.commands import migrate, roles
from flagpost.rewind_command import rewind
from flagpost.status_command import status
from flagpost.torture.command import torture
from flagpost.training.commands import simulate
from flagpost.training.handbook_command import handbook
from flagpost.up import up

app = program("Score a Kafka stream of card transactions for fraud; commit each decision once.")
for verb in (
    up, down, status, migrate, roles, rewind, demo, drift, simulate, handbook, torture,
    label, load_labels, load_marketing,
):  # fmt: skip
    app.command()(entry_point(verb))
app.add_typer(dead_letters, name="dead-letters")
