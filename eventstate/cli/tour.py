import click


@click.command()
def tour() -> None:
    """Tour."""
