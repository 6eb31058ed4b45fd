"""python -m services.auth"""

from services.auth.app import open_app
from services.auth.settings import Settings
from services.mesh.server import run
from services.mesh.settings import read

if __name__ == "__main__":
    run("auth", read(Settings), open_app)
