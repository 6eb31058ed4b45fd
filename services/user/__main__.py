"""python -m services.user"""

from services.mesh.server import run
from services.mesh.settings import read
from services.user.app import open_app
from services.user.settings import Settings

if __name__ == "__main__":
    run("user", read(Settings), open_app)
