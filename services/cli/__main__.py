"""python -m services.cli, and the console script `voicemesh`."""

import typer

from services.cli import audit, certificates, demo, down, envoy, erase, models, status, up, verify

app = typer.Typer(
    name="voicemesh",
    help="A self-hosted voice-cloning platform: a gRPC service mesh that learns a voice and speaks any text in it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command()(demo.demo)
app.command()(up.up)
app.command()(down.down)
app.command()(status.status)
app.command()(erase.erase)
app.command()(models.models)
app.command()(certificates.certificates)
app.command()(verify.verify)
app.add_typer(envoy.app, name="envoy")
app.add_typer(audit.app, name="audit")

if __name__ == "__main__":
    app()
