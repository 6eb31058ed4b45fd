"""python -m services.voice"""

from services.mesh.server import run
from services.mesh.settings import read
from services.voice.app import open_app
from services.voice.settings import Settings

if __name__ == "__main__":
    run("voice", read(Settings), open_app)
