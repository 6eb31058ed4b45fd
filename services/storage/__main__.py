"""python -m services.storage"""

from services.mesh.server import run
from services.mesh.settings import read
from services.storage.app import open_app
from services.storage.settings import Settings

if __name__ == "__main__":
    run("storage", read(Settings), open_app)
